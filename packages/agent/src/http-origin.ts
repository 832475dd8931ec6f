/** A local HTTP/1.1 service behind a tunnel. */
import { PortholeError, type ExchangeRequest, type RawOpening, type Stream, type StreamSink } from '@porthole/protocol';
import { TurnQueue } from '@porthole/protocol/node';
import type { HostRewriting } from './host-rewriting.ts';
import { HttpExchange, type ExchangeSurroundings } from './http-exchange.ts';
import { DEFAULT_POOL, OriginPool, type PoolSettings } from './origin-pool.ts';
import type { OriginOpener } from './origin-socket.ts';
import type { Origin } from './origin.ts';
import { deafSink } from './deaf-sink.ts';
import { RequestStarts } from './request-head.ts';

export interface HttpOriginOptions {
  readonly opener: OriginOpener;
  readonly rewriting?: HostRewriting | undefined;
  readonly pool?: Partial<PoolSettings> | undefined;
}

export class HttpOrigin implements Origin {
  readonly pool: OriginPool;
  readonly #around: ExchangeSurroundings;

  constructor(options: HttpOriginOptions) {
    const { rewriting } = options;
    this.pool = new OriginPool(options.opener, { ...DEFAULT_POOL, ...options.pool });
    this.#around = { pool: this.pool, turns: new TurnQueue(), rewriting, starts: new RequestStarts(rewriting) };
  }

  openExchange(request: ExchangeRequest, stream: Stream): StreamSink {
    try {
      const exchange = new HttpExchange(request, stream, this.#around);
      exchange.start();
      return exchange;
    } catch (error) {
      const reason =
        error instanceof PortholeError ? error : new PortholeError('INTERNAL', 'opening an exchange', { cause: error });
      stream.reset(reason.code, reason.detail);
      return deafSink(stream);
    }
  }

  openRaw(_opening: RawOpening, stream: Stream): StreamSink {
    stream.reset('NOT_SUPPORTED', 'this tunnel takes HTTP exchanges only');
    return deafSink(stream);
  }

  close(): void {
    this.pool.close();
  }
}
