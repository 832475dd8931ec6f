/** A local service that speaks HTTP/2, is told to, or may: decides per exchange, and goes back to HTTP/1.1 where it does not. */
import type { ExchangeRequest, Fields, RawOpening, Stream, StreamSink } from '@porthole/protocol';
import { H2Exchange, type H2Surroundings } from './h2-exchange.ts';
import { H2Sessions } from './h2-sessions.ts';
import type { HostRewriting } from './host-rewriting.ts';
import type { OnOriginFailed } from './origin-failures.ts';
import type { OriginOpener } from './origin-socket.ts';
import type { Origin } from './origin.ts';

export interface H2OriginOptions {
  /** Opens sockets that offer h2. */
  readonly opener: OriginOpener;
  /** For upgrades, and for what the origin does not speak HTTP/2 for. */
  readonly http1: Origin;
  readonly rewriting: HostRewriting | undefined;
  readonly secure: boolean;
  /** Everything goes by HTTP/2, and nothing falls back; otherwise gRPC alone, if the origin speaks it. */
  readonly always: boolean;
  /** Default: nobody hears. */
  readonly onFailed?: OnOriginFailed | undefined;
}

/** How long an origin that did not speak HTTP/2 is not asked again. */
const MEMORY_MS = 30_000;

export class H2Origin implements Origin {
  readonly #options: H2OriginOptions;
  readonly #sessions: H2Sessions;
  readonly #around: H2Surroundings;
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(options: H2OriginOptions) {
    this.#options = options;
    this.#sessions = new H2Sessions(options.opener);
    this.#around = {
      sessions: this.#sessions,
      rewriting: options.rewriting,
      secure: options.secure,
      onFailed: options.onFailed,
      insteadOf: (request, stream) => this.#insteadOf(request, stream),
    };
  }

  openExchange(request: ExchangeRequest, stream: Stream): StreamSink {
    if (!this.#wantsH2(request)) return this.#options.http1.openExchange(request, stream);
    const exchange = new H2Exchange(request, stream, this.#around);
    exchange.start();
    return exchange;
  }

  openRaw(opening: RawOpening, stream: Stream): StreamSink {
    return this.#options.http1.openRaw(opening, stream);
  }

  close(): void {
    this.#sessions.close();
    this.#options.http1.close();
  }

  #wantsH2(request: ExchangeRequest): boolean {
    if (request.upgrade) return false;
    if (this.#options.always) return true;
    // Calls of gRPC are POSTs; of other requests the fields need not be taken apart.
    return request.method === 'POST' && isGrpc(request.fields) && performance.now() >= this.#notBefore;
  }

  #insteadOf(request: ExchangeRequest, stream: Stream): StreamSink | undefined {
    if (this.#options.always) return undefined;
    this.#notBefore = performance.now() + MEMORY_MS;
    return this.#options.http1.openExchange(request, stream);
  }
}

function isGrpc(fields: Fields): boolean {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name.length !== 12 || name.toLowerCase() !== 'content-type') continue;
    const value = (fields[i + 1] as string).toLowerCase();
    // gRPC-web is made for HTTP/1.1.
    return value.startsWith('application/grpc') && !value.startsWith('application/grpc-web');
  }
  return false;
}
