/**
 * One resumable, ordered frame channel of a session. Counts what it has processed and keeps what it has sent until that
 * is acknowledged, so that the carrier below may be replaced at any byte. Pure: bytes in, bytes out, time as an argument.
 */
import { Batch } from './batch.ts';
import { PortholeError } from './errors.ts';
import { FRAME, isTracked, readU64, SKIPPABLE_BIT } from './frame.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { IN_FLIGHT_LIMIT_BYTES, InFlightCap } from './in-flight.ts';
import { ReplayBuffer } from './replay-buffer.ts';
import type { SessionStream, StreamLane } from './session-stream.ts';
import { Turns } from './turns.ts';

/** An acknowledgement goes out at the latest when this much was processed since the last one … */
export const ACK_EVERY_BYTES = 65_536;
/** … or after this time, whichever comes first; earlier along with anything else that is sent. */
export const ACK_DELAY_MS = 10;
/** Quiet streams may go this far beyond the cap that holds bulk transfers back. */
const QUIET_ALLOWANCE_BYTES = 65_536;
/**
 * What one end may make the other owe it in answers it does not take: frames that end or credit streams (twice as many
 * as may be open, and a few), bytes of messages, and bytes beyond every cap that are sent and not acknowledged.
 */
const FEW_OWED_FRAMES = 4_096;
const MAX_OWED_MESSAGE_BYTES = 1_048_576;
const MAX_UNACKED_BYTES = IN_FLIGHT_LIMIT_BYTES + 16_777_216;

/** Frames that concern the session rather than the lane, and what the lane reports. */
export interface LaneOwner {
  /** Open streams at once, in all. */
  readonly maxStreams: number;
  now(): number;
  /** As `FrameSink.onFrame`. */
  onStreamFrame(
    lane: Lane,
    type: number,
    flags: number,
    streamId: number,
    from: Buffer,
    start: number,
    end: number,
  ): void;
  onStreamData(streamId: number, piece: Buffer, last: boolean): void;
  /** There is something to `pull`. */
  onWantWrite(lane: Lane): void;
  onForget(stream: SessionStream): void;
  /** A writer that was told to wait may go on. */
  onWritable(stream: SessionStream): void;
}

export class Lane implements FrameSink, StreamLane {
  readonly index: number;
  readonly #owner: LaneOwner;
  readonly #reader = new FrameReader(this);
  readonly #replay = new ReplayBuffer();
  readonly #batch = new Batch();
  readonly #turns = new Turns();
  readonly #keep = (segment: Buffer): void => this.#replay.push(segment);
  #inFlight = new InFlightCap();
  #attached = false;
  /** What the other end lost with the last carrier; goes first on the new one. */
  #resend: Buffer[] = [];
  #messages: Buffer[] = [];
  #messageBytes = 0;
  #ackSent = 0;
  #ackSentAt = 0;
  #ackDue = false;
  #pingDue = false;
  #pingSentAt = 0;
  /** What the other end's ping said; any eight bytes. */
  #pongDue: Buffer | undefined;
  #held = false;
  #hurries = false;

  constructor(index: number, owner: LaneOwner) {
    this.index = index;
    this.#owner = owner;
  }

  get attached(): boolean {
    return this.#attached;
  }

  /** Tracked bytes processed: what a resume reports. */
  get received(): number {
    return this.#reader.position;
  }

  get unackedBytes(): number {
    return this.#replay.unackedBytes;
  }

  get capBytes(): number {
    return this.#inFlight.capBytes;
  }

  get minRttMs(): number {
    return this.#inFlight.minRttMs;
  }

  /** Bytes were processed whose acknowledgement waits for something to ride with, at most `ACK_DELAY_MS`. */
  get ackPending(): boolean {
    return this.#attached && this.#reader.position > this.#ackSent;
  }

  /** When the last acknowledgement was put into what `pull` returned: what waits now came after it. */
  get ackSentAt(): number {
    return this.#ackSentAt;
  }

  /** There is enough for a write of its own: `pull` as soon as possible. */
  get hurries(): boolean {
    return this.#hurries;
  }

  now(): number {
    return this.#owner.now();
  }

