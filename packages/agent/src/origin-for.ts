/** Makes the origin a tunnel forwards to out of what a person gave as its target. */
import type { TunnelProtocol } from '@porthole/protocol';
import { hostRewriting, type HostHeader } from './host-rewriting.ts';
import { HttpOrigin } from './http-origin.ts';
import { OriginDialer, DEFAULT_WAIT } from './origin-dial.ts';
import { NetOpener } from './origin-socket.ts';
import type { Origin } from './origin.ts';
import { RawOrigin } from './raw-origin.ts';
import { parseTarget } from './target.ts';

export interface OriginOptions {
  /** `preserve` (default): `Host` as the visitor sent it. `rewrite`: the target's own. Anything else is sent as it is. */
  readonly hostHeader?: HostHeader | undefined;
  /** Accept any certificate of an `https://` target. Default false; loopback targets may have any certificate. */
  readonly insecure?: boolean | undefined;
  /** PEM of the authorities to trust for an `https://` target instead of the system's. */
  readonly ca?: string | undefined;
  /** How long a request waits while the target refuses connections, in milliseconds. Default 10,000; 0 fails at once. */
  readonly waitForOriginMs?: number | undefined;
  /** How long a connection to the target may take, in milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Connections to the target in all; more requests queue. Default 8,192. */
  readonly maxConnections?: number | undefined;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** Throws TARGET_INVALID. */
export function originFor(
  protocol: Exclude<TunnelProtocol, 'tls'>,
  target: string | number,
  options: OriginOptions = {},
): Origin {
  const parsed = parseTarget(String(target));
  const sockets = new NetOpener(parsed, {
    connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    insecure: options.insecure ?? false,
    ca: options.ca,
  });
  const opener = new OriginDialer(sockets, {
    ...DEFAULT_WAIT,
    waitForOriginMs: options.waitForOriginMs ?? DEFAULT_WAIT.waitForOriginMs,
  });
  if (protocol === 'tcp') return new RawOrigin(opener);
  return new HttpOrigin({
    opener,
    rewriting: hostRewriting(options.hostHeader ?? 'preserve', parsed),
    pool: options.maxConnections === undefined ? undefined : { maxConnections: options.maxConnections },
  });
}
