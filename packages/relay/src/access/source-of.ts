/** Who counts as one where connections are counted: whoever has one IPv6 address has a network of them. */
import { addressToBytes } from '@porthole/acme';

/** Bytes of the prefix that every network gets at least (RFC 6177, RFC 7421). */
const NETWORK_BYTES = 8;

/** An IPv4 address itself, of an IPv6 address its /64; any other text as it is. */
export function sourceOf(address: string): string {
  if (!address.includes(':')) return address;
  const bytes = addressToBytes(address);
  return bytes === undefined ? address : bytes.toString('hex', 0, NETWORK_BYTES);
}
