/**
 * Writes one response on an HTTP/2 stream. What comes within a turn of the event loop leaves together, so that an answer
 * without body is one HEADERS frame with END_STREAM (gRPC's "trailers only") and a small one is not spread over packets.
 */
import { constants, type ServerHttp2Stream } from 'node:http2';
import {
  type ExchangeResponse,
  type Fields,
  PortholeError,
  release,
  releaseAll,
  type RequestHead,
} from '@porthole/protocol';
import { forwardableResponseFields, forwardableTrailers, responseFraming } from '@porthole/protocol/http1';
import type { Flushable, TurnQueue } from '@porthole/protocol/node';
import type { AnswerWriter } from './answer-writer.ts';
import { h2AnswerHeaders, h2ResponseHeaders } from './h2-fields.ts';

/** Pieces of one turn up to this size in all are copied together. */
const JOIN_BYTES = 16 * 1024;
const UNKNOWN = -1;

export class H2Answer implements AnswerWriter, Flushable {
  keepAlive = false;
  readonly #stream: ServerHttp2Stream;
  readonly #turns: TurnQueue;
  /** Of all body bytes, `pendingBytes` have not gone into frames yet. */
  readonly #onWritten: (pendingBytes: number) => void;
  readonly #written = (): void => this.#onWritten(this.#stream.writableLength + this.#bytes);
  #head: readonly string[] | undefined;
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** Body bytes still to come, if the head said. */
  #left = UNKNOWN;
  #trailers: Fields | undefined;
  #ended = false;
  #closing = false;
  #queued = false;

  constructor(stream: ServerHttp2Stream, turns: TurnQueue, onWritten: (pendingBytes: number) => void) {
    this.#stream = stream;
    this.#turns = turns;
    this.#onWritten = onWritten;
  }

  head(response: ExchangeResponse, request: RequestHead, mayKeepAlive: boolean): void {
    const { status, fields } = response;
    // Unknown ones are passed on, but Node lets none out that has no class (RFC 9110 section 15).
    if (status > 599) throw new PortholeError('ORIGIN_BAD_RESPONSE', `status ${status} over HTTP/2`);
    // RFC 8441 section 5: any 2xx would tell the visitor that his WebSocket is open.
    if (request.upgrade !== undefined && status < 300)
      throw new PortholeError('ORIGIN_BAD_RESPONSE', `${status} for a WebSocket`);
    const framing = responseFraming(request.method, status, fields, 1);
    if (framing.kind === 'length') this.#left = framing.length;
    // Node ends the stream with the head of a 205, too.
    else if (framing.kind === 'none' || status === 205) this.#left = 0;
    this.keepAlive = mayKeepAlive;
    this.#head = h2ResponseHeaders(status, forwardableResponseFields(status, fields));
    this.#queue();
  }

  data(chunk: Buffer): boolean {
    if (this.#left !== UNKNOWN) {
      this.#left -= chunk.length;
      if (this.#left < 0) return false;
    }
    if (chunk.length === 0) return true;
    this.#pieces.push(chunk);
    this.#bytes += chunk.length;
    this.#queue();
    return true;
  }

  trailers(fields: Fields): void {
    const kept = forwardableTrailers(fields);
    if (kept.length > 0) this.#trailers = kept;
  }

  end(): boolean {
    if (this.#left > 0) return false;
    this.#ended = true;
    this.#queue();
    return true;
  }

  /** What is left of the request is not wanted: says so once the answer is out (RFC 9113 section 8.1). */
  closeAfter(): void {
    this.#closing = true;
    this.flush();
  }

  flush(): void {
    this.#queued = false;
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    if (this.#head !== undefined && this.#respond(this.#head)) return;
    // The last bytes leave with the end in one call and one frame; nobody waits for credit for them.
    const rest = this.#ended && this.#bytes > 0 && this.#bytes <= JOIN_BYTES ? this.#joined() : undefined;
    if (this.#bytes > 0) this.#write();
    if (!this.#ended || stream.writableEnded) return;
    if (rest === undefined) stream.end();
    else stream.end(rest);
    if (this.#closing && this.#trailers === undefined) stream.close();
  }

  failed(): void {
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  #queue(): void {
    if (this.#queued) return;
    this.#queued = true;
    this.#turns.add(this);
  }

  /** True when the head was all. */
  #respond(head: readonly string[]): boolean {
    this.#head = undefined;
    const stream = this.#stream;
    const isAll = this.#ended && this.#bytes === 0 && this.#trailers === undefined;
    const waitForTrailers = !isAll && (!this.#ended || this.#trailers !== undefined);
    if (waitForTrailers) stream.once('wantTrailers', () => this.#sendTrailers());
    stream.respond(head, { endStream: isAll, waitForTrailers, sendDate: false } as { endStream: boolean });
    if (isAll && this.#closing) stream.close();
    return isAll;
  }

  #write(): void {
    const stream = this.#stream;
    if (this.#bytes <= JOIN_BYTES) {
      stream.write(this.#joined(), this.#written);
      return;
    }
    stream.cork();
    for (const piece of this.#taken()) {
      stream.write(piece, (error) => {
        // Otherwise part of it may still be on its way.
        if (error === null || error === undefined) release(piece);
        this.#written();
      });
    }
    stream.uncork();
  }

  /** A copy, also of one piece: that is part of what was read from a carrier at once, and keeps all of it. */
  #joined(): Buffer {
    const bytes = this.#bytes;
    const pieces = this.#taken();
    const joined = Buffer.concat(pieces, bytes);
    releaseAll(pieces);
    return joined;
  }

  #taken(): Buffer[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    return pieces;
  }

  #sendTrailers(): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    // Without any, Node ends the stream with an empty DATA frame.
    try {
      stream.sendTrailers(h2AnswerHeaders(undefined, this.#trailers ?? []));
    } catch {
      // Node has its own idea of what may stand there.
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      return;
    }
    // Node sends them at the next turn.
    if (this.#closing) setImmediate(() => stream.close());
  }
}
