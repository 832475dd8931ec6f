/** What may stand behind a tunnel in an application, and the origin each makes. */
import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import { PortholeError, type TunnelProtocol } from '@porthole/protocol';
import { type FetchHandler, FetchOrigin } from './fetch-origin.ts';
import { hostRewriting, type HostHeader } from './host-rewriting.ts';
import { HttpOrigin } from './http-origin.ts';
import { type OriginProtocol, originFor } from './origin-for.ts';
import type { OnOriginFailed } from './origin-failures.ts';
import type { OriginTrust } from './origin-trust.ts';
import type { Origin } from './origin.ts';
import type { ProxyVersion } from './proxy-header.ts';
import { ServerOpener } from './server-origin.ts';
import { parseTarget } from './target.ts';

/** Exactly one of `target`, `server`, `fetch` and `origin`. */
export interface ServedBy {
  /** A local service: `3000`, `host:port`, `[::1]:3000`, `http://…`, `https://…`, `grpc://…`, `grpcs://…`, `h2c://…`, `unix:/path`. */
  readonly target?: string | number | undefined;
  /** A server of this process; it needs no port and need not listen. */
  readonly server?: HttpServer | HttpsServer | undefined;
  /** A fetch handler. */
  readonly fetch?: FetchHandler | undefined;
  /** Anything that answers exchanges by itself. */
  readonly origin?: Origin | undefined;
  /** Default `http`; `tcp` and `tls` (visitors' TLS passed on as it is) for `target` and `origin` only. */
  readonly protocol?: TunnelProtocol | undefined;
  /** `preserve` (default): `Host` as the visitor sent it. `rewrite`: the target's own. Anything else is sent as it is. */
  readonly hostHeader?: HostHeader | undefined;
  /** Which certificates an `https://` or `grpcs://` target may show. Default: those of the system's authorities; any on loopback. */
  readonly originTrust?: OriginTrust | undefined;
  /** `auto` (default), `http1` or `h2`: what the target is spoken to in. */
  readonly originProtocol?: OriginProtocol | undefined;
  /** For TCP and TLS tunnels: begin each connection to the target with a PROXY protocol header. Default: none. */
  readonly proxyProtocol?: ProxyVersion | undefined;
  /** Hears what the `fetch` handler throws; the visitor gets a 500. Default: nobody. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** Throws TARGET_INVALID or CONFIG_INVALID. */
export function originOf(
  by: ServedBy,
  onFailed: OnOriginFailed,
): { readonly protocol: TunnelProtocol; readonly origin: Origin } {
  const given = [by.target, by.server, by.fetch, by.origin].filter((each) => each !== undefined);
  if (given.length !== 1)
    throw new PortholeError(
      'CONFIG_INVALID',
      `expose wants exactly one of target, server, fetch and origin, not ${given.length}`,
    );
  const protocol = by.protocol ?? 'http';
  if (protocol !== 'http' && (by.server !== undefined || by.fetch !== undefined))
    throw new PortholeError('CONFIG_INVALID', 'a TCP or TLS tunnel wants a target');
  return { protocol, origin: by.origin ?? madeOrigin(protocol, by, onFailed) };
}

function madeOrigin(protocol: TunnelProtocol, by: ServedBy, onFailed: OnOriginFailed): Origin {
  if (by.fetch !== undefined) return new FetchOrigin({ fetch: by.fetch, onError: by.onError });
  if (by.server !== undefined) {
    const rewriting = hostRewriting(by.hostHeader ?? 'preserve', parseTarget('http://localhost'));
    return new HttpOrigin({ opener: new ServerOpener(by.server), rewriting, onFailed });
  }
  return originFor(protocol, by.target ?? '', {
    hostHeader: by.hostHeader,
    trust: by.originTrust,
    originProtocol: by.originProtocol,
    proxyProtocol: by.proxyProtocol,
    onFailed,
  });
}
