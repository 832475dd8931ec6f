/**
 * Memory that sockets are read into, used again once nobody looks at what it held. Bytes move through a process in views
 * of it, without a copy; whoever has done with some says `release`. Who never says so keeps the memory, and new memory
 * takes its place: forgetting costs speed, never bytes.
 */
import { HEADER_BYTES, LONE_PAYLOAD_BYTES } from './frame.ts';
import { Prefixes } from './prefixes.ts';

/** What one read takes at most: a frame of a bulk transfer with its header. */
export const BLOCK_BYTES = HEADER_BYTES + LONE_PAYLOAD_BYTES;
/** A fast one's reads take so many at once. */
export const LARGE_BLOCK_BYTES = 4 * BLOCK_BYTES;
/** So much memory waits for the next read at most; what bursts have needed beyond is given back. */
const MAX_FREE_BYTES = 16_777_216;
/** Copies up to this come from Node's own pool of small buffers. */
const SMALL_BYTES = 4_096;

class Block extends ArrayBuffer {
  readonly whole: Buffer;
  /** Bytes that somebody may still look at. */
  lentBytes = 0;
  readonly #onIdle: (block: Block) => void;
  #part: Buffer;

  constructor(bytes: number, onIdle: (block: Block) => void) {
    super(bytes);
    this.#onIdle = onIdle;
    this.whole = Buffer.from(this);
    this.#part = this.whole;
  }

  /** The first `bytes` of it: most reads are of the same size. */
  of(bytes: number): Buffer {
    if (bytes !== this.#part.length) this.#part = this.whole.subarray(0, bytes);
    return this.#part;
  }

  giveBack(bytes: number): void {
    this.lentBytes -= bytes;
    if (this.lentBytes > 0) return;
    if (this.lentBytes === 0) this.#onIdle(this);
    // Something was released twice: nobody knows any more who still looks at it. It is never used again.
    else this.lentBytes = Number.NaN;
  }
}

/**
 * Says that `bytes` of `chunk` (default: all) will not be looked at again. At most once for every byte, by whoever owns
 * it then; a no-op for memory that comes from elsewhere.
 */
export function release(chunk: Buffer, bytes = chunk.length): void {
  const block = chunk.buffer;
  if (block instanceof Block && bytes > 0) block.giveBack(bytes);
}

/** As `release`, of all of each; text is no memory of ours. */
export function releaseAll(pieces: readonly (string | Buffer)[]): void {
  for (const piece of pieces) if (typeof piece !== 'string') release(piece);
}

export class ReadMemory {
  /** For reads that are handled to their end before the next one starts, of any socket. */
  readonly shared = new Prefixes(Buffer.allocUnsafeSlow(BLOCK_BYTES));
  readonly #free: Block[] = [];
  readonly #freeLarge: Block[] = [];
  #freeBytes = 0;
  readonly #onFresh: ((bytes: number) => void) | undefined;
  readonly #onIdle = (block: Block): void => {
    if (block === this.#copies) {
      this.#copiesEnd = 0;
      return;
    }
    if (this.#freeBytes >= MAX_FREE_BYTES) return;
    this.#freeBytes += block.byteLength;
    this.#freeOf(block.byteLength).push(block);
  };
  /** Where copies go, one behind the other. */
  #copies: Block | undefined;
  #copiesEnd = 0;

  /** `onFresh` hears of memory that had to be made because none had come back. */
  constructor(onFresh?: (bytes: number) => void) {
    this.#onFresh = onFresh;
  }

  /**
   * `bytes` (at most `LARGE_BLOCK_BYTES`; default: `BLOCK_BYTES`) for one socket's next read. All of the block they are
   * part of counts as lent, which is `BLOCK_BYTES` if they fit, and `LARGE_BLOCK_BYTES` otherwise.
   */
  take(bytes = BLOCK_BYTES): Buffer {
    const block = this.#takeBlock(bytes > BLOCK_BYTES ? LARGE_BLOCK_BYTES : BLOCK_BYTES);
    block.lentBytes = block.byteLength;
    return block.of(bytes);
  }

  /** A copy of part of `shared`, or of anything else, that may be kept. At most `BLOCK_BYTES`. */
  copy(chunk: Buffer): Buffer {
    if (chunk.length <= SMALL_BYTES) return Buffer.from(chunk);
    if (this.#copies === undefined || !(this.#copies.lentBytes >= 0) || this.#copiesEnd + chunk.length > BLOCK_BYTES) {
      this.#copies = this.#takeBlock(BLOCK_BYTES);
      this.#copiesEnd = 0;
    }
    const block = this.#copies;
    const start = this.#copiesEnd;
    this.#copiesEnd += chunk.length;
    block.lentBytes += chunk.length;
    block.whole.set(chunk, start);
    return block.whole.subarray(start, this.#copiesEnd);
  }

  #takeBlock(bytes: number): Block {
    const free = this.#freeOf(bytes);
    for (let block = free.pop(); block !== undefined; block = free.pop()) {
      this.#freeBytes -= bytes;
      if (block.lentBytes === 0) return block;
    }
    this.#onFresh?.(bytes);
    return new Block(bytes, this.#onIdle);
  }

  #freeOf(bytes: number): Block[] {
    return bytes > BLOCK_BYTES ? this.#freeLarge : this.#free;
  }
}
