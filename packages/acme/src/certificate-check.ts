/** Whether a chain and a key can be served together for some names, and until when. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { PortholeError } from '@porthole/protocol';
import { isAddressLiteral, nameCovers } from './host-name.ts';

const MAX_CHAIN_BYTES = 128 * 1024;
const MAX_CHAIN_LENGTH = 10;
const PEM_BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

export interface CertificateFacts {
  readonly leaf: X509Certificate;
  /** DNS names (wildcards with `*.`) and addresses, lower case. */
  readonly names: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Reads a PEM chain; throws CERTIFICATE_INVALID when it is none or its parts do not follow each other. */
export function readChain(chainPem: string): X509Certificate[] {
  if (chainPem.length > MAX_CHAIN_BYTES) throw invalid(`a chain of more than ${MAX_CHAIN_BYTES} bytes`);
  const blocks = chainPem.match(PEM_BLOCK) ?? [];
  if (blocks.length === 0 || blocks.length > MAX_CHAIN_LENGTH)
    throw invalid(`${blocks.length} certificates in PEM (1 to ${MAX_CHAIN_LENGTH} expected)`);
  const chain = blocks.map((pem) => {
    try {
      return new X509Certificate(pem);
    } catch (error) {
      throw invalid('a certificate that cannot be read', error);
    }
  });
  chain.forEach((certificate, i) => {
    const issuer = chain[i + 1];
    if (issuer !== undefined && !(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))) {
      throw invalid(`certificate ${i + 1} of the chain is not issued by the one that follows it`);
    }
  });
  return chain;
}

export function factsOf(chainPem: string): CertificateFacts {
  const [leaf] = readChain(chainPem);
  if (leaf === undefined) throw invalid('an empty chain');
  return {
    leaf,
    names: alternativeNamesOf(leaf),
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
  };
}

export interface CertificateExpectation {
  readonly chainPem: string;
  readonly privateKey: KeyObject;
  /** Each of them must be covered. */
  readonly names: readonly string[];
  readonly nowMs: number;
}

/** Throws CERTIFICATE_INVALID with the reason. */
export function checkCertificate({ chainPem, privateKey, names, nowMs }: CertificateExpectation): CertificateFacts {
  const facts = factsOf(chainPem);
  if (!facts.leaf.checkPrivateKey(privateKey)) throw invalid('the key is not the one of the certificate');
  if (facts.notAfterMs <= nowMs) throw invalid(`it expired at ${new Date(facts.notAfterMs).toISOString()}`);
  for (const name of names) {
    const covered = facts.names.some((own) => own === name || (!isAddressLiteral(name) && nameCovers(own, name)));
    if (!covered) throw invalid(`it is for ${facts.names.join(', ').slice(0, 300)}, not for ${name}`);
  }
  return facts;
}

function alternativeNamesOf(certificate: X509Certificate): string[] {
  // Node quotes values with odd characters as JSON; no name we would serve has any.
  const names = (certificate.subjectAltName ?? '')
    .split(', ')
    .map((entry) => /^(?:DNS|IP Address):([^"]+)$/.exec(entry)?.[1]);
  return names.filter((name) => name !== undefined).map(canonical);
}

function canonical(name: string): string {
  return name.includes(':') ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name.toLowerCase();
}

export function invalid(detail: string, cause?: unknown): PortholeError {
  return new PortholeError('CERTIFICATE_INVALID', detail, { cause });
}
