/** Host names as they arrive in TLS, DNS and certificates: one normal form, or none. */
import { isIP } from 'node:net';

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/**
 * The normal form of a host name: lower case, one trailing dot gone, labels of letters, digits, `-` and `_`.
 * Undefined when it is none (RFC 6066 section 3 wants ASCII; RFC 1123 gives the labels). `_` occurs in practice.
 */
export function normalHostName(text: string): string | undefined {
  const bare = text.endsWith('.') ? text.slice(0, -1) : text;
  if (bare.length === 0 || bare.length > 253) return undefined;
  const lower = bare.toLowerCase();
  for (const label of lower.split('.')) if (!LABEL.test(label)) return undefined;
  return lower;
}

/** Whether a name is an address literal, `[::1]` included. All-digit last labels read as IPv4 by somebody count too. */
export function isAddressLiteral(text: string): boolean {
  const plain = text.endsWith('.') ? text.slice(0, -1) : text;
  const bare = plain.startsWith('[') && plain.endsWith(']') ? plain.slice(1, -1) : plain;
  return isIP(bare) !== 0 || /(^|\.)\d+$/.test(bare);
}

/** Whether a certificate's name covers a host (RFC 6125 section 6.4.3: `*` is the whole leftmost label, one label). */
export function nameCovers(pattern: string, host: string): boolean {
  if (pattern === host) return true;
  if (!pattern.startsWith('*.')) return false;
  const dot = host.indexOf('.');
  return dot > 0 && host.slice(dot) === pattern.slice(1);
}

/** The wildcard that would cover a host, or undefined for a single label. */
export function wildcardOf(host: string): string | undefined {
  const dot = host.indexOf('.');
  return dot > 0 ? `*${host.slice(dot)}` : undefined;
}
