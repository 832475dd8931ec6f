/**
 * Puts the frames of one event-loop turn together so that they leave in one write: heads and small payloads are copied
 * into a slab and become one buffer, large payloads go along as they are.
 */
import { HEADER_BYTES, writeHeader, writeU64 } from './frame.ts';
import { release } from './read-memory.ts';

/** Payloads up to this are copied; above, a buffer of their own costs less than the copy. */
const COPY_LIMIT_BYTES = 4_096;
const SLAB_BYTES = 65_536;
const SMALL_SLAB_BYTES = 2_048;

const NO_SLAB = Buffer.alloc(0);

export class Batch {
  #slab = NO_SLAB;
  #offset = 0;
  #runStart = 0;
  #untrackedBytes = 0;
  #buffers: Buffer[] = [];
  #bytes = 0;

  /** Bytes put in since `begin`. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `recycle`: nothing written earlier is needed any more, so the slab may be filled from its start again. */
  begin(recycle: boolean): void {
    if (recycle) this.#offset = 0;
    this.#runStart = this.#offset;
    this.#untrackedBytes = 0;
    this.#buffers = [];
    this.#bytes = 0;
  }

  /** A frame whose payload the caller writes; returns where in `slab`. Valid until the next call. */
  frame(type: number, flags: number, payloadBytes: number, streamId: number): number {
    this.#reserve(HEADER_BYTES + payloadBytes);
    const at = writeHeader(this.#slab, this.#offset, type, flags, payloadBytes, streamId);
    this.#offset = at + payloadBytes;
    this.#bytes += HEADER_BYTES + payloadBytes;
    return at;
  }

  /** A frame that holds one number. */
  numberFrame(type: number, streamId: number, value: number): void {
    const at = this.frame(type, 0, 8, streamId);
    writeU64(this.#slab, at, value);
  }

  /** The memory that `frame` gave an offset into; another one after the next frame. */
  get slab(): Buffer {
    return this.#slab;
  }

  /** A frame with part of `payload`, whose memory is the batch's from here on. */
  payloadFrame(type: number, flags: number, payload: Buffer, start: number, end: number, streamId: number): void {
    const length = end - start;
    if (length <= COPY_LIMIT_BYTES) {
      const at = this.frame(type, flags, length, streamId);
      payload.copy(this.#slab, at, start, end);
      release(payload, length);
      return;
    }
    this.#reserve(HEADER_BYTES);
    this.#offset = writeHeader(this.#slab, this.#offset, type, flags, length, streamId);
    this.#closeRun();
    this.#buffers.push(start === 0 && end === payload.length ? payload : payload.subarray(start, end));
    this.#bytes += HEADER_BYTES + length;
  }

  /** All frames so far are untracked: they are written, but not kept. Must come before any tracked frame. */
  endUntracked(): void {
    this.#untrackedBytes = this.#bytes;
  }

  /** What to write. Each tracked buffer is handed to `keep` first. */
  finish(keep: (tracked: Buffer) => void): Buffer[] {
    this.#closeRun();
    const buffers = this.#buffers;
    let skip = this.#untrackedBytes;
    for (const buffer of buffers) {
      if (skip >= buffer.length) {
        skip -= buffer.length;
        continue;
      }
      keep(skip === 0 ? buffer : buffer.subarray(skip));
      skip = 0;
    }
    return buffers;
  }

  /** Gives the memory back while there is nothing to send. */
  shrink(): void {
    this.#slab = NO_SLAB;
    this.#offset = 0;
    this.#runStart = 0;
  }

  #reserve(bytes: number): void {
    if (this.#offset + bytes <= this.#slab.length) return;
    this.#closeRun();
    const roomy = this.#slab.length > 0 ? SLAB_BYTES : SMALL_SLAB_BYTES;
    this.#slab = Buffer.allocUnsafeSlow(Math.max(roomy, bytes));
    this.#offset = 0;
    this.#runStart = 0;
  }

  #closeRun(): void {
    if (this.#offset > this.#runStart) this.#buffers.push(this.#slab.subarray(this.#runStart, this.#offset));
    this.#runStart = this.#offset;
  }
}
