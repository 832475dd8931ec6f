/** Who takes a message's body as it is read. */
import type { Fields } from './message.ts';

export interface BodySink {
  /** Body bytes without framing; a view into what was fed. Never empty. */
  onBody(chunk: Buffer): void;
  /** The trailer section of a chunked body, when it is not empty. */
  onTrailers(fields: Fields): void;
}
