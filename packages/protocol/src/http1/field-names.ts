/** Which fields end at the next hop (RFC 9110 section 7.6.1), and which a visitor may not set. */

/** What a forwarder does with a field. */
export const TREATMENT = {
  keep: 0,
  drop: 1,
  connection: 2,
  host: 3,
  te: 4,
  upgrade: 5,
  via: 6,
  /** X-Forwarded-For, -Host, -Proto in their proper spelling. */
  forwardedFor: 7,
  forwardedHost: 8,
  forwardedProto: 9,
  /** Any other field that claims to tell where a request came from. */
  forwarding: 10,
  expect: 11,
  /** What the visitor's TLS certificate was (RFC 9440). */
  clientCert: 12,
} as const;
export type Treatment = (typeof TREATMENT)[keyof typeof TREATMENT];

/** By first letter and length first: nearly every field is decided by its first char. */
export function requestTreatment(name: string): Treatment {
  const length = name.length;
  switch (name.charCodeAt(0) | 0x20) {
    case 0x63: // c
      if (length === 10) return name.toLowerCase() === 'connection' ? TREATMENT.connection : TREATMENT.keep;
      return length === 11 || length === 17 ? certificateTreatment(name) : TREATMENT.keep;
    case 0x65: // e
      return length === 6 && name.toLowerCase() === 'expect' ? TREATMENT.expect : TREATMENT.keep;
    case 0x66: // f
      return length === 9 && name.toLowerCase() === 'forwarded' ? TREATMENT.forwarding : TREATMENT.keep;
    case 0x68: // h
      if (length === 4 && name.toLowerCase() === 'host') return TREATMENT.host;
      return length === 14 && name.toLowerCase() === 'http2-settings' ? TREATMENT.drop : TREATMENT.keep;
    case 0x6b: // k
      return length === 10 && name.toLowerCase() === 'keep-alive' ? TREATMENT.drop : TREATMENT.keep;
    case 0x70: // p
      // The visitor's word to the agent, not the relay's: the gate of a tunnel, which takes it off before the origin.
      if (length === 22 && name.toLowerCase() === 'porthole-authorization') return TREATMENT.keep;
      return isProxyOrOwn(name) ? TREATMENT.drop : TREATMENT.keep;
    case 0x74: // t
      if (length === 2 && name.toLowerCase() === 'te') return TREATMENT.te;
      return length === 17 && name.toLowerCase() === 'transfer-encoding' ? TREATMENT.drop : TREATMENT.keep;
    case 0x75: // u
      return length === 7 && name.toLowerCase() === 'upgrade' ? TREATMENT.upgrade : TREATMENT.keep;
    case 0x76: // v
      return length === 3 && name.toLowerCase() === 'via' ? TREATMENT.via : TREATMENT.keep;
    case 0x78: // x
      return length >= 9 ? extensionTreatment(name) : TREATMENT.keep;
    default:
      return TREATMENT.keep;
  }
}

export function responseTreatment(name: string): Treatment {
  const length = name.length;
  switch (name.charCodeAt(0) | 0x20) {
    case 0x61: // a
      return length === 7 && name.toLowerCase() === 'alt-svc' ? TREATMENT.drop : TREATMENT.keep;
    case 0x63: // c
      return length === 10 && name.toLowerCase() === 'connection' ? TREATMENT.connection : TREATMENT.keep;
    case 0x6b: // k
      return length === 10 && name.toLowerCase() === 'keep-alive' ? TREATMENT.drop : TREATMENT.keep;
    case 0x70: // p
      return isProxyOrOwn(name) ? TREATMENT.drop : TREATMENT.keep;
    case 0x74: // t
      if (length === 2 && name.toLowerCase() === 'te') return TREATMENT.drop;
      return length === 17 && name.toLowerCase() === 'transfer-encoding' ? TREATMENT.drop : TREATMENT.keep;
    case 0x75: // u
      return length === 7 && name.toLowerCase() === 'upgrade' ? TREATMENT.upgrade : TREATMENT.keep;
    default:
      return TREATMENT.keep;
  }
}

