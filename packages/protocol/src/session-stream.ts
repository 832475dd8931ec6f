/**
 * One stream inside a session: what waits to be sent, the credit both ways, and the two ends that each close on their
 * own. Knows nothing of carriers; its lane asks it to `emit` when there is room on the line.
 */
import type { Batch } from './batch.ts';
import { type ErrorCode, ERRORS, PortholeError } from './errors.ts';
import { encodeReason, FLAG_END, FRAME, INITIAL_WINDOW_BYTES, MAX_BLOCK_BYTES, OPEN_PREFIX_BYTES } from './frame.ts';
import { release } from './read-memory.ts';
import { ReceiveWindow, type WindowBudget } from './receive-window.ts';
import type { Stream, StreamKind, StreamSink } from './stream-contract.ts';

/** `write` says false from here on. */
const SEND_QUEUE_HIGH_BYTES = 131_072;
/** With so much waiting, the lane need not wait for the turn's end: nobody's small frames would go along anyway. */
const HURRY_BYTES = 65_536;
/** `onWritable` is called when no more than this waits. */
const SEND_QUEUE_LOW_BYTES = 32_768;
/** A stream with no more than this waiting, and not much sent lately, goes before bulk transfers. */
const QUIET_QUEUE_BYTES = 16_384;
const QUIET_BURST_BYTES = 65_536;
const QUIET_BURST_MIN_MS = 20;

/** Most streams never have more than one of each to send: lists are made when there is something to put in. */
const NO_HEADS: string[] = [];
const NO_CHUNKS: Buffer[] = [];

export interface StreamOpening {
  readonly kind: StreamKind;
  readonly tunnelId: number;
  readonly block: string;
}

/** What a stream needs of the lane it is pinned to. */
export interface StreamLane {
  readonly minRttMs: number;
  now(): number;
  /** The stream has something to send. */
  enqueue(stream: SessionStream): void;
  /** A whole write's worth waits. */
  hurry(): void;
  /** A CREDIT or RESET frame is due. */
  enqueueUrgent(stream: SessionStream): void;
  /** The stream is over at both ends. */
  forget(stream: SessionStream): void;
}

export class SessionStream implements Stream {
  readonly id: number;
  /** It is pinned to it: frames of a stream arrive in order. */
  readonly lane: StreamLane;
  sink: StreamSink | undefined;
  /** Whether it stands in one of the lane's queues. */
  queued = false;
  urgent = false;

  readonly #window: ReceiveWindow;
  #opening: StreamOpening | undefined;
  #heads = NO_HEADS;
  #chunks = NO_CHUNKS;
  #firstChunk = 0;
  /** Bytes of the first chunk that are sent already. */
  #chunkOffset = 0;
  #waitingBytes = 0;
  #trailers: string | undefined;
  #sent = 0;
  #sendLimit = INITIAL_WINDOW_BYTES;
  #ending = false;
  #endSent = false;
  #endReceived = false;
  #over = false;
  #writerWaits = false;
  #creditDue = false;
  #resetDue: Buffer | undefined;
  #burstBytes = 0;
  #burstStart = 0;

