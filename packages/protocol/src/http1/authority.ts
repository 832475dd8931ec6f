/** Reads `host[:port]` (RFC 3986 section 3.2) as strictly as something that routes by it must. */
import { HOST_NAME } from './octets.ts';

const DOT = 0x2e;
const COLON = 0x3a;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const MAX_HOST_BYTES = 255;

/**
 * Where the host ends (before a trailing dot, before a port), or -1 when the bytes are not exactly a host name or
 * address with an optional port of 1 to 65535. Userinfo, lists, percent escapes and raw UTF-8 are not.
 */
export function endOfHost(bytes: Buffer, from: number, to: number): number {
  if (bytes[from] === OPEN) return endOfLiteral(bytes, from, to);
  let at = from;
  let labelFrom = from;
  for (; at < to; at++) {
    const byte = bytes[at] as number;
    if (HOST_NAME[byte] === 1) continue;
    if (byte !== DOT || at === labelFrom) break;
    labelFrom = at + 1;
  }
  if (at === from || at - from > MAX_HOST_BYTES || !isPortOrEnd(bytes, at, to)) return -1;
  return bytes[at - 1] === DOT ? at - 1 : at;
}

/** The host of `host[:port]`, lower case, without a trailing dot; undefined when `endOfHost` would refuse it. */
export function hostOfAuthority(authority: string): string | undefined {
  const end = endOfHost(Buffer.from(authority, 'latin1'), 0, authority.length);
  return end === -1 ? undefined : authority.slice(0, end).toLowerCase();
}

/** `[` IPv6 address `]`: hex digits, colons, dots; not the full grammar, since no route can match what is not an address. */
function endOfLiteral(bytes: Buffer, from: number, to: number): number {
  let at = from + 1;
  let colons = 0;
  for (; at < to && at - from <= 46; at++) {
    const byte = bytes[at] as number;
    if (byte === COLON) colons++;
    else if (byte !== DOT && !isHexDigit(byte)) break;
  }
  if (bytes[at] !== CLOSE || at >= to || colons < 2 || colons > 8) return -1;
  return isPortOrEnd(bytes, at + 1, to) ? at + 1 : -1;
}

function isHexDigit(byte: number): boolean {
  const lower = byte | 0x20;
  return (byte >= 0x30 && byte <= 0x39) || (lower >= 0x61 && lower <= 0x66);
}

function isPortOrEnd(bytes: Buffer, at: number, to: number): boolean {
  if (at === to) return true;
  const digits = to - at - 1;
  if (bytes[at] !== COLON || digits < 1 || digits > 5 || bytes[at + 1] === 0x30) return false;
  let port = 0;
  for (let i = at + 1; i < to; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65_535;
}
