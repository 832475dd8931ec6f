/** What an order is finalised with (PKCS#10, RFC 2986), and the certificate a TLS-ALPN-01 validation wants to see. */
import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { der, tagged } from './der.ts';
import {
  alternativeNames,
  commonName,
  createKeyPair,
  createSelfSigned,
  derToPem,
  extension,
  keyToPem,
  oids,
  publicKeyInfo,
} from './x509.ts';

/**
 * A certificate request in DER for host names (wildcards too) and addresses. The subject is empty: names count only
 * as alternative names, and an address or a long name may not be a common name.
 */
export function createCsr(privateKey: KeyObject, names: readonly string[]): Buffer {
  const request = der.sequence(alternativeNames(names));
  const attributes = tagged(0xa0, der.sequence(der.oid(oids.extensionRequest), der.set(request)));
  const info = der.sequence(der.integer(0), commonName(''), publicKeyInfo(createPublicKey(privateKey)), attributes);
  return der.sequence(info, der.sequence(der.oid(oids.ecdsaWithSha256)), der.bits(sign('sha256', info, privateKey)));
}

export interface PemCertificate {
  readonly keyPem: string;
  readonly certificatePem: string;
}

const CHALLENGE_LIFE_MS = 24 * 3_600_000;

/**
 * RFC 8737 section 3: self-signed, exactly this one name, and a critical extension with the digest of the key
 * authorisation. RFC 8738 section 3: an address is the alternative name, not its reverse name that SNI carries.
 */
export function createChallengeCertificate(
  identifier: string,
  keyAuthorization: string,
  nowMs: number,
): PemCertificate {
  const pair = createKeyPair();
  const digest = createHash('sha256').update(keyAuthorization).digest();
  const certificate = createSelfSigned(pair, [identifier], nowMs, CHALLENGE_LIFE_MS, [
    extension(oids.acmeIdentifier, der.octets(digest), true),
  ]);
  return { keyPem: keyToPem(pair.privateKey), certificatePem: derToPem('CERTIFICATE', certificate) };
}
