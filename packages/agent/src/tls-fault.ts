/** Why a TLS handshake failed, in words for people: Node's speak of its own options, OpenSSL's of its source files. */

const UNKNOWN_AUTHORITY = 'its certificate is of an authority that is not known here';
const CERTIFICATE_FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet, or the clock of this machine is wrong',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
};

/** What OpenSSL makes of an answer that is not TLS. */
const NO_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_UNKNOWN_PROTOCOL',
  'ERR_SSL_HTTP_REQUEST',
]);

export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

export function isNoTls(error: unknown): boolean {
  return NO_TLS.has(systemCode(error));
}

export function isDistrust(error: unknown): boolean {
  return /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_CERT_|INVALID_CA$|INVALID_PURPOSE$)/.test(
    systemCode(error),
  );
}

/** Undefined for what has nothing to do with TLS. */
export function tlsFault(error: Error): string | undefined {
  const code = systemCode(error);
  const fault = CERTIFICATE_FAULTS[code];
  if (fault !== undefined) return `${fault} (${code})`;
  if (isNoTls(error)) return `it does not speak TLS (${code})`;
  const short = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `its certificate is for other names (${code}: ${short})`;
  return code.startsWith('ERR_SSL_') || code === 'EPROTO' ? `TLS: ${short} (${code})` : undefined;
}
