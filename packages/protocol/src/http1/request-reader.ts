/** Reads requests from a visitor's bytes, one after the other. Pure: bytes in, callbacks out. */
import { PortholeError } from '../errors.ts';
import { BodyReader } from './body-reader.ts';
import type { BodySink } from './body-sink.ts';
import { endOfHead, HeadBuffer } from './head-buffer.ts';
import { requestGrammar, type Grammar, type HeadLimits } from './limits.ts';
import type { RequestHead } from './message.ts';
import { CR, LF, TOKEN } from './octets.ts';
import { PlainRequest } from './plain-request.ts';
import { RepeatedHead } from './repeated-head.ts';
import { parseRequestHead, refuseMethod } from './request-head.ts';
import { readRequestLine } from './request-line.ts';

/** Called from within `feed`, in order: head, body, trailers, complete. */
export interface RequestSink extends BodySink {
  onHead(head: RequestHead): void;
  /** The message has ended; what `feed` did not consume belongs to what follows it. */
  onComplete(): void;
}

/**
 * `idle`: no byte of the next head yet. `head`: some of it. `body`: the head has been handed on. `complete`: feed takes
 * nothing until `next`. `failed`: a fault was thrown, or `stop` was called; nothing more is read.
 */
export type ReaderStage = 'idle' | 'head' | 'body' | 'complete' | 'failed';

export class RequestReader {
  readonly #grammar: Grammar;
  readonly #maxTargetBytes: number;
  readonly #sink: RequestSink;
  readonly #body: BodyReader;
  readonly #pending: HeadBuffer;
  #stage: ReaderStage = 'idle';
  /** Bytes of the one empty line that may stand before a request (RFC 9112 section 2.2), 0 to 2. */
  #emptyLine = 0;
  #hasCheckedLine = false;
  /** From the second request on: most connections carry one. */
  #repeated: RepeatedHead | undefined;
  readonly #limits: HeadLimits;

  constructor(limits: HeadLimits, sink: RequestSink) {
    this.#limits = limits;
    this.#grammar = requestGrammar(limits);
    this.#maxTargetBytes = limits.maxTargetBytes;
    this.#sink = sink;
    this.#body = new BodyReader(this.#grammar, sink);
    this.#pending = new HeadBuffer(this.#grammar);
  }

  get stage(): ReaderStage {
    return this.#stage;
  }

  /**
   * Reads until the message is complete; returns the number of bytes consumed. The rest is the next message or, after
   * an upgrade, no HTTP at all: feed it again after `next`, or take it. Throws PortholeError with the code to answer
   * with (BAD_REQUEST, HEAD_TOO_LARGE, TOO_MANY_FIELDS, TARGET_TOO_LONG, CODING_NOT_SUPPORTED,
   * HTTP_VERSION_NOT_SUPPORTED, METHOD_NOT_SUPPORTED, EXPECTATION_FAILED); the connection cannot go on then.
   */
  feed(chunk: Buffer): number {
    if (this.#stage === 'complete' || this.#stage === 'failed') return 0;
    try {
      const at = this.#stage === 'body' ? 0 : this.#readHead(chunk);
      return this.#stage === 'body' ? this.#readBody(chunk, at) : at;
    } catch (fault) {
      this.stop();
      throw fault;
    }
  }

  /** Makes ready for the next message of the connection. Only after `onComplete` (or from within it). */
  next(): void {
    if (this.#stage !== 'complete') throw new PortholeError('INTERNAL', 'next before the request was complete');
    this.#stage = 'idle';
    this.#emptyLine = 0;
    this.#repeated ??= new RepeatedHead(this.#limits);
  }

  /** Hands nothing more on and lets go of what is buffered. Idempotent. */
  stop(): void {
    this.#stage = 'failed';
    this.#pending.clear();
    this.#body.stop();
  }

  /** Returns the position after the head, having moved on to `body`, or the chunk's end. */
  #readHead(chunk: Buffer): number {
    const at = this.#stage === 'idle' ? this.#begin(chunk) : 0;
    if (this.#stage !== 'head') return at;
    if (this.#pending.length > 0) return this.#continueHead(chunk, at);
    const repeated = this.#repeated;
    if (repeated !== undefined) {
      const knownEnd = repeated.endOf(chunk, at);
      if (knownEnd !== -1) {
        this.#finishHead(repeated.request);
        return knownEnd;
      }
    }
    const end = endOfHead(chunk, at, this.#grammar.maxHeadBytes);
    if (end === -1) return this.#continueHead(chunk, at);
    const head = parseRequestHead(chunk, at, end, this.#grammar, this.#maxTargetBytes);
    if (head instanceof PlainRequest) repeated?.keep(head, chunk, at, end);
    this.#finishHead(head);
    return end;
  }

  /** Skips an empty line; moves on to `head` at the first other byte, which must be a method's. */
  #begin(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length) {
      const byte = chunk[at] as number;
      if (TOKEN[byte] === 1 && this.#emptyLine !== 1) {
        this.#stage = 'head';
        return at;
      }
      const isExpected = this.#emptyLine === 0 ? byte === CR : this.#emptyLine === 1 && byte === LF;
      if (!isExpected) throw new PortholeError('BAD_REQUEST', 'not the beginning of a request');
      this.#emptyLine++;
      at++;
    }
    return at;
  }

  #continueHead(chunk: Buffer, at: number): number {
    const pending = this.#pending;
    const end = this.#takeHead(chunk, at);
    if (end === -1) return chunk.length;
    const head = parseRequestHead(pending.bytes, 0, pending.length, this.#grammar, this.#maxTargetBytes);
    pending.clear();
    this.#hasCheckedLine = false;
    this.#finishHead(head);
    return end;
  }

  /** The request line is refused as soon as it is there: whoever sends HTTP/0.9 or another protocol waits for an answer. */
  #takeHead(chunk: Buffer, at: number): number {
    const pending = this.#pending;
    try {
      return pending.take(chunk, at);
    } finally {
      if (!this.#hasCheckedLine && pending.firstLineEnd > 0) {
        this.#hasCheckedLine = true;
        const text = pending.bytes.toString('latin1', 0, pending.firstLineEnd);
        refuseMethod(readRequestLine(pending.bytes, 0, text, this.#maxTargetBytes).method);
      }
    }
  }

  #finishHead(head: RequestHead): void {
    this.#body.start(head.body);
    this.#stage = 'body';
    this.#sink.onHead(head);
  }

  #readBody(chunk: Buffer, at: number): number {
    const end = this.#body.feed(chunk, at);
    // The sink may have called `stop`.
    if (this.#body.isComplete && this.#stage === 'body') {
      this.#stage = 'complete';
      this.#sink.onComplete();
    }
    return end;
  }
}
