/** Whose turn it is on a lane: streams with little to say before bulk transfers, and within both in order of arrival. */
import type { Batch } from './batch.ts';
import { DATA_PAYLOAD_BYTES, LONE_PAYLOAD_BYTES } from './frame.ts';
import type { SessionStream } from './session-stream.ts';

/** A first-in, first-out list that never shifts an array. */
class Ring {
  #items: SessionStream[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  push(stream: SessionStream): void {
    this.#items.push(stream);
  }

  shift(): SessionStream | undefined {
    if (this.#first === this.#items.length) return undefined;
    const stream = this.#items[this.#first] as SessionStream;
    this.#first += 1;
    if (this.#first === this.#items.length) {
      this.#items = [];
      this.#first = 0;
    } else if (this.#first > 1_024) {
      this.#items.splice(0, this.#first);
      this.#first = 0;
    }
    return stream;
  }

  keepOnly(isWanted: (stream: SessionStream) => boolean): void {
    this.#items = this.#items.slice(this.#first).filter(isWanted);
    this.#first = 0;
  }
}

/** So long after somebody quiet had his turn others like him are expected. */
const SHARED_MS = 500;

/** So many that are over may stand in a queue that nobody takes from, and as many as there are others. */
const KEPT_OVER = 1_024;

export class Turns {
  readonly #urgent = new Ring();
  readonly #quiet = new Ring();
  readonly #bulk = new Ring();
  /** Streams that ended while they were waiting for their turn. */
  #over = 0;
  /** Who was quiet last, and when; and when somebody else was before. */
  #quietId = 0;
  #quietAt = Number.NEGATIVE_INFINITY;
  #quietBefore = Number.NEGATIVE_INFINITY;

  /** Whether bulk transfers have the lane to share with others, whom a long queue would keep waiting. */
  isShared(now: number): boolean {
    return now - this.#quietAt < SHARED_MS;
  }

  /** CREDIT and RESET frames that wait. */
  get urgentCount(): number {
    return this.#urgent.length;
  }

  /** Whether anybody waits; with `withBulk` false, whether anybody but bulk transfers does. */
  waits(withBulk: boolean): boolean {
    return this.#urgent.length > 0 || this.#quiet.length > 0 || (withBulk && this.#bulk.length > 0);
  }

  enqueue(stream: SessionStream): void {
    stream.queued = true;
    (stream.isQuiet ? this.#quiet : this.#bulk).push(stream);
  }

  enqueueUrgent(stream: SessionStream): void {
    if (stream.urgent) return;
    stream.urgent = true;
    this.#urgent.push(stream);
  }

  /** The stream is over. While the carrier takes nothing, streams may come and go: they must not pile up here. */
  forget(stream: SessionStream): void {
    if (!stream.queued) return;
    this.#over += 1;
    if (this.#over <= KEPT_OVER || this.#over * 2 <= this.#quiet.length + this.#bulk.length) return;
    this.#quiet.keepOnly((waiting) => !waiting.over);
    this.#bulk.keepOnly((waiting) => !waiting.over);
    this.#over = 0;
  }

  /** CREDIT and RESET frames; always, for they are few and others wait for them. */
  emitUrgent(batch: Batch): void {
    for (let stream = this.#urgent.shift(); stream !== undefined; stream = this.#urgent.shift()) {
      stream.urgent = false;
      stream.emitUrgent(batch);
    }
  }

  /** One quantum each, until `quietLimit` (`bulkLimit`) bytes are in the batch. Writers that may go on are listed. */
  emit(batch: Batch, quietLimit: number, bulkLimit: number, now: number, writable: SessionStream[]): void {
    this.#emitFrom(this.#quiet, batch, quietLimit, now, writable);
    this.#emitFrom(this.#bulk, batch, bulkLimit, now, writable);
  }

  /** What is quiet at first may be the beginning of a bulk transfer. */
  #follow(id: number, isQuiet: boolean, now: number): void {
    if (isQuiet) {
      if (id !== this.#quietId) this.#quietBefore = this.#quietAt;
      this.#quietId = id;
      this.#quietAt = now;
    } else if (id === this.#quietId) {
      this.#quietId = 0;
      this.#quietAt = this.#quietBefore;
    }
  }

  #emitFrom(ring: Ring, batch: Batch, limit: number, now: number, writable: SessionStream[]): void {
    while (batch.bytes < limit) {
      const stream = ring.shift();
      if (stream === undefined) return;
      stream.queued = false;
      if (stream.over) this.#over -= 1;
      if (!stream.sendable) continue;
      this.#follow(stream.id, ring === this.#quiet, now);
      // Nobody else waits, so that nobody is kept waiting by a longer frame.
      const quantum = this.waits(true) ? DATA_PAYLOAD_BYTES : LONE_PAYLOAD_BYTES;
      if (stream.emit(batch, quantum, now)) writable.push(stream);
      if (stream.sendable) {
        stream.queued = true;
        this.#bulk.push(stream);
      }
    }
  }
}
