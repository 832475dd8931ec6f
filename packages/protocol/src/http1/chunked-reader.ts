/**
 * Takes a chunked body apart (RFC 9112 section 7.1). Strict: hex digits, well-formed extensions without space around
 * them, CRLF and nothing else. Extensions are checked, bounded and dropped. A state machine, so that chunks of input may
 * end anywhere.
 */
import type { BodySink } from './body-sink.ts';
import { FieldNotes, readFieldLines } from './field-lines.ts';
import { HeadBuffer } from './head-buffer.ts';
import { withStrictLines } from './lenient.ts';
import { malformed, type Grammar } from './limits.ts';
import { CR, HEX_DIGIT, HTAB, LF, SP } from './octets.ts';

/** Bytes of one chunk's extensions, and of all of a message: they cost the reader and carry nothing. */
const MAX_EXTENSION_BYTES = 256;
const MAX_ALL_EXTENSIONS_BYTES = 16_384;
/** 14 digits hold every safe integer; a few leading zeros are sent by some. */
const MAX_SIZE_DIGITS = 16;
const SEMICOLON = 0x3b;

const EXTENSION =
  /^(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*"))?)+$/;

const STATE = { size: 0, extension: 1, sizeLf: 2, data: 3, dataCr: 4, dataLf: 5, trailers: 6, done: 7 } as const;
type State = (typeof STATE)[keyof typeof STATE];

export class ChunkedReader {
  readonly #grammar: Grammar;
  readonly #sink: BodySink;
  readonly #trailers: HeadBuffer;
  #state: State = STATE.done;
  /** Size of the chunk while its size line is read, then bytes of it still to come. */
  #size = 0;
  #digits = 0;
  #extension = '';
  #extensionBytes = 0;

  constructor(grammar: Grammar, sink: BodySink) {
    this.#grammar = grammar;
    this.#sink = sink;
    // A trailer line without end is too large a section, not too long a target.
    this.#trailers = new HeadBuffer({ ...grammar, firstLineTooLong: grammar.headTooLarge });
  }

  get isComplete(): boolean {
    return this.#state === STATE.done;
  }

  start(): void {
    this.#state = STATE.size;
    this.#size = 0;
    this.#digits = 0;
    this.#extension = '';
    this.#extensionBytes = 0;
    this.#trailers.clear();
  }

  stop(): void {
    this.#state = STATE.done;
    this.#trailers.clear();
  }

  /** Reads from `at`; returns the position of the first byte that is not the body's. */
  feed(chunk: Buffer, at: number): number {
    while (at < chunk.length && this.#state !== STATE.done) {
      switch (this.#state) {
        case STATE.size:
          at = this.#readSize(chunk, at);
          break;
        case STATE.extension:
          at = this.#readExtension(chunk, at);
          break;
        case STATE.data:
          at = this.#readData(chunk, at);
          break;
        case STATE.trailers:
          at = this.#readTrailers(chunk, at);
          break;
        default:
          this.#readLineEnd(chunk[at++] as number);
      }
    }
    return at;
  }

  #readSize(chunk: Buffer, at: number): number {
    for (; at < chunk.length; at++) {
      const byte = chunk[at] as number;
      const digit = HEX_DIGIT[byte] as number;
      if (digit === 255) return this.#endSize(byte, at);
      this.#size = this.#size * 16 + digit;
      if (++this.#digits > MAX_SIZE_DIGITS || this.#size > Number.MAX_SAFE_INTEGER)
        throw malformed(this.#grammar, 'a chunk size is too large');
    }
    return at;
  }

  #endSize(byte: number, at: number): number {
    if (this.#digits === 0) throw malformed(this.#grammar, 'a chunk without a size');
    const isPadding = this.#grammar.lenient && (byte === SP || byte === HTAB);
    if (byte === CR) this.#state = STATE.sizeLf;
    else if (byte === LF && this.#grammar.lenient) this.#beginChunk();
    else if (byte === SEMICOLON || isPadding) {
      this.#state = STATE.extension;
      return at;
    } else throw malformed(this.#grammar, 'a chunk size is not plain hexadecimal digits');
    return at + 1;
  }

  #readExtension(chunk: Buffer, at: number): number {
    const most = at + MAX_EXTENSION_BYTES + 1 - this.#extension.length;
    let end = at;
    while (end < chunk.length && end < most && chunk[end] !== CR && chunk[end] !== LF) end++;
    this.#extension += chunk.toString('latin1', at, end);
    this.#extensionBytes += end - at;
    const isTooLong = this.#extension.length > MAX_EXTENSION_BYTES || this.#extensionBytes > MAX_ALL_EXTENSIONS_BYTES;
    if (isTooLong) throw malformed(this.#grammar, 'chunk extensions are too long');
    if (end === chunk.length) return end;
    const extension = this.#grammar.lenient ? this.#extension.replace(/^[ \t]+|[ \t]+$/g, '') : this.#extension;
    if (extension !== '' && !EXTENSION.test(extension))
      throw malformed(this.#grammar, 'a chunk extension is malformed');
    this.#extension = '';
    if (chunk[end] === CR) this.#state = STATE.sizeLf;
    else if (this.#grammar.lenient) this.#beginChunk();
    else throw malformed(this.#grammar, 'a chunk size line ends in LF without CR');
    return end + 1;
  }

  #readData(chunk: Buffer, at: number): number {
    const end = at + Math.min(this.#size, chunk.length - at);
    this.#size -= end - at;
    if (this.#size === 0) this.#state = STATE.dataCr;
    this.#sink.onBody(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end));
    return end;
  }

  #readLineEnd(byte: number): void {
    const isBareLf = byte === LF && this.#grammar.lenient;
    if (this.#state === STATE.dataCr && byte === CR) this.#state = STATE.dataLf;
    else if (this.#state === STATE.dataCr ? isBareLf : this.#state === STATE.dataLf && byte === LF)
      this.#state = STATE.size;
    else if (this.#state === STATE.sizeLf && byte === LF) this.#beginChunk();
    else throw malformed(this.#grammar, 'a chunk does not end in CRLF');
  }

  /** The size line has ended. */
  #beginChunk(): void {
    this.#digits = 0;
    this.#state = this.#size === 0 ? STATE.trailers : STATE.data;
  }

  #readTrailers(chunk: Buffer, at: number): number {
    const end = this.#trailers.take(chunk, at);
    if (end === -1) return chunk.length;
    const { bytes, length } = withStrictLines(this.#trailers, this.#grammar);
    const block = { bytes, text: bytes.toString('latin1', 0, length), base: 0, end: length - 2 };
    const fields = readFieldLines(block, 0, this.#grammar, new FieldNotes());
    this.stop();
    if (fields.length > 0) this.#sink.onTrailers(fields);
    return end;
  }
}
