/** The seam between a session and the local service: one of these stands behind each tunnel. */
import type { ExchangeRequest, RawOpening, Stream, StreamSink } from '@porthole/protocol';

export interface Origin {
  /**
   * One HTTP exchange. Answers through `stream` (head, data, trailers, end, or a reset with an ORIGIN_ code) and
   * returns the sink that takes the request's body. Nothing is called on the sink before this returns.
   */
  openExchange(request: ExchangeRequest, stream: Stream): StreamSink;
  /** One raw visitor connection (TCP tunnels). */
  openRaw(opening: RawOpening, stream: Stream): StreamSink;
  /** Closes pooled connections. Streams under way are not touched. */
  close(): void;
}
