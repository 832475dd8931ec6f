/**
 * The admin address: health, readiness, metrics and status for operators and their machines. Reads only, asks for no
 * password, and is therefore to be bound to loopback or a private network.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type ListenAddress, listenOptions } from '../config/config.ts';
import { listen } from '../config/listening.ts';
import { isLoopback } from '../config/loopback.ts';
import { printListenAddress } from '../config/scalars.ts';
import { METRICS_CONTENT_TYPE } from '../observe/metrics.ts';
import { maySee } from './request-origin.ts';

/** Of one process, or of several: their answers are bounded in time by whoever asks them. */
export interface AdminSources {
  /** Undefined: alive. Otherwise what nobody but a restart can mend, in a few words. */
  notAlive(): Promise<string | undefined>;
  /** Undefined: ready. Otherwise why not, in a few words. */
  notReady(): Promise<string | undefined>;
  /** In the text format of Prometheus. */
  metrics(): Promise<string>;
  /** Anything JSON can carry. */
  status(): Promise<unknown>;
}

export interface AdminServerOptions {
  readonly sources: AdminSources;
  readonly onError: (error: unknown) => void;
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const TEXT = 'text/plain; charset=utf-8';

export class AdminServer {
  readonly #address: ListenAddress;
  readonly #sources: AdminSources;
  readonly #onError: (error: unknown) => void;
  readonly #server: Server;

  constructor(address: ListenAddress, { sources, onError }: AdminServerOptions) {
    this.#address = address;
    this.#sources = sources;
    this.#onError = onError;
    this.#server = createServer({
      requestTimeout: 10_000,
      headersTimeout: 5000,
      keepAliveTimeout: 5000,
      maxHeaderSize: 16 * 1024,
    });
    this.#server.maxConnections = 128;
    this.#server.on('request', (request, response) => void this.#answer(request, response));
  }

  /** The port bound. `fd`: a socket that is bound already, instead of the address. Rejects as `listen` does. */
  async start(fd?: number): Promise<number> {
    const on = fd === undefined ? listenOptions(this.#address) : { fd };
    const where = `admin ${printListenAddress(this.#address)}`;
    return (await listen(this.#server, on, where, (error) => this.#onError(error))).port;
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
    let reply: Reply;
    try {
      reply = await this.#reply(request);
    } catch (error) {
      this.#onError(error);
      reply = { status: 500, type: TEXT, body: 'Something failed; the log has the details.\n' };
    }
    // A request body is nobody's business here; without this it would be read as the next request.
    if (request.method !== 'GET' && request.method !== 'HEAD') response.setHeader('Connection', 'close');
    response.writeHead(reply.status, {
      'Content-Type': reply.type,
      'Content-Length': Buffer.byteLength(reply.body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...(reply.status === 405 ? { Allow: 'GET, HEAD' } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : reply.body);
  }

  async #reply(request: IncomingMessage): Promise<Reply> {
    const allowed = maySee(request.headers, isLoopback(this.#address));
    if (!allowed)
      return {
        status: 403,
        type: TEXT,
        body: 'Web pages have no business here. Use http://127.0.0.1 or http://localhost.\n',
      };
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return { status: 405, type: TEXT, body: 'Only GET and HEAD.\n' };
    switch (request.url?.split('?', 1)[0]) {
      case '/healthz':
        return verdict('ok', await this.#sources.notAlive());
      case '/readyz':
        return verdict('ready', await this.#sources.notReady());
      case '/metrics':
        return { status: 200, type: METRICS_CONTENT_TYPE, body: await this.#sources.metrics() };
      case '/api/status':
        return {
          status: 200,
          type: 'application/json',
          body: `${JSON.stringify(await this.#sources.status(), undefined, 2)}\n`,
        };
      default:
        return { status: 404, type: TEXT, body: 'There are /healthz, /readyz, /metrics and /api/status.\n' };
    }
  }
}

function verdict(good: string, why: string | undefined): Reply {
  return { status: why === undefined ? 200 : 503, type: TEXT, body: `${why ?? good}\n` };
}