/**
 * `Proxy` becomes HTTP_PROXY in CGI-like programs; Proxy-Connection and the Proxy-Auth family are for a proxy; our own
 * prefix would let a visitor speak in the relay's name, or an origin pass its answer off as one of the relay's.
 */
function isProxyOrOwn(name: string): boolean {
  if (name.length < 5) return false;
  const dashed = asDashed(name);
  if (!dashed.startsWith('p')) return false;
  return (
    dashed === 'proxy' ||
    dashed === 'proxy-connection' ||
    dashed.startsWith('proxy-auth') ||
    dashed.startsWith('porthole-')
  );
}

function extensionTreatment(name: string): Treatment {
  const dashed = asDashed(name);
  const isForwarding = dashed === 'x-real-ip' || dashed === 'x-forwarded' || dashed.startsWith('x-forwarded-');
  if (!isForwarding) return TREATMENT.keep;
  // A spelling with underscores reads as the proper one in WSGI and PHP: nobody may use it.
  if (name.includes('_')) return TREATMENT.drop;
  if (dashed === 'x-forwarded-for') return TREATMENT.forwardedFor;
  if (dashed === 'x-forwarded-host') return TREATMENT.forwardedHost;
  return dashed === 'x-forwarded-proto' ? TREATMENT.forwardedProto : TREATMENT.forwarding;
}

function certificateTreatment(name: string): Treatment {
  const dashed = asDashed(name);
  if (dashed !== 'client-cert' && dashed !== 'client-cert-chain') return TREATMENT.keep;
  return name.includes('_') ? TREATMENT.drop : TREATMENT.clientCert;
}

function asDashed(name: string): string {
  const lower = name.toLowerCase();
  return lower.includes('_') ? lower.replaceAll('_', '-') : lower;
}

/** Fields that `Connection` may not take away from the next reader: hop-by-hop abuse, RFC 9110 section 7.6.1. */
const NOT_NOMINABLE = new Set([
  'client-cert',
  'client-cert-chain',
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'content-range',
  'authorization',
  'cookie',
  'set-cookie',
  'forwarded',
  'via',
  'x-real-ip',
  'te',
  'upgrade',
  'transfer-encoding',
  'trailer',
  'location',
  'origin',
  'cache-control',
]);

/** Options of `Connection` that name no field. */
const PLAIN_OPTIONS = new Set(['', 'close', 'keep-alive', 'upgrade', 'te']);

/** The fields (lower case) that values of `Connection` nominate for removal, or undefined when there are none. */
export function nomineesOf(connection: string): Set<string> | undefined {
  if (PLAIN_OPTIONS.has(connection)) return undefined;
  let nominees: Set<string> | undefined;
  for (const part of connection.toLowerCase().split(',')) {
    const option = part.trim();
    if (PLAIN_OPTIONS.has(option) || NOT_NOMINABLE.has(option)) continue;
    if (option.startsWith('x-forwarded') || option.startsWith('porthole-')) continue;
    nominees ??= new Set();
    nominees.add(option);
  }
  return nominees;
}

/** Fields that change framing, routing, authority, caching or meaning, and so may not come late (RFC 9110 section 6.5.1). */
const NOT_IN_TRAILERS = new Set([
  'age',
  'alt-svc',
  'authorization',
  'cache-control',
  'client-cert',
  'client-cert-chain',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'expect',
  'expires',
  'forwarded',
  'host',
  'http2-settings',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'keep-alive',
  'location',
  'max-forwards',
  'pragma',
  'proxy',
  'range',
  'retry-after',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'vary',
  'via',
  'warning',
  'www-authenticate',
  'x-real-ip',
]);

export function mayBeTrailer(name: string): boolean {
  const dashed = asDashed(name);
  if (NOT_IN_TRAILERS.has(dashed)) return false;
  return !(dashed.startsWith('proxy-') || dashed.startsWith('porthole-') || dashed.startsWith('x-forwarded'));
}
