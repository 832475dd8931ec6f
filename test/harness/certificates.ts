/** A certificate authority of the tests, made anew each time: nothing that is trusted anywhere lies in the tree. */
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCertificate, createKeyPair, derToPem, type KeyPair, keyToPem } from '../../packages/acme/src/x509.ts';

export interface TestCertificate {
  readonly keyPem: string;
  /** The leaf alone. */
  readonly certificatePem: string;
  /** The leaf and the authority. */
  readonly chainPem: string;
  readonly x509: X509Certificate;
}

export interface IssueOptions {
  /** Default: an hour ago. */
  readonly notBefore?: Date;
  /** Default: in 90 days. */
  readonly notAfter?: Date;
  /** Default both: visitors' certificates for mTLS too. */
  readonly usages?: readonly ('serverAuth' | 'clientAuth')[];
  /** Default: a new one. */
  readonly pair?: KeyPair;
}

const dayMs = 86_400_000;

export class TestAuthority {
  readonly name: string;
  readonly certificatePem: string;
  readonly #pair = createKeyPair();

  constructor(name = 'Porthole Test CA') {
    this.name = name;
    const own = createCertificate({
      subject: name,
      publicKey: this.#pair.publicKey,
      issuer: { name, key: this.#pair.privateKey },
      notBefore: new Date(Date.now() - dayMs),
      notAfter: new Date(Date.now() + 365 * dayMs),
      isAuthority: true,
    });
    this.certificatePem = derToPem('CERTIFICATE', own);
  }

  /** For host names (wildcards too) and addresses; the first is also the common name. */
  issue(names: readonly string[], options: IssueOptions = {}): TestCertificate {
    const pair = options.pair ?? createKeyPair();
    const der = createCertificate({
      subject: (names[0] ?? '').slice(0, 64),
      publicKey: pair.publicKey,
      issuer: { name: this.name, key: this.#pair.privateKey },
      names,
      notBefore: options.notBefore ?? new Date(Date.now() - 3_600_000),
      notAfter: options.notAfter ?? new Date(Date.now() + 90 * dayMs),
      usages: options.usages ?? ['serverAuth', 'clientAuth'],
    });
    const certificatePem = derToPem('CERTIFICATE', der);
    return {
      keyPem: keyToPem(pair.privateKey),
      certificatePem,
      chainPem: certificatePem + this.certificatePem,
      x509: new X509Certificate(der),
    };
  }
}

export interface CertificateFiles extends TestCertificate {
  readonly folder: string;
  readonly keyFile: string;
  readonly chainFile: string;
  readonly caFile: string;
  remove(): void;
}

/** Writes a certificate of an authority into a temporary folder, for real programs. */
export function writeCertificateFiles(
  authority: TestAuthority,
  names: readonly string[],
  options: IssueOptions = {},
): CertificateFiles {
  const certificate = authority.issue(names, options);
  const folder = mkdtempSync(join(tmpdir(), 'porthole-certificates-'));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  return {
    ...certificate,
    folder,
    keyFile: file('key.pem', certificate.keyPem),
    chainFile: file('chain.pem', certificate.chainPem),
    caFile: file('ca.pem', authority.certificatePem),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
