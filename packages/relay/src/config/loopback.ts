/** Whether an address to listen on can be reached from this machine only. */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import type { ListenAddress } from './config.ts';

export function isLoopback(address: ListenAddress): boolean {
  return address.host !== undefined && isLoopbackHost(address.host);
}

export function isLoopbackHost(host: string): boolean {
  if (host === 'localhost') return true;
  const loopback = new BlockList();
  loopback.addSubnet('127.0.0.0', 8, 'ipv4');
  loopback.addAddress('::1', 'ipv6');
  if (isIPv4(host)) return loopback.check(host, 'ipv4');
  return isIPv6(host) && loopback.check(host, 'ipv6');
}
