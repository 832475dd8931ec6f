/**
 * Writes one response to a visitor in his version of HTTP: framing of its own, the length counted, nothing added that
 * the origin did not say. Every way in which the other end could break the framing is an error, never bytes.
 */
import type { BodyFraming, ExchangeResponse, Fields, RequestHead } from '@porthole/protocol';
import {
  CHUNK_END,
  chunkHead,
  forwardableResponseFields,
  forwardableTrailers,
  LAST_CHUNK,
  lastChunk,
  mayStayOpen,
  type ResponseConnection,
  requireValidFields,
  responseFraming,
  responseHeadText,
} from '@porthole/protocol/http1';
import type { VisitorOutput } from './visitor-output.ts';

const NO_BODY: BodyFraming = { kind: 'none' };

export class ResponseWriter {
  readonly #output: VisitorOutput;
  #framing = NO_BODY;
  /** Body bytes still to come; of a stated length only. */
  #left = 0;
  #keepAlive = false;
  #trailers: Fields | undefined;

  constructor(output: VisitorOutput) {
    this.#output = output;
  }

  /** Whether another request may follow this response. */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /** A whole head of an interim response, or of the 101 that ends HTTP on the connection. Throws ORIGIN_BAD_RESPONSE. */
  static interim(output: VisitorOutput, response: ExchangeResponse): void {
    requireValidFields(response.fields, 'ORIGIN_BAD_RESPONSE');
    output.text(responseHeadText(response.status, response.reason, forwardableResponseFields(response.status, response.fields)));
  }

  /** Throws ORIGIN_BAD_RESPONSE when the head contradicts itself; nothing is written then. */
  head(response: ExchangeResponse, request: RequestHead, mayKeepAlive: boolean): void {
    const { status, reason, fields } = response;
    requireValidFields(fields, 'ORIGIN_BAD_RESPONSE');
    const framing = responseFraming(request.method, status, fields, request.minor);
    const connection: ResponseConnection = { keepAlive: mayKeepAlive, minor: request.minor };
    const text = responseHeadText(status, reason, forwardableResponseFields(status, fields), framing, connection);
    this.#framing = framing;
    if (framing.kind === 'length') this.#left = framing.length;
    this.#keepAlive = mayStayOpen(framing, connection);
    this.#output.text(text);
  }

  /** False when there are more bytes than the head announced. */
  data(chunk: Buffer): boolean {
    const output = this.#output;
    switch (this.#framing.kind) {
      case 'none':
        return chunk.length === 0;
      case 'length':
        this.#left -= chunk.length;
        if (this.#left < 0) return false;
        output.bytes(chunk);
        return true;
      case 'chunked':
        // A chunk of no bytes would be the last one.
        if (chunk.length === 0) return true;
        output.text(chunkHead(chunk.length));
        output.bytes(chunk);
        output.text(CHUNK_END);
        return true;
      case 'close':
        output.bytes(chunk);
        return true;
    }
  }

  /** Sent with the end; dropped where the framing has no place for them (RFC 9110 section 6.5.1). */
  trailers(fields: Fields): void {
    requireValidFields(fields, 'ORIGIN_BAD_RESPONSE');
    this.#trailers = forwardableTrailers(fields);
  }

  /** False when bytes are missing. */
  end(): boolean {
    if (this.#framing.kind === 'chunked') this.#output.text(this.#trailers === undefined ? LAST_CHUNK : lastChunk(this.#trailers));
    return this.#left === 0;
  }
}
