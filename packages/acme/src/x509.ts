/**
 * Writes X.509 certificates (RFC 5280) with EC P-256 keys: the one a TLS-ALPN-01 validation wants, one to answer with
 * while there is no better, and a certificate authority for tests. Reads what node:crypto does not show of one.
 */
import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  type X509Certificate,
} from 'node:crypto';
import { addressToBytes } from './address-bytes.ts';
import { der, readDerSequence, tagged } from './der.ts';

export const oids = {
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAlternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  acmeIdentifier: '1.3.6.1.5.5.7.1.31',
  extensionRequest: '1.2.840.113549.1.9.14',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
} as const;

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export function createKeyPair(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

export function keyToPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

export interface Issuer {
  /** Its common name. */
  readonly name: string;
  readonly key: KeyObject;
}

export interface CertificateOptions {
  readonly subject: string;
  readonly publicKey: KeyObject;
  /** Who signs; itself when it is the same key. */
  readonly issuer: Issuer;
  readonly names?: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Default false. */
  readonly isAuthority?: boolean;
  readonly usages?: readonly ('serverAuth' | 'clientAuth')[];
  /** Further extensions, as `extension()` writes them. */
  readonly extensions?: readonly Buffer[];
}

/** A signed certificate in DER. */
export function createCertificate(options: CertificateOptions): Buffer {
  const algorithm = der.sequence(der.oid(oids.ecdsaWithSha256));
  const issuerKeyId = keyIdentifier(createPublicKey(options.issuer.key));
  const extensions = [
    extension(oids.basicConstraints, der.sequence(...(options.isAuthority === true ? [der.boolean(true)] : [])), true),
    // digitalSignature for a leaf, keyCertSign and cRLSign for an authority.
    extension(
      oids.keyUsage,
      options.isAuthority === true ? der.bits(Buffer.from([0x06]), 1) : der.bits(Buffer.from([0x80]), 7),
      true,
    ),
    extension(oids.subjectKeyIdentifier, der.octets(keyIdentifier(options.publicKey))),
    extension(oids.authorityKeyIdentifier, der.sequence(tagged(0x80, issuerKeyId))),
    ...(options.names === undefined ? [] : [alternativeNames(options.names)]),
    ...(options.usages === undefined
      ? []
      : [extension(oids.extendedKeyUsage, der.sequence(...options.usages.map((usage) => der.oid(oids[usage]))))]),
    ...(options.extensions ?? []),
  ];
  const body = der.sequence(
    tagged(0xa0, der.integer(2)),
    der.integer(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    algorithm,
    commonName(options.issuer.name),
    der.sequence(der.time(options.notBefore), der.time(options.notAfter)),
    commonName(options.subject),
    publicKeyInfo(options.publicKey),
    tagged(0xa3, der.sequence(...extensions)),
  );
  return der.sequence(body, algorithm, der.bits(sign('sha256', body, options.issuer.key)));
}

/** A certificate signed by its own key. `lifeMs` from an hour ago, for clocks that are a little behind. */
export function createSelfSigned(
  pair: KeyPair,
  names: readonly string[],
  nowMs: number,
  lifeMs: number,
  extensions: readonly Buffer[] = [],
): Buffer {
  const subject = (names[0] ?? 'localhost').slice(0, 64);
  return createCertificate({
    subject,
    publicKey: pair.publicKey,
    issuer: { name: subject, key: pair.privateKey },
    names,
    notBefore: new Date(nowMs - 3_600_000),
    notAfter: new Date(nowMs + lifeMs),
    extensions,
  });
}

export function extension(oid: string, value: Uint8Array, critical = false): Buffer {
  return der.sequence(der.oid(oid), ...(critical ? [der.boolean(true)] : []), der.octets(value));
}

/** The subjectAltName extension of host names and addresses. */
export function alternativeNames(names: readonly string[]): Buffer {
  return extension(
    oids.subjectAlternativeName,
    der.sequence(
      ...names.map((name) => {
        const address = addressToBytes(name);
        return address === undefined ? tagged(0x82, Buffer.from(name, 'latin1')) : tagged(0x87, address);
      }),
    ),
  );
}

export function commonName(name: string): Buffer {
  return der.sequence(...(name === '' ? [] : [der.set(der.sequence(der.oid(oids.commonName), der.utf8(name)))]));
}

export function publicKeyInfo(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/** SHA-1 of the public key's bits (RFC 5280 section 4.2.1.2, method 1). */
function keyIdentifier(key: KeyObject): Buffer {
  const bits = readDerSequence(publicKeyInfo(key))[1]?.content.subarray(1) ?? Buffer.alloc(0);
  return createHash('sha1').update(bits).digest();
}

export function derToPem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** What RFC 9773 section 4.1 names a certificate by: key identifier of its issuer, and serial number with its sign byte. */
export function renewalIdentifier(certificate: X509Certificate): string | undefined {
  try {
    const fields = readDerSequence(readDerItemBytes(certificate.raw));
    const serial = fields.find((field) => field.tag === 0x02)?.content;
    const keyId = authorityKeyId(fields.find((field) => field.tag === 0xa3)?.content);
    if (serial === undefined || keyId === undefined) return undefined;
    return `${keyId.toString('base64url')}.${serial.toString('base64url')}`;
  } catch {
    return undefined;
  }
}

/** tbsCertificate, the first item, as a value of its own. */
function readDerItemBytes(certificate: Buffer): Buffer {
  const [body] = readDerSequence(certificate);
  if (body === undefined) throw new RangeError('empty certificate');
  return tagged(body.tag, body.content);
}

function authorityKeyId(extensions: Buffer | undefined): Buffer | undefined {
  if (extensions === undefined) return undefined;
  const wanted = der.oid(oids.authorityKeyIdentifier).subarray(2);
  for (const item of readDerSequence(extensions)) {
    const parts = readDerSequence(tagged(item.tag, item.content));
    if (parts[0]?.content.equals(wanted) !== true) continue;
    const value = parts.at(-1)?.content;
    return value && readDerSequence(value).find((part) => part.tag === 0x80)?.content;
  }
  return undefined;
}
