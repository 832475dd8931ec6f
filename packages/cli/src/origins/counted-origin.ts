/** An origin that tells how often it was asked. */
import type { ExchangeRequest, Origin, RawOpening, Stream, StreamSink } from '@porthole/agent';

export class CountedOrigin implements Origin {
  readonly #inner: Origin;
  readonly #onRequest: () => void;

  constructor(inner: Origin, onRequest: () => void) {
    this.#inner = inner;
    this.#onRequest = onRequest;
  }

  openExchange(request: ExchangeRequest, stream: Stream): StreamSink {
    this.#onRequest();
    return this.#inner.openExchange(request, stream);
  }

  openRaw(opening: RawOpening, stream: Stream): StreamSink {
    this.#onRequest();
    return this.#inner.openRaw(opening, stream);
  }

  close(): void {
    this.#inner.close();
  }
}
