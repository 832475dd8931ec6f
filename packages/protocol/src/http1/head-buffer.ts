/**
 * Collects a head or a trailer section that did not arrive in one chunk, up to its empty line. Every byte is looked at
 * once, however the chunks fall; broken line ends are refused as soon as they are seen.
 */
import { PortholeError } from '../errors.ts';
import { malformed, type Grammar } from './limits.ts';
import { CR, LF } from './octets.ts';

const FIRST_CAPACITY = 1024;

export class HeadBuffer {
  /** What was collected; meaningful up to `length`. */
  bytes: Buffer = NO_BYTES;
  length = 0;
  /** Index just past the first line, 0 while it is incomplete. */
  firstLineEnd = 0;
  readonly #grammar: Grammar;
  #lineStart = 0;

  constructor(grammar: Grammar) {
    this.#grammar = grammar;
  }

  /**
   * Takes from `chunk` starting at `at`. Returns the position in `chunk` just past the empty line, or -1 when all was
   * taken and more is needed. Throws when a line ends in a bare LF or the limit is reached.
   */
  take(chunk: Buffer, at: number): number {
    const before = this.length;
    const until = Math.min(before + chunk.length - at, this.#grammar.maxHeadBytes);
    this.#reserve(until);
    chunk.copy(this.bytes, before, at, at + until - before);
    const end = this.#findEnd(before, until);
    if (end !== 0) {
      this.length = end;
      return at + end - before;
    }
    this.length = until;
    if (until === this.#grammar.maxHeadBytes) throw this.#tooLarge();
    return -1;
  }

  clear(): void {
    this.bytes = NO_BYTES;
    this.length = 0;
    this.firstLineEnd = 0;
    this.#lineStart = 0;
  }

  #findEnd(from: number, until: number): number {
    const bytes = this.bytes;
    for (let i = from; i < until; i++) {
      if (bytes[i] !== LF) continue;
      let lineEnd = i;
      if (i > this.#lineStart && bytes[i - 1] === CR) lineEnd--;
      else if (!this.#grammar.lenient) throw malformed(this.#grammar, 'a line ends in LF without CR');
      if (lineEnd === this.#lineStart) return i + 1;
      this.#lineStart = i + 1;
      if (this.firstLineEnd === 0) this.firstLineEnd = i + 1;
    }
    return 0;
  }

  #reserve(capacity: number): void {
    if (capacity <= this.bytes.length) return;
    const wanted = Math.max(capacity, FIRST_CAPACITY, this.bytes.length * 2);
    const grown = Buffer.allocUnsafe(Math.min(wanted, Math.max(capacity, this.#grammar.maxHeadBytes)));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }

  #tooLarge(): PortholeError {
    const code = this.firstLineEnd === 0 ? this.#grammar.firstLineTooLong : this.#grammar.headTooLarge;
    return new PortholeError(code, `more than ${this.#grammar.maxHeadBytes} bytes`);
  }
}

const NO_BYTES = Buffer.alloc(0);

/**
 * Index just past the first CR LF CR LF from `at`, or -1 when there is none within `limit` bytes. Looks at every fourth
 * byte only, until it meets a CR or LF.
 */
export function endOfHead(chunk: Buffer, at: number, limit: number): number {
  const last = Math.min(chunk.length, at + limit);
  let i = at + 3;
  while (i < last) {
    const byte = chunk[i] as number;
    if (byte === LF) {
      if (chunk[i - 1] === CR && chunk[i - 2] === LF && chunk[i - 3] === CR) return i + 1;
      i += 2;
    } else if (byte === CR) i += 1;
    else i += 4;
  }
  return -1;
}
