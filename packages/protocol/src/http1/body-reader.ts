/** Follows a body to its end, whatever its framing, and hands its bytes on as views. Shared by both readers. */
import type { BodySink } from './body-sink.ts';
import { ChunkedReader } from './chunked-reader.ts';
import type { Grammar } from './limits.ts';
import type { BodyFraming } from './message.ts';

export class BodyReader {
  /** The body has been read to its end. Never becomes true by itself when only the close of the connection ends it. */
  isComplete = true;
  readonly #grammar: Grammar;
  readonly #sink: BodySink;
  #kind: BodyFraming['kind'] = 'none';
  #remaining = 0;
  #chunked: ChunkedReader | undefined = undefined;

  constructor(grammar: Grammar, sink: BodySink) {
    this.#grammar = grammar;
    this.#sink = sink;
  }

  start(framing: BodyFraming): void {
    this.#kind = framing.kind;
    this.isComplete = framing.kind === 'none';
    if (framing.kind === 'length') {
      this.#remaining = framing.length;
      this.isComplete = framing.length === 0;
    } else if (framing.kind === 'chunked') {
      this.#chunked ??= new ChunkedReader(this.#grammar, this.#sink);
      this.#chunked.start();
    }
  }

  /** Hands nothing more on, even when called from within the sink. */
  stop(): void {
    this.isComplete = true;
    this.#chunked?.stop();
  }

  /** Reads from `at`; returns the position of the first byte that is not the body's. */
  feed(chunk: Buffer, at: number): number {
    if (this.isComplete || at === chunk.length) return at;
    if (this.#kind === 'chunked' && this.#chunked !== undefined) {
      const next = this.#chunked.feed(chunk, at);
      this.isComplete = this.#chunked.isComplete;
      return next;
    }
    const end = this.#kind === 'close' ? chunk.length : at + Math.min(this.#remaining, chunk.length - at);
    if (this.#kind === 'length') {
      this.#remaining -= end - at;
      this.isComplete = this.#remaining === 0;
    }
    this.#sink.onBody(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end));
    return end;
  }
}
