/** Which addresses belong to proxies in front of the relay, whose forwarding fields are believed. */
import { BlockList, isIP } from 'node:net';

export class TrustedAddresses {
  readonly #list = new BlockList();
  readonly #isEmpty: boolean;

  /** Addresses and CIDR ranges, such as `10.0.0.0/8` or `::1`. Throws RangeError for anything else. */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) this.#add(range);
    this.#isEmpty = ranges.length === 0;
  }

  /** `address` as the relay writes it: without an IPv4-mapped prefix or a zone. */
  has(address: string): boolean {
    if (this.#isEmpty) return false;
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }

  #add(range: string): void {
    const slash = range.indexOf('/');
    const address = slash < 0 ? range : range.slice(0, slash);
    const family = isIP(address);
    if (family === 0) throw new RangeError(`not an address or range: ${range}`);
    const bits = family === 4 ? 32 : 128;
    const prefix = slash < 0 ? bits : Number(range.slice(slash + 1));
    if (!Number.isInteger(prefix) || prefix < 0 || prefix > bits)
      throw new RangeError(`not an address or range: ${range}`);
    this.#list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }
}

/** One spelling per address: an IPv4 address that came through an IPv6 socket, and a zone, are cut to the address. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7);
  const zone = address.indexOf('%');
  return zone < 0 ? address : address.slice(0, zone);
}
