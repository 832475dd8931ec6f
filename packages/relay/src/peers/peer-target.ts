/** An agent whose session is on another worker, as the doors see it. */
import {
  type ErrorCode,
  encodeRaw,
  encodeRequest,
  type ExchangeRequest,
  type RawOpening,
  type Stream,
  STREAM_KIND,
  type StreamSink,
} from '@porthole/protocol';
import type { Target } from '../routing/target.ts';
import type { PeerLink } from './peer-link.ts';

const HOLDER_GONE: ReadonlySet<ErrorCode> = new Set(['SESSION_LOST', 'GOING_AWAY', 'STREAM_REFUSED']);

export class PeerTarget implements Target {
  readonly label: string;
  readonly #lease: number;
  readonly #link: () => PeerLink;
  readonly #onDoubt: () => void;

  /**
   * `link` gives the way to the holder's worker, a new one when the last has ended. Streams carry the lease as tunnel id.
   * `onDoubt`: the holder seems to be gone, before the registrar has said so.
   */
  constructor(label: string, lease: number, link: () => PeerLink, onDoubt: () => void) {
    this.label = label;
    this.#lease = lease;
    this.#link = link;
    this.#onDoubt = onDoubt;
  }

  openExchange(request: ExchangeRequest, sink: StreamSink): Stream {
    const opening = { kind: STREAM_KIND.exchange, tunnelId: this.#lease, block: encodeRequest(request) };
    return this.#link().openStream(opening, new WatchedSink(sink, this.#onDoubt), request.bodiless && !request.upgrade);
  }

  openRaw(opening: RawOpening, sink: StreamSink): Stream {
    return this.#link().openStream(
      { kind: STREAM_KIND.raw, tunnelId: this.#lease, block: encodeRaw(opening) },
      new WatchedSink(sink, this.#onDoubt),
      false,
    );
  }
}

/** Notices, before the sink does, that a stream ended because its session did: a second try must not come here again. */
class WatchedSink implements StreamSink {
  readonly #sink: StreamSink;
  readonly #onDoubt: () => void;

  constructor(sink: StreamSink, onDoubt: () => void) {
    this.#sink = sink;
    this.#onDoubt = onDoubt;
  }

  onHead(block: string): void {
    this.#sink.onHead(block);
  }

  onData(chunk: Buffer): void {
    this.#sink.onData(chunk);
  }

  onTrailers(block: string): void {
    this.#sink.onTrailers(block);
  }

  onEnd(): void {
    this.#sink.onEnd();
  }

  onReset(code: ErrorCode, detail: string): void {
    if (HOLDER_GONE.has(code)) this.#onDoubt();
    this.#sink.onReset(code, detail);
  }

  onWritable(): void {
    this.#sink.onWritable();
  }
}