  /**
   * A carrier stands, and the other end has processed `peerReceived` bytes of ours.
   * Throws SESSION_GONE when those are not bytes we could continue from.
   */
  attach(peerReceived: number): void {
    const resend = this.#replay.from(peerReceived);
    if (resend === undefined) throw new PortholeError('SESSION_GONE', 'position out of range');
    this.#replay.ack(peerReceived);
    this.#resend = resend;
    this.#attached = true;
    this.#inFlight = new InFlightCap(peerReceived);
    this.#ackSent = this.#reader.position;
    this.#ackDue = false;
    this.#pongDue = undefined;
    this.#pingDue = true;
    this.#held = false;
    this.#owner.onWantWrite(this);
  }

  /** The carrier is gone. Nothing is lost: what it carried last is sent again after the next `attach`. */
  detach(): void {
    this.#attached = false;
    this.#replay.carrierGone();
    this.#resend = [];
    this.#reader.forgetPartial();
  }

  /** Of what `pull` has returned so far the carrier holds no more than the last `pendingBytes`. */
  flushed(pendingBytes: number): void {
    this.#replay.flushed(pendingBytes);
  }

  /**
   * Bytes from the carrier. Returns how many of them went to streams, whose they are now. Throws PortholeError (PROTOCOL_ERROR, FLOW_CONTROL) when
   * the other end broke the rules.
   */
  receive(chunk: Buffer): number {
    const handedOn = this.#reader.feed(chunk);
    this.#refuseDebt();
    if (this.#reader.position - this.#ackSent >= ACK_EVERY_BYTES && !this.#ackDue) {
      this.#ackDue = true;
      this.#owner.onWantWrite(this);
    }
    return handedOn;
  }

