/** What may stand behind a tunnel in an application, and the origin each makes. */
import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import { PortholeError } from '@porthole/protocol';
import { type FetchHandler, FetchOrigin } from './fetch-origin.ts';
import { hostRewriting, type HostHeader } from './host-rewriting.ts';
import { HttpOrigin } from './http-origin.ts';
import { type OriginProtocol, originFor } from './origin-for.ts';
import type { Origin } from './origin.ts';
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
  /** Default `http`; `tcp` for `target` and `origin` only. */
  readonly protocol?: 'http' | 'tcp' | undefined;
  /** `preserve` (default): `Host` as the visitor sent it. `rewrite`: the target's own. Anything else is sent as it is. */
  readonly hostHeader?: HostHeader | undefined;
  /** Accept any certificate of an `https://` target. Default false; loopback targets may have any certificate. */
  readonly insecureOrigin?: boolean | undefined;
  /** `auto` (default), `http1` or `h2`: what the target is spoken to in. */
  readonly originProtocol?: OriginProtocol | undefined;
  /** PEM of the authorities to trust for an `https://` target instead of the system's. */
  readonly originCa?: string | undefined;
  /** Hears what the `fetch` handler throws; the visitor gets a 500. Default: nobody. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** Throws TARGET_INVALID or CONFIG_INVALID. */
export function originOf(by: ServedBy): { readonly protocol: 'http' | 'tcp'; readonly origin: Origin } {
  const given = [by.target, by.server, by.fetch, by.origin].filter((each) => each !== undefined);
  if (given.length !== 1)
    throw new PortholeError(
      'CONFIG_INVALID',
      `expose wants exactly one of target, server, fetch and origin, not ${given.length}`,
    );
  const protocol = by.protocol ?? 'http';
  if (protocol === 'tcp' && (by.server !== undefined || by.fetch !== undefined))
    throw new PortholeError('CONFIG_INVALID', 'a TCP tunnel wants a target');
  return { protocol, origin: by.origin ?? madeOrigin(protocol, by) };
}

function madeOrigin(protocol: 'http' | 'tcp', by: ServedBy): Origin {
  if (by.fetch !== undefined) return new FetchOrigin({ fetch: by.fetch, onError: by.onError });
  if (by.server !== undefined) {
    const rewriting = hostRewriting(by.hostHeader ?? 'preserve', parseTarget('http://localhost'));
    return new HttpOrigin({ opener: new ServerOpener(by.server), rewriting });
  }
  return originFor(protocol, by.target ?? '', {
    hostHeader: by.hostHeader,
    insecure: by.insecureOrigin,
    ca: by.originCa,
    originProtocol: by.originProtocol,
  });
}
