/** The seam between an exchange and the framing of its answer: one implementation per version of HTTP. */
import type { ExchangeResponse, Fields, RequestHead } from '@porthole/protocol';

/** Writes one response in a visitor's version of HTTP. */
export interface AnswerWriter {
  /** Whether the rest of the request may still come and another may follow. */
  readonly keepAlive: boolean;
  /** Throws ORIGIN_BAD_RESPONSE when the head contradicts itself; nothing is written then. */
  head(response: ExchangeResponse, request: RequestHead, mayKeepAlive: boolean): void;
  /** False when there are more bytes than the head announced. */
  data(chunk: Buffer): boolean;
  trailers(fields: Fields): void;
  /** False when bytes are missing. */
  end(): boolean;
}
