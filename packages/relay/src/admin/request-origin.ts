/**
 * Tells requests of programs from those a web page makes a browser send. A page can lead its own host name to this
 * machine (DNS rebinding), so on loopback the `Host` field has to name this machine in a way no DNS can.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isLoopbackHost } from '../config/loopback.ts';

export function maySee(headers: IncomingHttpHeaders, onLoopback: boolean): boolean {
  // Browsers say where a request comes from (`none`: somebody typed the address); programs say nothing.
  const site = headers['sec-fetch-site'];
  if (headers.origin !== undefined || site === 'cross-site' || site === 'same-site') return false;
  // Elsewhere the name is whatever the private network calls us.
  return !onLoopback || isLoopbackHost(hostNameOf(headers.host ?? ''));
}

function hostNameOf(host: string): string {
  const six = /^\[([^\]]*)\](?::\d+)?$/.exec(host);
  return (six?.[1] ?? host.replace(/:\d*$/, '')).toLowerCase();
}
