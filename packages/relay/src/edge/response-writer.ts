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
  isBodiless,
  LAST_CHUNK,
  lastChunk,
  mayStayOpen,
  type ResponseConnection,
  responseFraming,
  responseHeadText,
} from '@porthole/protocol/http1';
import type { AnswerWriter } from './answer-writer.ts';
import { SoundResponse } from './sound-response.ts';
import type { VisitorOutput } from './visitor-output.ts';

/** As `soundResponse`, of trailers. */
export function isSoundFields(block: string): boolean {
  return FIELDS_BLOCK.test(block);
}

// The separator is in none of the classes, so that there is one way to match and no backtracking.
// biome-ignore-start lint/suspicious/noControlCharactersInRegex: NUL is the separator
const FIELDS_BLOCK =
  /^[\w!#$%&'*+.^`|~-]+\0[\t\x20-\x7e\x80-\xff]*(?:\0[\w!#$%&'*+.^`|~-]+\0[\t\x20-\x7e\x80-\xff]*)*$/;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: NUL is the separator

const NO_BODY: BodyFraming = { kind: 'none' };

export class ResponseWriter implements AnswerWriter {
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

  /** A whole head of an interim response, or of the 101 that ends HTTP on the connection. */
  static interim(output: VisitorOutput, response: ExchangeResponse): void {
    output.text(
      responseHeadText(response.status, response.reason, forwardableResponseFields(response.status, response.fields)),
    );
  }

  /** Throws ORIGIN_BAD_RESPONSE when the head contradicts itself; nothing is written then. */
  head(response: ExchangeResponse, request: RequestHead, mayKeepAlive: boolean): void {
    if (response instanceof SoundResponse && request.minor === 1 && request.method !== 'HEAD') {
      const length = response.plainLength;
      if (length !== undefined && !isBodiless(response.status)) {
        this.#plainHead(response, length, mayKeepAlive);
        return;
      }
    }
    const { status, reason, fields } = response;
    const framing = responseFraming(request.method, status, fields, request.minor);
    const connection: ResponseConnection = { keepAlive: mayKeepAlive, minor: request.minor };
    const text = responseHeadText(status, reason, forwardableResponseFields(status, fields), framing, connection);
    this.#framing = framing;
    if (framing.kind === 'length') this.#left = framing.length;
    this.#keepAlive = mayStayOpen(framing, connection);
    this.#output.text(text);
  }

  /** The fields go on as they came. */
  #plainHead(response: SoundResponse, length: number, keepAlive: boolean): void {
    this.#framing = { kind: 'length', length };
    this.#left = length;
    this.#keepAlive = keepAlive;
    const head = keepAlive ? response.plainHead() : `${response.plainStart()}Connection: close\r\n\r\n`;
    if (typeof head === 'string') this.#output.text(head);
    else this.#output.bytes(head);
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
    this.#trailers = forwardableTrailers(fields);
  }

  /** False when bytes are missing. */
  end(): boolean {
    if (this.#framing.kind === 'chunked')
      this.#output.text(this.#trailers === undefined ? LAST_CHUNK : lastChunk(this.#trailers));
    return this.#left === 0;
  }
}
