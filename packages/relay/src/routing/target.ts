/**
 * The seam between doors and whatever takes a visitor. Agents, peer nodes, SSH and localtunnel clients and fakes
 * implement it; doors never learn which.
 */
import type { ExchangeRequest, RawOpening, Stream, StreamSink } from '@porthole/protocol';

export interface Target {
  /** For logs and metrics: who answers (identity and session), never a secret. */
  readonly label: string;
  /**
   * Opens a stream for one HTTP exchange. The sink gets interim heads, then the head (`decodeResponse`), data,
   * trailers and the end, or a reset. The caller sends the request body with `write`, `sendTrailers`, `end`
   * (nothing at all when `request.bodiless`, until an upgrade's 101). Throws PortholeError STREAM_LIMIT.
   */
  openExchange(request: ExchangeRequest, sink: StreamSink): Stream;
  /** Opens a stream for one raw visitor connection. There is no head; bytes flow both ways at once. */
  openRaw(opening: RawOpening, sink: StreamSink): Stream;
}