  constructor(id: number, lane: StreamLane, budget: WindowBudget, opening?: StreamOpening) {
    this.id = id;
    this.lane = lane;
    this.#window = new ReceiveWindow(budget);
    this.#opening = opening;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Bytes that wait here: to be sent, and received but not consumed. */
  get bufferedBytes(): number {
    return this.#waitingBytes + this.#window.heldBytes;
  }

  sendHead(block: string): void {
    if (block.length > MAX_BLOCK_BYTES) throw new PortholeError('HEAD_TOO_LARGE', `${block.length} bytes`);
    if (this.#over || this.#ending) return;
    if (this.#heads.length === 0) this.#heads = [block];
    else this.#heads.push(block);
    this.#wantTurn();
  }

  write(chunk: Buffer): boolean {
    if (this.#over || this.#ending || chunk.length === 0) return true;
    if (this.#chunks.length === 0) this.#chunks = [chunk];
    else this.#chunks.push(chunk);
    const before = this.#waitingBytes;
    this.#waitingBytes += chunk.length;
    this.#wantTurn();
    if (before < HURRY_BYTES && this.#waitingBytes >= HURRY_BYTES) this.lane.hurry();
    if (this.#waitingBytes < SEND_QUEUE_HIGH_BYTES) return true;
    this.#writerWaits = true;
    return false;
  }

  sendTrailers(block: string): void {
    if (block.length > MAX_BLOCK_BYTES) throw new PortholeError('HEAD_TOO_LARGE', `${block.length} bytes of trailers`);
    if (this.#over || this.#ending) return;
    this.#trailers = block;
  }

  end(): void {
    if (this.#over || this.#ending) return;
    this.#ending = true;
    this.#wantTurn();
  }

  reset(code: ErrorCode, detail = ''): void {
    if (this.#over) return;
    // A stream the other end never heard of needs no reset.
    const isKnown = this.#opening === undefined;
    if (isKnown) this.#resetDue = encodeReason(ERRORS[code].wire, detail);
    this.#finish();
    if (isKnown) this.lane.enqueueUrgent(this);
  }

  consumed(bytes: number): void {
    if (this.#over || this.#endReceived) return;
    if (!this.#window.consume(bytes, this.lane.minRttMs, this.lane.now()) || this.#creditDue) return;
    this.#creditDue = true;
    this.lane.enqueueUrgent(this);
  }

  /** Whether its next frames may go before bulk transfers. */
  get isQuiet(): boolean {
    if (this.#waitingBytes > QUIET_QUEUE_BYTES) return false;
    if (this.#burstBytes < QUIET_BURST_BYTES) return true;
    if (this.lane.now() - this.#burstStart > Math.max(QUIET_BURST_MIN_MS, Math.min(1_000, this.lane.minRttMs)))
      this.#burstBytes = 0;
    return this.#burstBytes < QUIET_BURST_BYTES;
  }

  /** Whether `emit` would put anything out just now. */
  get sendable(): boolean {
    if (this.#over) return false;
    if (this.#opening !== undefined || this.#heads.length > 0) return true;
    if (this.#waitingBytes > 0) return this.#sent < this.#sendLimit;
    return this.#ending && !this.#endSent;
  }

  /** Puts frames with up to `quantum` bytes of data (at most `LONE_PAYLOAD_BYTES`) into the batch. True when a waiting writer may go on. */
  emit(batch: Batch, quantum: number, now: number): boolean {
    if (this.#opening !== undefined) this.#emitOpening(batch, this.#opening);
    if (this.#heads.length > 0) this.#emitHeads(batch);
    if (this.#waitingBytes > 0) this.#emitData(batch, quantum, now);
    if (this.#waitingBytes === 0 && this.#ending && !this.#endSent) this.#emitEnd(batch);
    if (!this.#writerWaits || this.#waitingBytes > SEND_QUEUE_LOW_BYTES) return false;
    this.#writerWaits = false;
    return !this.#over;
  }

  emitUrgent(batch: Batch): void {
    if (this.#resetDue !== undefined) {
      batch.payloadFrame(FRAME.reset, 0, this.#resetDue, 0, this.#resetDue.length, this.id);
      this.#resetDue = undefined;
      return;
    }
    if (!this.#creditDue) return;
    this.#creditDue = false;
    if (this.#over || this.#endReceived) return;
    batch.numberFrame(FRAME.credit, this.id, this.#window.granted);
  }

  receiveHead(block: string, last: boolean): void {
    if (this.#endReceived) throw new PortholeError('PROTOCOL_ERROR', 'head after the end of a stream');
    this.sink?.onHead(block);
    if (last) this.receiveEnd();
  }

  receiveData(piece: Buffer, last: boolean): void {
    if (this.#endReceived) throw new PortholeError('PROTOCOL_ERROR', 'data after the end of a stream');
    if (piece.length > 0) {
      if (!this.#window.receive(piece.length)) throw new PortholeError('FLOW_CONTROL', `stream ${this.id}`);
      this.sink?.onData(piece);
    }
    if (last) this.receiveEnd();
  }

  receiveTrailers(block: string): void {
    if (this.#endReceived) throw new PortholeError('PROTOCOL_ERROR', 'trailers after the end of a stream');
    this.sink?.onTrailers(block);
    this.receiveEnd();
  }

  receiveEnd(): void {
    if (this.#over || this.#endReceived) return;
    this.#endReceived = true;
    this.sink?.onEnd();
    if (this.#endSent) this.#finish();
  }

  receiveReset(code: ErrorCode, detail: string): void {
    if (this.#over) return;
    this.#finish();
    // What never left cannot have had an effect.
    this.sink?.onReset(this.#opening === undefined ? code : 'STREAM_REFUSED', detail);
  }

  raiseSendLimit(limit: number): void {
    if (Number.isNaN(limit)) throw new PortholeError('PROTOCOL_ERROR', 'credit out of range');
    if (limit <= this.#sendLimit) return;
    this.#sendLimit = limit;
    this.#wantTurn();
  }

  #wantTurn(): void {
    if (!this.queued && this.sendable) this.lane.enqueue(this);
  }

  #emitOpening(batch: Batch, opening: StreamOpening): void {
    this.#opening = undefined;
    const ends = this.#ending && this.#waitingBytes === 0 && this.#trailers === undefined && this.#heads.length === 0;
    const length = opening.block.length;
    const at = batch.frame(FRAME.open, ends ? FLAG_END : 0, OPEN_PREFIX_BYTES + length, this.id);
    batch.slab[at] = opening.kind;
    batch.slab.writeUInt32BE(opening.tunnelId, at + 1);
    batch.slab.write(opening.block, at + OPEN_PREFIX_BYTES, length, 'latin1');
    if (ends) this.#markEndSent();
  }

  #emitHeads(batch: Batch): void {
    const heads = this.#heads;
    this.#heads = NO_HEADS;
    for (let index = 0; index < heads.length; index += 1) {
      const block = heads[index] as string;
      const ends =
        index === heads.length - 1 && this.#ending && this.#waitingBytes === 0 && this.#trailers === undefined;
      const at = batch.frame(FRAME.head, ends ? FLAG_END : 0, block.length, this.id);
      batch.slab.write(block, at, block.length, 'latin1');
      if (ends) this.#markEndSent();
    }
  }

  #emitData(batch: Batch, quantum: number, now: number): void {
    let allowed = Math.min(quantum, this.#sendLimit - this.#sent);
    const before = this.#waitingBytes;
    while (allowed > 0 && this.#waitingBytes > 0) {
      const chunk = this.#chunks[this.#firstChunk] as Buffer;
      const start = this.#chunkOffset;
      const bytes = Math.min(chunk.length - start, allowed);
      const ends = bytes === this.#waitingBytes && this.#ending && this.#trailers === undefined;
      batch.payloadFrame(FRAME.data, ends ? FLAG_END : 0, chunk, start, start + bytes, this.id);
      this.#waitingBytes -= bytes;
      this.#sent += bytes;
      allowed -= bytes;
      if (start + bytes === chunk.length) this.#dropFirstChunk();
      else this.#chunkOffset = start + bytes;
      if (ends) this.#markEndSent();
    }
    if (this.#burstBytes === 0) this.#burstStart = now;
    this.#burstBytes += before - this.#waitingBytes;
  }

  #dropFirstChunk(): void {
    this.#chunkOffset = 0;
    this.#firstChunk += 1;
    if (this.#firstChunk === this.#chunks.length) {
      this.#chunks = NO_CHUNKS;
      this.#firstChunk = 0;
    } else if (this.#firstChunk > 64) {
      this.#chunks.splice(0, this.#firstChunk);
      this.#firstChunk = 0;
    }
  }

  #emitEnd(batch: Batch): void {
    if (this.#trailers !== undefined) {
      const block = this.#trailers;
      const at = batch.frame(FRAME.trailers, 0, block.length, this.id);
      batch.slab.write(block, at, block.length, 'latin1');
    } else {
      batch.frame(FRAME.data, FLAG_END, 0, this.id);
    }
    this.#markEndSent();
  }

  #markEndSent(): void {
    this.#endSent = true;
    if (this.#endReceived) this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#dropChunks();
    this.#heads = NO_HEADS;
    this.#waitingBytes = 0;
    this.#window.close();
    this.lane.forget(this);
  }

  #dropChunks(): void {
    for (let index = this.#firstChunk; index < this.#chunks.length; index += 1) {
      const chunk = this.#chunks[index] as Buffer;
      release(chunk, index === this.#firstChunk ? chunk.length - this.#chunkOffset : chunk.length);
    }
    this.#chunks = NO_CHUNKS;
    this.#firstChunk = 0;
    this.#chunkOffset = 0;
  }
}
