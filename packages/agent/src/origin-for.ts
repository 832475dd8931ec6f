/** Makes the origin a tunnel forwards to out of what a person gave as its target. */
import type { TunnelProtocol } from '@porthole/protocol';
import { hostRewriting, type HostHeader } from './host-rewriting.ts';
import { H2Origin } from './h2-origin.ts';
import { HttpOrigin } from './http-origin.ts';
import { OriginDialer, DEFAULT_WAIT } from './origin-dial.ts';
import { NetOpener } from './origin-socket.ts';
import type { OnOriginFailed } from './origin-failures.ts';
import type { OriginTrust } from './origin-trust.ts';
import type { Origin } from './origin.ts';
import type { ProxyVersion } from './proxy-header.ts';
import { RawOrigin } from './raw-origin.ts';
import { type OriginTarget, parseTarget } from './target.ts';

export interface OriginOptions {
  /** `preserve` (default): `Host` as the visitor sent it. `rewrite`: the target's own. Else the host, with or without a port, to send. */
  readonly hostHeader?: HostHeader | undefined;
  /** Of `https://` and `grpcs://` targets. */
  readonly trust?: OriginTrust | undefined;
  /** Default `auto`. */
  readonly originProtocol?: OriginProtocol | undefined;
  /** For TCP and TLS tunnels: begin each connection with a PROXY protocol header. Default: none. */
  readonly proxyProtocol?: ProxyVersion | undefined;
  /** How long a request waits while the target refuses connections, in milliseconds. Default 10,000; 0 fails at once. */
  readonly waitForOriginMs?: number | undefined;
  /** How long a connection to the target may take, in milliseconds. Default 5,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Connections to the target in all; more requests queue. Default 8,192. */
  readonly maxConnections?: number | undefined;
  /** Hears of each exchange or connection that fails at the target, and why. Default: nobody. */
  readonly onFailed?: OnOriginFailed | undefined;
}

/**
 * What an HTTP target is spoken to in. `auto`: HTTP/1.1, and gRPC in HTTP/2 when the target is found to speak it (h2 in
 * TLS, else a try of h2c). Targets told to be HTTP/2 (`grpc://`, `grpcs://`, `h2c://`) are whatever this says.
 */
export const ORIGIN_PROTOCOLS = ['auto', 'http1', 'h2'] as const;
export type OriginProtocol = (typeof ORIGIN_PROTOCOLS)[number];

const CONNECT_TIMEOUT_MS = 5_000;

/** Throws TARGET_INVALID, CONFIG_INVALID. */
export function originFor(protocol: TunnelProtocol, target: string | number, options: OriginOptions = {}): Origin {
  const parsed = parseTarget(String(target));
  const opener = dialerOf(parsed, options, ['http/1.1']);
  if (protocol !== 'http') return new RawOrigin(opener, options.proxyProtocol, options.onFailed);
  const { onFailed } = options;
  const rewriting = hostRewriting(options.hostHeader ?? 'preserve', parsed);
  const http1 = new HttpOrigin({
    opener,
    rewriting,
    pool: options.maxConnections === undefined ? undefined : { maxConnections: options.maxConnections },
    onFailed,
  });
  const wanted = parsed.h2 ? 'h2' : (options.originProtocol ?? 'auto');
  if (wanted === 'http1') return http1;
  const h2Opener = dialerOf(parsed, options, ['h2', 'http/1.1']);
  return new H2Origin({ opener: h2Opener, http1, rewriting, secure: parsed.secure, always: wanted === 'h2', onFailed });
}

function dialerOf(target: OriginTarget, options: OriginOptions, alpn: readonly string[]): OriginDialer {
  const sockets = new NetOpener(target, {
    connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    ...(options.trust === undefined ? {} : { trust: options.trust }),
    alpn,
  });
  return new OriginDialer(sockets, {
    ...DEFAULT_WAIT,
    waitForOriginMs: options.waitForOriginMs ?? DEFAULT_WAIT.waitForOriginMs,
    onWaiting: options.onFailed,
  });
}
