/** A local HTTP/1.1 service behind a tunnel. */
import { PortholeError, type ExchangeRequest, type RawOpening, type Stream, type StreamSink } from '@porthole/protocol';
import { TurnQueue } from '@porthole/protocol/node';
import type { HostRewriting } from './host-rewriting.ts';
import { HttpExchange, type ExchangeSurroundings } from './http-exchange.ts';
import { DEFAULT_POOL, OriginPool, type PoolSettings } from './origin-pool.ts';
import type { OnOriginFailed } from './origin-failures.ts';
import type { OriginOpener } from './origin-socket.ts';
import type { Origin } from './origin.ts';
import { deafSink } from './deaf-sink.ts';
import { RequestStarts } from './request-head.ts';

export interface HttpOriginOptions {
  readonly opener: OriginOpener;
  readonly rewriting?: HostRewriting | undefined;
  readonly pool?: Partial<PoolSettings> | undefined;
  /** Default: nobody hears. */
  readonly onFailed?: OnOriginFailed | undefined;
}

export class HttpOrigin implements Origin {
  readonly pool: OriginPool;
  readonly #around: ExchangeSurroundings;

  constructor(options: HttpOriginOptions) {
    const { rewriting, onFailed } = options;
    this.pool = new OriginPool(options.opener, { ...DEFAULT_POOL, ...options.pool });
    const starts = new RequestStarts(rewriting);
    this.#around = { pool: this.pool, turns: new TurnQueue(), rewriting, starts, onFailed };
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
      this.#around.onFailed?.(reason);
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