  /** The time for riding along is over: acknowledge now. */
  acknowledge(): void {
    if (!this.ackPending || this.#ackDue) return;
    this.#ackDue = true;
    this.#owner.onWantWrite(this);
  }

  /** Asks the other end for a sign of life, before anything else that waits. */
  ping(): void {
    if (!this.#attached || this.#pingDue) return;
    this.#pingDue = true;
    this.#owner.onWantWrite(this);
  }

  sendMessage(type: number, payload: Buffer): void {
    const frame = Buffer.allocUnsafe(payload.length + 1);
    frame[0] = type;
    payload.copy(frame, 1);
    this.#messages.push(frame);
    this.#messageBytes += frame.length;
    this.#owner.onWantWrite(this);
  }

  enqueue(stream: SessionStream): void {
    this.#turns.enqueue(stream);
    this.#owner.onWantWrite(this);
  }

  hurry(): void {
    this.#hurries = true;
    this.#owner.onWantWrite(this);
  }

  enqueueUrgent(stream: SessionStream): void {
    this.#turns.enqueueUrgent(stream);
    this.#owner.onWantWrite(this);
  }

  forget(stream: SessionStream): void {
    this.#turns.forget(stream);
    this.#owner.onForget(stream);
  }

  /** Whether `pull` would return something. */
  get wantsWrite(): boolean {
    if (!this.#attached) return false;
    if (
      this.#resend.length > 0 ||
      this.#ackDue ||
      this.#pingDue ||
      this.#pongDue !== undefined ||
      this.#messages.length > 0
    )
      return true;
    const unacked = this.#replay.unackedBytes;
    if (unacked >= this.#inFlight.capBytes + QUIET_ALLOWANCE_BYTES) return false;
    return this.#turns.waits(unacked < this.#bulkCap(this.#owner.now()));
  }

  /**
   * What to write to the carrier now, up to about `maxBytes`; empty when there is nothing or the cap holds it back.
   * `flushed`: the carrier holds nothing any more of what earlier calls returned.
   */
  pull(maxBytes: number, flushed: boolean): Buffer[] {
    this.#hurries = false;
    if (!this.#attached) return [];
    if (this.#resend.length > 0) return this.#takeResend(maxBytes);
    const now = this.#owner.now();
    const batch = this.#batch;
    batch.begin(flushed && this.#replay.unackedBytes === 0);
    this.#emitUntracked(batch, now);
    this.#emitMessages(batch);
    this.#turns.emitUrgent(batch);
    const writable: SessionStream[] = [];
    const unacked = this.#replay.unackedBytes;
    const quietLimit = Math.min(maxBytes, this.#inFlight.capBytes + QUIET_ALLOWANCE_BYTES - unacked);
    this.#turns.emit(batch, quietLimit, Math.min(maxBytes, this.#bulkCap(now) - unacked), now, writable);
    this.#held = this.#turns.waits(true);
    const sentBefore = this.#replay.end;
    const buffers = batch.finish(this.#keep);
    if (this.#replay.end > sentBefore) this.#inFlight.onSent(this.#replay.end, this.#held, now);
    for (const stream of writable) this.#owner.onWritable(stream);
    return buffers;
  }

  #bulkCap(now: number): number {
    return this.#turns.isShared(now) ? this.#inFlight.sharedCapBytes : this.#inFlight.capBytes;
  }

  /** Gives memory back while the lane is idle. */
  shrink(): void {
    if (this.#replay.unackedBytes === 0 && !this.wantsWrite) this.#batch.shrink();
  }

  onFrame(type: number, flags: number, streamId: number, from: Buffer, start: number, end: number): void {
    switch (type) {
      case FRAME.ack:
        this.#onAck(readU64(from, start));
        return;
      case FRAME.ping:
        this.#pongDue = Buffer.from(from.subarray(start, end));
        this.#owner.onWantWrite(this);
        return;
      case FRAME.pong:
        if (this.#pingSentAt > 0) this.#inFlight.onRoundTrip(this.#owner.now() - this.#pingSentAt, this.#owner.now());
        this.#pingSentAt = 0;
        return;
      default:
        if ((type & SKIPPABLE_BIT) !== 0) return;
        if (!isTracked(type) && type !== FRAME.close)
          throw new PortholeError('PROTOCOL_ERROR', `frame type ${type} after the handshake`);
        this.#owner.onStreamFrame(this, type, flags, streamId, from, start, end);
    }
  }

  onData(streamId: number, piece: Buffer, last: boolean): void {
    this.#owner.onStreamData(streamId, piece, last);
  }

  #onAck(position: number): void {
    if (!this.#replay.ack(position)) throw new PortholeError('PROTOCOL_ERROR', 'acknowledged more than was sent');
    this.#inFlight.onAck(position, this.#owner.now());
    if (this.#held) this.#owner.onWantWrite(this);
  }

  /** Acknowledgements ride in front of whatever else is sent; alone they go when they are due. */
  #emitUntracked(batch: Batch, now: number): void {
    const rides = this.#turns.waits(true) || this.#messages.length > 0 || this.#pingDue || this.#pongDue !== undefined;
    if (this.#ackDue || (rides && this.#reader.position > this.#ackSent)) {
      this.#ackDue = false;
      this.#ackSent = this.#reader.position;
      this.#ackSentAt = now;
      batch.numberFrame(FRAME.ack, 0, this.#ackSent);
    }
    if (this.#pongDue !== undefined) {
      batch.payloadFrame(FRAME.pong, 0, this.#pongDue, 0, this.#pongDue.length, 0);
      this.#pongDue = undefined;
    }
    if (this.#pingDue) {
      this.#pingDue = false;
      this.#pingSentAt = now;
      batch.numberFrame(FRAME.ping, 0, 1);
    }
    batch.endUntracked();
  }

  #emitMessages(batch: Batch): void {
    if (this.#messages.length === 0) return;
    for (const message of this.#messages) batch.payloadFrame(message[0] as number, 0, message, 1, message.length, 0);
    this.#messages = [];
    this.#messageBytes = 0;
  }

  /** Asking costs a few bytes and answers are kept until they are acknowledged: whoever only asks must not go on. */
  #refuseDebt(): void {
    if (
      this.#turns.urgentCount > FEW_OWED_FRAMES + 2 * this.#owner.maxStreams ||
      this.#messageBytes > MAX_OWED_MESSAGE_BYTES ||
      this.#replay.unackedBytes > MAX_UNACKED_BYTES
    )
      throw new PortholeError('FLOW_CONTROL', 'it asks for more than it takes');
  }

  #takeResend(maxBytes: number): Buffer[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#resend.length && (bytes < maxBytes || count === 0)) {
      bytes += (this.#resend[count] as Buffer).length;
      count += 1;
    }
    const buffers = this.#resend.splice(0, count);
    this.#inFlight.onSent(this.#replay.end, true, this.#owner.now());
    return buffers;
  }
}
