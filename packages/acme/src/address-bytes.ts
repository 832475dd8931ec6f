/** Internet addresses as bytes and back, as PROXY protocol v2 and certificates carry them. */
import { isIPv4, isIPv6 } from 'node:net';

/** 4 or 16 bytes, or undefined when the text is no address. A zone (`%eth0`) is dropped. */
export function addressToBytes(address: string): Buffer | undefined {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address)) return undefined;
  return ipv6ToBytes(address.split('%')[0] ?? '');
}

/** Canonical text (RFC 5952) of 4 or 16 bytes; throws RangeError for any other length. */
export function addressFromBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) throw new RangeError('an address has 4 or 16 bytes');
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** The IPv4-mapped IPv6 form of 4 bytes; 16 bytes stay as they are. */
export function mappedToV6(bytes: Buffer): Buffer {
  if (bytes.length === 16) return bytes;
  return Buffer.concat([Buffer.alloc(10), Buffer.from([255, 255]), bytes]);
}

function ipv6ToBytes(address: string): Buffer {
  const [left = '', right] = address.split('::');
  const head = groupsOf(left);
  const tail = right === undefined ? [] : groupsOf(right);
  const zeros = right === undefined ? 0 : 8 - head.length - tail.length;
  const bytes = Buffer.alloc(16);
  [...head, ...Array.from({ length: zeros }, () => 0), ...tail].forEach((group, i) =>
    bytes.writeUInt16BE(group, i * 2),
  );
  return bytes;
}

function groupsOf(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
