/** Tracked bytes that were sent and are not acknowledged yet: what a resume sends again. Bounded by the lane's cap. */
export class ReplayBuffer {
  #segments: Buffer[] = [];
  #first = 0;
  /** Position of the first byte of the first segment kept. */
  #segmentStart = 0;
  #acked = 0;
  #end = 0;

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

  /** False when `position` lies beyond what was sent. One that lies behind is old news and changes nothing. */
  ack(position: number): boolean {
    if (!(position <= this.#end)) return false;
    if (position <= this.#acked) return true;
    this.#acked = position;
    while (this.#first < this.#segments.length) {
      const segmentEnd = this.#segmentStart + (this.#segments[this.#first] as Buffer).length;
      if (segmentEnd > position) break;
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
