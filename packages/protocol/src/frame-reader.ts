/**
 * Cuts a byte stream that arrives in arbitrary pieces into frames. DATA payloads are handed on piece by piece as they
 * come, without copying; every other frame is handed on whole. Counts the tracked bytes, which is the lane's position.
 */
import { PortholeError } from './errors.ts';
import { FLAG_END, FRAME, HEADER_BYTES, headerFault, UNTRACKED_BIT } from './frame.ts';

export interface FrameSink {
  /** A whole frame other than DATA. Its payload is `from[start]` to `from[end - 1]`, valid during the call only. */
  onFrame(type: number, flags: number, streamId: number, from: Buffer, start: number, end: number): void;
  /** Bytes of a DATA frame, the sink's from here on (see `release`); `last` with the final piece of a frame that carries END (which may be empty). */
  onData(streamId: number, piece: Buffer, last: boolean): void;
}

const EMPTY = Buffer.alloc(0);

export class FrameReader {
  readonly #sink: FrameSink;
  #position = 0;
  /** Start of a frame that is not complete yet (never a DATA payload). */
  #partial: Buffer = EMPTY;
  #partialBytes = 0;
  /** Bytes still to come of the DATA payload under way. */
  #dataLeft = 0;
  #dataStream = 0;
  #dataEnds = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Tracked bytes processed so far. */
  get position(): number {
    return this.#position;
  }

  /**
   * The carrier is gone. Forgets an incomplete frame, which the other end sends again from `position` on; a DATA
   * payload under way goes on at its next byte.
   */
  forgetPartial(): void {
    this.#partial = EMPTY;
    this.#partialBytes = 0;
  }

  /**
   * Returns how many bytes of `chunk` were handed on as DATA: nobody looks at the others again.
   * Throws PortholeError PROTOCOL_ERROR; the reader is unusable then.
   */
  feed(chunk: Buffer): number {
    let offset = 0;
    let handedOn = 0;
    const end = chunk.length;
    while (offset < end) {
      if (this.#dataLeft > 0) {
        const next = this.#feedData(chunk, offset);
        handedOn += next - offset;
        offset = next;
        continue;
      }
      if (this.#partialBytes > 0) {
        offset = this.#feedPartial(chunk, offset);
        continue;
      }
      if (end - offset < HEADER_BYTES) {
        this.#keep(chunk, offset, HEADER_BYTES);
        return handedOn;
      }
      const type = chunk[offset] as number;
      const length = ((chunk[offset + 2] as number) << 8) | (chunk[offset + 3] as number);
      if (type === FRAME.data) {
        this.#startData(chunk, offset, length);
        offset += HEADER_BYTES;
        continue;
      }
      checkHeader(type, chunk[offset + 1] as number, length);
      const frameEnd = offset + HEADER_BYTES + length;
      if (frameEnd > end) {
        this.#keep(chunk, offset, HEADER_BYTES + length);
        return handedOn;
      }
      this.#deliver(type, chunk, offset, frameEnd);
      offset = frameEnd;
    }
    return handedOn;
  }

  #startData(from: Buffer, offset: number, length: number): void {
    const flags = from[offset + 1] as number;
    checkHeader(FRAME.data, flags, length);
    this.#position += HEADER_BYTES;
    this.#dataStream = readStreamId(from, offset);
    this.#dataEnds = (flags & FLAG_END) !== 0;
    this.#dataLeft = length;
    if (length === 0 && this.#dataEnds) this.#sink.onData(this.#dataStream, EMPTY, true);
  }

  #feedData(chunk: Buffer, offset: number): number {
    const available = chunk.length - offset;
    const take = available < this.#dataLeft ? available : this.#dataLeft;
    this.#dataLeft -= take;
    this.#position += take;
    const piece = take === chunk.length ? chunk : chunk.subarray(offset, offset + take);
    this.#sink.onData(this.#dataStream, piece, this.#dataEnds && this.#dataLeft === 0);
    return offset + take;
  }

  /** Goes on collecting a frame whose start is in `#partial`; returns the offset behind what it took. */
  #feedPartial(chunk: Buffer, offset: number): number {
    const take = Math.min(this.#partial.length - this.#partialBytes, chunk.length - offset);
    chunk.copy(this.#partial, this.#partialBytes, offset, offset + take);
    this.#partialBytes += take;
    if (this.#partialBytes < this.#partial.length) return offset + take;
    const partial = this.#partial;
    const type = partial[0] as number;
    if (partial.length === HEADER_BYTES) {
      const length = ((partial[2] as number) << 8) | (partial[3] as number);
      if (type === FRAME.data) {
        this.forgetPartial();
        this.#startData(partial, 0, length);
        return offset + take;
      }
      checkHeader(type, partial[1] as number, length);
      if (length > 0) {
        this.#keep(partial, 0, HEADER_BYTES + length);
        return offset + take;
      }
    }
    this.forgetPartial();
    this.#deliver(type, partial, 0, partial.length);
    return offset + take;
  }

  #keep(from: Buffer, offset: number, wanted: number): void {
    this.#partial = Buffer.allocUnsafe(wanted);
    this.#partialBytes = from.copy(this.#partial, 0, offset, Math.min(from.length, offset + wanted));
  }

  #deliver(type: number, from: Buffer, offset: number, end: number): void {
    // Counted first: should the sink end up asking for the position, this frame is part of it.
    if ((type & UNTRACKED_BIT) === 0) this.#position += end - offset;
    const flags = from[offset + 1] as number;
    this.#sink.onFrame(type, flags, readStreamId(from, offset), from, offset + HEADER_BYTES, end);
  }
}

function readStreamId(from: Buffer, offset: number): number {
  return (
    (from[offset + 4] as number) * 0x1000000 +
    (((from[offset + 5] as number) << 16) | ((from[offset + 6] as number) << 8) | (from[offset + 7] as number))
  );
}

function checkHeader(type: number, flags: number, length: number): void {
  const fault = headerFault(type, flags, length);
  if (fault !== undefined) throw new PortholeError('PROTOCOL_ERROR', fault);
}
