/**
 * Port 80 beside an HTTPS address: answers an authority's validations and sends everybody else to https. Nothing else is
 * served here, and no agent is let in, because its token would travel in the clear.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { isAddressLiteral, normalHostName } from '@porthole/acme';
import type { HttpDoorAddress } from './http-door.ts';
import { CHALLENGE_PATH_PREFIX } from '../tls/challenges.ts';
import { BACKLOG, listen } from '../config/listening.ts';
import type { ProxyArrivals } from './proxy-arrivals.ts';

export interface RedirectDoorParts {
  /** The body for a validation's path; undefined when nobody asked for it. */
  readonly challengeAnswer: (path: string) => Promise<string | undefined>;
  /** Where visitors of a host are to go, without a slash at the end. `host` without port, lower case. */
  readonly secureUrlOf: (host: string) => string;
  /** Takes PROXY protocol headers off; absent: nobody sends any. */
  readonly arrivals?: ProxyArrivals | undefined;
  readonly maxVisitors: number;
  readonly reportBug: (error: unknown) => void;
  readonly acceptFailed: (error: Error) => void;
}

export class RedirectDoor {
  readonly #parts: RedirectDoorParts;
  readonly #server: Server;

  constructor(parts: RedirectDoorParts) {
    this.#parts = parts;
    this.#server = createServer({
      requestTimeout: 10_000,
      headersTimeout: 5_000,
      keepAliveTimeout: 5_000,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 16 * 1024,
    });
    this.#server.maxConnections = parts.maxVisitors;
    this.#server.on('request', (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        parts.reportBug(error);
        response.destroy();
      });
    });
    if (parts.arrivals !== undefined) takeThrough(this.#server, parts.arrivals);
    this.#server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    });
  }

  /** Rejects as `listen` does. */
  start(address: HttpDoorAddress): Promise<AddressInfo> {
    return listen(this.#server, { ...address, backlog: BACKLOG }, `port ${address.port}`, this.#parts.acceptFailed);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = request.url ?? '/';
    request.resume();
    if (target.startsWith(CHALLENGE_PATH_PREFIX) && request.method === 'GET') {
      const body = await this.#parts.challengeAnswer(target);
      if (body !== undefined) {
        response
          .writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': body.length })
          .end(body);
        return;
      }
    }
    const host = hostOf(request.headers.host);
    // An absolute target or none that is a path would not be the visitor's own words behind our host.
    if (host === undefined || !target.startsWith('/')) {
      response.writeHead(400, { 'content-length': 0, connection: 'close' }).end();
      return;
    }
    const location = `${this.#parts.secureUrlOf(host)}${target}`;
    const text = `This address is ${location}\n`;
    // 308 keeps method and body (RFC 9110 section 15.4.9).
    response.writeHead(308, {
      location,
      'content-type': 'text/plain; charset=utf-8',
      'content-length': Buffer.byteLength(text),
      'cache-control': 'no-store',
    });
    response.end(request.method === 'HEAD' ? undefined : text);
  }
}

/** Node's own listener sees a connection when its header is off. */
function takeThrough(server: Server, arrivals: ProxyArrivals): void {
  const own = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection').on('connection', (accepted: Socket) =>
    arrivals.take(accepted, (socket) => {
      for (const listener of own) listener.call(server, socket);
    }),
  );
}

function hostOf(field: string | undefined): string | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::\d{1,5})?$/.exec(field ?? '');
  const host = match?.[1];
  if (host === undefined) return undefined;
  return isAddressLiteral(host) ? host.toLowerCase() : normalHostName(host);
}
