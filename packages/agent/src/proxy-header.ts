/** The PROXY protocol header an origin may want before a visitor's bytes: who the visitor is, as the relay saw him. */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { RawOpening } from '@porthole/protocol';

export const PROXY_VERSIONS = ['v1', 'v2'] as const;
export type ProxyVersion = (typeof PROXY_VERSIONS)[number];

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

export function proxyHeader(version: ProxyVersion, opening: RawOpening): Buffer {
  return version === 'v1' ? versionOne(opening) : versionTwo(opening);
}

function versionOne({ visitorAddress, visitorPort, localAddress, localPort }: RawOpening): Buffer {
  const from = plain(visitorAddress);
  const to = plain(localAddress);
  if (from === undefined || to === undefined) return Buffer.from('PROXY UNKNOWN\r\n');
  const bothFour = isIPv4(from) && isIPv4(to);
  const [source, destination] = bothFour ? [from, to] : [mapped(from), mapped(to)];
  return Buffer.from(
    `PROXY ${bothFour ? 'TCP4' : 'TCP6'} ${source} ${destination} ${visitorPort} ${localPort}\r\n`,
    'latin1',
  );
}

/** PROXY, TCP over IPv4 or IPv6; LOCAL when an address is missing. */
function versionTwo({ visitorAddress, visitorPort, localAddress, localPort }: RawOpening): Buffer {
  const from = plain(visitorAddress);
  const to = plain(localAddress);
  if (from === undefined || to === undefined) return Buffer.concat([SIGNATURE, Buffer.from([0x20, 0, 0, 0])]);
  const bothFour = isIPv4(from) && isIPv4(to);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(visitorPort, 0);
  ports.writeUInt16BE(localPort, 2);
  const body = bothFour
    ? Buffer.concat([fourBytes(from), fourBytes(to), ports])
    : Buffer.concat([sixteenBytes(mapped(from)), sixteenBytes(mapped(to)), ports]);
  return Buffer.concat([SIGNATURE, Buffer.from([0x21, bothFour ? 0x11 : 0x21, 0, body.length]), body]);
}

/** Without an IPv4-mapped prefix or a zone; undefined for what is no address. */
function plain(address: string): string | undefined {
  const bare =
    address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : (address.split('%')[0] ?? '');
  return isIPv4(bare) || isIPv6(bare) ? bare : undefined;
}

function mapped(address: string): string {
  return isIPv4(address) ? `::ffff:${address}` : address;
}

function fourBytes(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

function sixteenBytes(address: string): Buffer {
  const { address: canonical } = new SocketAddress({ address, family: 'ipv6' });
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(canonical);
  const text =
    dotted === null
      ? canonical
      : `${dotted[1]}${fourBytes(dotted[2] ?? '')
          .toString('hex')
          .replace(/(....)(....)/, '$1:$2')}`;
  const [head = '', tail = ''] = text.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === '' ? [] : tail.split(':');
  const zeros = text.includes('::') ? Array<string>(8 - before.length - after.length).fill('0') : [];
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join(''), 'hex');
}
