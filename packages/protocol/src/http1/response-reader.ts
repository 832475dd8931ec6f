/** Reads an origin's responses, each announced by `expect`. Pure: bytes in, callbacks out. */
import { PortholeError } from '../errors.ts';
import { BodyReader } from './body-reader.ts';
import type { BodySink } from './body-sink.ts';
import { endOfHead, HeadBuffer } from './head-buffer.ts';
import { withStrictLines } from './lenient.ts';
import { malformed, responseGrammar, type Grammar, type ResponseLimits } from './limits.ts';
import type { ResponseHead } from './message.ts';
import type { ReaderStage } from './request-reader.ts';
import { PlainResponse } from './plain-response.ts';
import { parseResponseHead } from './response-head.ts';

/** Called from within `feed` (and `onComplete` from within `finish`), in order: interim heads, head, body, trailers, complete. */
export interface ResponseSink extends BodySink {
  /** A 1xx response other than 101; another head follows. */
  onInterim(head: ResponseHead): void;
  /** The final response, or 101: then what `feed` does not consume is no HTTP any more. */
  onHead(head: ResponseHead): void;
  /** The response has ended; `isReusable` tells whether the connection may carry another request. */
  onComplete(): void;
}

/** A longer head is read again, so that little is kept of a connection that idles. */
const MAX_REMEMBERED = 4_096;
/** What every response begins with. */
const BEGINNING = Buffer.from('HTTP/1.', 'latin1');

export class ResponseReader {
  readonly #grammar: Grammar;
  readonly #maxInterim: number;
  readonly #sink: ResponseSink;
  readonly #body: BodyReader;
  readonly #pending: HeadBuffer;
  #stage: ReaderStage = 'complete';
  #method = '';
  #mayUpgrade = false;
  #interim = 0;
  #isKeptAlive = true;
  #isToClose = false;
  /** Bytes came that no response accounts for. */
  #hasSurplus = false;
  #last: PlainResponse | undefined;

  constructor(limits: ResponseLimits, sink: ResponseSink) {
    this.#grammar = responseGrammar(limits);
    this.#maxInterim = limits.maxInterim;
    this.#sink = sink;
    this.#body = new BodyReader(this.#grammar, sink);
    this.#pending = new HeadBuffer(this.#grammar);
  }

  /** `idle`: a response is expected and no byte of it is there; `complete`: none is expected. */
  get stage(): ReaderStage {
    return this.#stage;
  }

  /** Whether the connection may carry another request: complete, kept alive by both ends, no byte too many. */
  get isReusable(): boolean {
    return this.#stage === 'complete' && this.#isKeptAlive && !this.#hasSurplus;
  }

  /** Announces the response to a request with `method`. `mayUpgrade`: the request asked for an upgrade, so 101 is an answer. */
  expect(method: string, mayUpgrade = false): void {
    if (this.#stage !== 'complete') throw new PortholeError('INTERNAL', 'a response is still expected');
    this.#stage = 'idle';
    this.#method = method;
    this.#mayUpgrade = mayUpgrade;
    this.#interim = 0;
    this.#isToClose = false;
  }

  /**
   * Reads until the response is complete; returns the number of bytes consumed. What is left over follows a 101, or
   * makes the connection unusable. Throws PortholeError ORIGIN_BAD_RESPONSE or ORIGIN_HEAD_TOO_LARGE; nothing more is
   * read then.
   */
  feed(chunk: Buffer): number {
    if (this.#stage === 'complete') this.#hasSurplus ||= chunk.length > 0;
    if (this.#stage === 'complete' || this.#stage === 'failed') return 0;
    try {
      let at = 0;
      while (at < chunk.length && (this.#stage === 'idle' || this.#stage === 'head')) at = this.#readHead(chunk, at);
      return this.#stage === 'body' ? this.#readBody(chunk, at) : at;
    } catch (fault) {
      this.stop();
      throw fault;
    }
  }

  /**
   * The origin has closed its side. `complete`: nothing is missing (the end of a body without length is told to the
   * sink now). `truncated`: the response broke off. `unanswered`: not one byte of it came.
   */
  finish(): 'complete' | 'truncated' | 'unanswered' {
    this.#isKeptAlive = false;
    if (this.#stage === 'complete') return 'complete';
    if (this.#stage === 'body' && this.#isToClose) {
      this.#stage = 'complete';
      this.#sink.onComplete();
      return 'complete';
    }
    const isUnanswered = this.#stage === 'idle' && this.#interim === 0;
    this.stop();
    return isUnanswered ? 'unanswered' : 'truncated';
  }

  /** Hands nothing more on and lets go of what is buffered. Idempotent. */
  stop(): void {
    this.#stage = 'failed';
    this.#pending.clear();
    this.#body.stop();
  }

  #readHead(chunk: Buffer, at: number): number {
    this.#stage = 'head';
    if (this.#pending.length > 0 || this.#grammar.lenient) return this.#continueHead(chunk, at);
    const end = endOfHead(chunk, at, this.#grammar.maxHeadBytes);
    if (end === -1) return this.#continueHead(chunk, at);
    this.#finishHead(this.#parse(chunk, at, end));
    return end;
  }

  /** Heads that follow each other on a connection are often the same: such a one is read once. */
  #parse(chunk: Buffer, at: number, end: number): ResponseHead {
    const text = chunk.toString('latin1', at, end);
    const last = this.#last;
    if (last?.text === text && this.#method !== 'HEAD') return last;
    const head = parseResponseHead(text, chunk, at, end, this.#grammar, this.#method);
    this.#last = head instanceof PlainResponse && text.length <= MAX_REMEMBERED ? head : undefined;
    return head;
  }

  #continueHead(chunk: Buffer, at: number): number {
    const pending = this.#pending;
    let end: number;
    try {
      end = pending.take(chunk, at);
    } finally {
      this.#refuseOtherProtocol();
    }
    if (end === -1) return chunk.length;
    const { bytes, length } = withStrictLines(pending, this.#grammar);
    const text = bytes.toString('latin1', 0, length);
    const head = parseResponseHead(text, bytes, 0, length, this.#grammar, this.#method);
    pending.clear();
    this.#finishHead(head);
    return end;
  }

  /** Something that is not HTTP may never send an empty line: say so at its first bytes. */
  #refuseOtherProtocol(): void {
    const { bytes, length } = this.#pending;
    const known = Math.min(length, BEGINNING.length);
    if (bytes.compare(BEGINNING, 0, known, 0, known) !== 0)
      throw malformed(this.#grammar, 'not an HTTP/1.1 status line');
  }

  #finishHead(head: ResponseHead): void {
    if (head.status < 200 && head.status !== 101) {
      this.#stage = 'idle';
      if (++this.#interim > this.#maxInterim)
        throw malformed(this.#grammar, `more than ${this.#maxInterim} interim responses`);
      this.#sink.onInterim(head);
      return;
    }
    if (head.status === 101 && !this.#mayUpgrade)
      throw malformed(this.#grammar, '101 without having been asked to upgrade');
    this.#isKeptAlive = head.keepAlive && head.status !== 101;
    this.#isToClose = head.body.kind === 'close';
    this.#body.start(head.body);
    this.#stage = 'body';
    this.#sink.onHead(head);
  }

  #readBody(chunk: Buffer, at: number): number {
    const end = this.#body.feed(chunk, at);
    // The sink may have called `stop`.
    if (this.#body.isComplete && this.#stage === 'body') {
      this.#stage = 'complete';
      this.#hasSurplus = end < chunk.length;
      this.#sink.onComplete();
    }
    return end;
  }
}
