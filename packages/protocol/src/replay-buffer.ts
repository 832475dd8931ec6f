/** What a lane has sent and the other end may ask for again. */
import { release } from './read-memory.ts';

interface EarlySegment {
  readonly segment: Buffer;
  readonly end: number;
}

/** Tracked bytes that were sent and are not acknowledged yet: what a resume sends again. Bounded by the lane's cap. */
export class ReplayBuffer {
  #segments: Buffer[] = [];
  #first = 0;
  /** Position of the first byte of the first segment kept. */
  #segmentStart = 0;
  #acked = 0;
  #end = 0;
  /** Position up to which the carrier has passed on what it was given. */
  #flushed = 0;
  /** Acknowledged, and perhaps not passed on by the carrier. */
  #early: EarlySegment[] = [];
  /** Bytes before this were given to a carrier that may hold them still. */
  #stuck = 0;

  /** Position up to which the other end has everything. */
  get acked(): number {
    return this.#acked;
  }

  /** Position behind the last byte sent. */
  get end(): number {
    return this.#end;
  }

  get unackedBytes(): number {
    return this.#end - this.#acked;
  }

  push(segment: Buffer): void {
    this.#segments.push(segment);
    this.#end += segment.length;
  }

  /** Of what was sent so far the carrier holds no more than the last `pendingBytes`. */
  flushed(pendingBytes: number): void {
    this.#flushed = Math.max(this.#flushed, this.#end - pendingBytes);
    let done = 0;
    for (; done < this.#early.length; done += 1) {
      const { segment, end } = this.#early[done] as EarlySegment;
      if (end > this.#flushed) break;
      release(segment);
    }
    if (done > 0) this.#early.splice(0, done);
  }

  /** The carrier is gone, with what it was given and has perhaps not passed on: that memory is never used again. */
  carrierGone(): void {
    this.#stuck = this.#end;
    this.#early = [];
  }

  /** False when `position` lies beyond what was sent. One that lies behind is old news and changes nothing. */
  ack(position: number): boolean {
    if (!(position <= this.#end)) return false;
    if (position <= this.#acked) return true;
    this.#acked = position;
    while (this.#first < this.#segments.length) {
      const segment = this.#segments[this.#first] as Buffer;
      const segmentEnd = this.#segmentStart + segment.length;
      if (segmentEnd > position) break;
      if (this.#segmentStart >= this.#stuck) this.#giveBack(segment, segmentEnd);
      this.#segmentStart = segmentEnd;
      this.#first += 1;
    }
    if (this.#first === this.#segments.length) {
      this.#segments = [];
      this.#first = 0;
    } else if (this.#first > 256) {
      this.#segments.splice(0, this.#first);
      this.#first = 0;
    }
    return true;
  }

  /**
   * The other end may acknowledge what the carrier still holds, and should the memory be used for something else by
   * then, would be sent that.
   */
  #giveBack(segment: Buffer, end: number): void {
    if (end <= this.#flushed) release(segment);
    else this.#early.push({ segment, end });
  }

  /** Everything from `position` on; undefined when that was already dropped or never sent. */
  from(position: number): Buffer[] | undefined {
    if (!(position >= this.#acked && position <= this.#end)) return undefined;
    const buffers: Buffer[] = [];
    let start = this.#segmentStart;
    for (let index = this.#first; index < this.#segments.length; index += 1) {
      const segment = this.#segments[index] as Buffer;
      const end = start + segment.length;
      if (end > position) buffers.push(start >= position ? segment : segment.subarray(position - start));
      start = end;
    }
    return buffers;
  }
}
