/**
 * The multiplexed conversation of one agent and one relay: lanes below, streams above. Outlives carriers. Pure: whoever
 * binds it to sockets (`node.ts`) feeds `lane.receive`, writes what `lane.pull` returns, and passes the time in.
 */
import { codeOfWire, type ErrorCode, ERRORS, PortholeError } from './errors.ts';
import {
  decodeReason,
  encodeFrame,
  encodeReason,
  FLAG_END,
  FRAME,
  MAX_BLOCK_BYTES,
  MAX_MESSAGE_BYTES,
  OPEN_PREFIX_BYTES,
} from './frame.ts';
import { Lane, type LaneOwner } from './lane.ts';
import { type Message, parseMessage } from './messages.ts';
import { release } from './read-memory.ts';
import { WINDOW_BUDGET_BYTES, type WindowBudget } from './receive-window.ts';
import { SessionStream, type StreamOpening } from './session-stream.ts';
import { STREAM_KIND, type Stream, type StreamSink } from './stream-contract.ts';
import { StreamTable } from './stream-table.ts';

/** Most lanes a session may have. */
export const MAX_LANES = 4;
/** Default for how many streams may be open in a session at once. */
export const MAX_STREAMS = 16_384;

export interface SessionEvents {
  /** The other end opened a stream. Returns who takes what arrives; `ended` when nothing more will. */
  onOpen(opening: StreamOpening, stream: Stream, ended: boolean): StreamSink;
  onMessage(message: Message): void;
  /** The other end is about to stop taking new streams. */
  onGoAway(code: ErrorCode, leftMs: number, detail: string): void;
  /** The session is over; its streams are told after this, so that whoever tries again is not led here. Called once. */
  onClosed(code: ErrorCode, detail: string): void;
  /** A lane has something to `pull`. May be called often; must only schedule. */
  onWantWrite(lane: Lane): void;
  /** Something threw that is not the other end's fault: a bug. The stream concerned was reset. */
  onFault(error: unknown): void;
}

export interface SessionOptions {
  /** Which end this is; the relay opens odd streams, the agent even ones. */
  readonly role: 'relay' | 'agent';
  /** A monotonic clock in milliseconds. */
  readonly now: () => number;
  /** Open streams at once, in all. Default `MAX_STREAMS`. */
  readonly maxStreams?: number;
  /** What receive windows may grow by, together, in bytes. Default `WINDOW_BUDGET_BYTES`. */
  readonly windowBudgetBytes?: number;
}

export class Session implements LaneOwner {
  readonly now: () => number;
  readonly maxStreams: number;
  readonly #events: SessionEvents;
  readonly #budget: WindowBudget;
  readonly #lanes: Lane[] = [];
  readonly #streams = new StreamTable<SessionStream>();
  readonly #peerParity: number;
  #nextStreamId: number;
  #nextLane = 0;
  #closed: { readonly code: ErrorCode; readonly detail: string } | undefined;

  constructor(options: SessionOptions, events: SessionEvents) {
    this.now = options.now;
    this.#events = events;
    this.maxStreams = options.maxStreams ?? MAX_STREAMS;
    this.#budget = { leftBytes: options.windowBudgetBytes ?? WINDOW_BUDGET_BYTES, open: 0 };
    this.#nextStreamId = options.role === 'relay' ? 1 : 2;
    this.#peerParity = options.role === 'relay' ? 0 : 1;
    this.addLane();
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  get lanes(): readonly Lane[] {
    return this.#lanes;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Bytes sent and not acknowledged, over all lanes. */
  get unackedBytes(): number {
    let bytes = 0;
    for (const lane of this.#lanes) bytes += lane.unackedBytes;
    return bytes;
  }

  /** Bytes that wait in streams, to be sent or consumed. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const stream of this.#streams.values()) bytes += stream.bufferedBytes;
    return bytes;
  }

  /** Throws PROTOCOL_ERROR when there are `MAX_LANES` already. */
  addLane(): Lane {
    if (this.#lanes.length >= MAX_LANES) throw new PortholeError('PROTOCOL_ERROR', 'too many lanes');
    const lane = new Lane(this.#lanes.length, this);
    this.#lanes.push(lane);
    return lane;
  }

  /**
   * Opens a stream. `ends`: nothing will follow from this end (no need to call `end`).
   * Throws STREAM_LIMIT, HEAD_TOO_LARGE, or the code the session was closed with.
   */
  openStream(opening: StreamOpening, sink: StreamSink, ends: boolean): Stream {
    if (this.#closed !== undefined) throw new PortholeError(this.#closed.code, this.#closed.detail);
    if (this.#streams.size >= this.maxStreams) throw new PortholeError('STREAM_LIMIT', `${this.maxStreams} streams`);
    // A longer one would not fit the header's length: what is behind it would be read as frames.
    if (opening.block.length > MAX_BLOCK_BYTES)
      throw new PortholeError(
        'HEAD_TOO_LARGE',
        `${opening.block.length} bytes with the relay's own fields, at most ${MAX_BLOCK_BYTES}`,
      );
    const lane = this.#pickLane();
    const stream = new SessionStream(this.#takeStreamId(), lane, this.#budget, opening);
    stream.sink = sink;
    this.#streams.add(stream);
    if (ends) stream.end();
    else lane.enqueue(stream);
    return stream;
  }

  /** Ends the streams of a lane whose carrier has been away for too long, while others stand. The lane may come back. */
  abandonStreams(lane: Lane, code: ErrorCode, detail: string): void {
    for (const stream of this.#streams.values()) if (stream.lane === lane) this.#end(stream, code, detail);
  }

  /** Sends a control message on the first lane. */
  sendMessage(message: Message): void {
    if (this.#closed !== undefined) return;
    const payload = Buffer.from(JSON.stringify(message), 'utf8');
    if (payload.length > MAX_MESSAGE_BYTES) throw new PortholeError('PROTOCOL_ERROR', 'message too long');
    (this.#lanes[0] as Lane).sendMessage(FRAME.message, payload);
  }

  /** Tells the other end to move: this end takes no new streams after `leftMs`. */
  goAway(code: ErrorCode, leftMs: number, detail: string): void {
    if (this.#closed !== undefined) return;
    const reason = encodeReason(ERRORS[code].wire, detail);
    const payload = Buffer.allocUnsafe(reason.length + 4);
    reason.copy(payload, 0, 0, 2);
    payload.writeUInt32BE(leftMs, 2);
    reason.copy(payload, 6, 2);
    (this.#lanes[0] as Lane).sendMessage(FRAME.goAway, payload);
  }

  /** Ends the session at this end. The frame returned tells the other end why; write it to every carrier, then close. */
  close(code: ErrorCode, detail = ''): Buffer {
    const farewell = encodeFrame(FRAME.close, 0, encodeReason(ERRORS[code].wire, detail));
    this.#finish(code, detail);
    return farewell;
  }

  onWantWrite(lane: Lane): void {
    if (this.#closed === undefined && lane.attached) this.#events.onWantWrite(lane);
  }

  onForget(stream: SessionStream): void {
    this.#streams.delete(stream);
  }

  onWritable(stream: SessionStream): void {
    try {
      stream.sink?.onWritable();
    } catch (error) {
      this.#fault(stream, error);
    }
  }

  onStreamFrame(
    lane: Lane,
    type: number,
    flags: number,
    streamId: number,
    from: Buffer,
    start: number,
    end: number,
  ): void {
    if (this.#closed !== undefined) return;
    if (type === FRAME.open) this.#onOpen(lane, flags, streamId, from, start, end);
    else if (streamId === 0) this.#onSessionFrame(type, from.subarray(start, end));
    else this.#onKnownStream(type, flags, streamId, from, start, end);
  }

  onStreamData(streamId: number, piece: Buffer, last: boolean): void {
    // An unknown stream was reset at this end while these bytes were on their way.
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      release(piece);
      return;
    }
    try {
      stream.receiveData(piece, last);
    } catch (error) {
      this.#contain(stream, error);
    }
  }

  #onKnownStream(type: number, flags: number, streamId: number, from: Buffer, start: number, end: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    try {
      // Heads are frequent: no view is made for them.
      if (type === FRAME.head) stream.receiveHead(from.toString('latin1', start, end), (flags & FLAG_END) !== 0);
      else this.#dispatch(stream, type, from.subarray(start, end));
    } catch (error) {
      this.#contain(stream, error);
    }
  }

  #dispatch(stream: SessionStream, type: number, payload: Buffer): void {
    switch (type) {
      case FRAME.trailers:
        stream.receiveTrailers(payload.toString('latin1'));
        return;
      case FRAME.reset: {
        const reason = decodeReason(payload);
        stream.receiveReset(codeOfWire(reason.wireNumber), reason.text);
        return;
      }
      case FRAME.credit:
        stream.raiseSendLimit(payload.readUInt32BE(0) * 2 ** 32 + payload.readUInt32BE(4));
        return;
      default:
        throw new PortholeError('PROTOCOL_ERROR', `frame type ${type} on stream ${stream.id}`);
    }
  }

  /** A broken rule ends the session (thrown on); a fault of our own ends the stream only. */
  #contain(stream: SessionStream, error: unknown): void {
    if (error instanceof PortholeError && (error.code === 'PROTOCOL_ERROR' || error.code === 'FLOW_CONTROL'))
      throw error;
    this.#fault(stream, error);
  }

  #fault(stream: SessionStream, error: unknown): void {
    this.#events.onFault(error);
    this.#end(stream, 'INTERNAL', '');
  }

  /** At both ends. */
  #end(stream: SessionStream, code: ErrorCode, detail: string): void {
    const sink = stream.sink;
    stream.reset(code);
    try {
      sink?.onReset(code, detail);
    } catch (error) {
      this.#events.onFault(error);
    }
  }

  #onOpen(lane: Lane, flags: number, streamId: number, from: Buffer, start: number, end: number): void {
    if (streamId === 0 || streamId % 2 !== this.#peerParity || this.#streams.has(streamId)) {
      throw new PortholeError('PROTOCOL_ERROR', `stream ${streamId} cannot be opened`);
    }
    const kind = from[start];
    if (kind !== STREAM_KIND.exchange && kind !== STREAM_KIND.raw)
      throw new PortholeError('PROTOCOL_ERROR', `stream kind ${kind}`);
    const ended = (flags & FLAG_END) !== 0;
    const block = from.toString('latin1', start + OPEN_PREFIX_BYTES, end);
    const opening = { kind, tunnelId: from.readUInt32BE(start + 1), block };
    const stream = new SessionStream(streamId, lane, this.#budget);
    this.#streams.add(stream);
    if (this.#streams.size > this.maxStreams) {
      stream.reset('STREAM_LIMIT');
      return;
    }
    try {
      stream.sink = this.#events.onOpen(opening, stream, ended);
      if (ended) stream.receiveEnd();
    } catch (error) {
      this.#contain(stream, error);
    }
  }

  #onSessionFrame(type: number, payload: Buffer): void {
    switch (type) {
      case FRAME.message: {
        const message = parseMessage(payload.toString('utf8'));
        if (message !== undefined) this.#events.onMessage(message);
        return;
      }
      case FRAME.goAway:
        this.#events.onGoAway(
          codeOfWire(payload.readUInt16BE(0)),
          payload.readUInt32BE(2),
          payload.toString('utf8', 6),
        );
        return;
      case FRAME.close: {
        const reason = decodeReason(payload);
        this.#finish(codeOfWire(reason.wireNumber), reason.text);
        return;
      }
      default:
        throw new PortholeError('PROTOCOL_ERROR', `frame type ${type} on the session`);
    }
  }

  #finish(code: ErrorCode, detail: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = { code, detail };
    const streams = this.#streams.values();
    for (const lane of this.#lanes) lane.detach();
    this.#events.onClosed(code, detail);
    const streamCode = code === 'NO_ERROR' ? 'GOING_AWAY' : code;
    for (const stream of streams) {
      try {
        stream.receiveReset(streamCode, detail);
      } catch (error) {
        this.#events.onFault(error);
      }
    }
  }

  /** Round robin over the lanes that have a carrier; the first when none has. */
  #pickLane(): Lane {
    const count = this.#lanes.length;
    for (let tried = 0; tried < count; tried += 1) {
      const lane = this.#lanes[this.#nextLane % count] as Lane;
      this.#nextLane = (this.#nextLane + 1) % count;
      if (lane.attached) return lane;
    }
    return this.#lanes[0] as Lane;
  }

  #takeStreamId(): number {
    let id = this.#nextStreamId;
    while (this.#streams.has(id)) id = followingId(id);
    this.#nextStreamId = followingId(id);
    return id;
  }
}

/** Ids wrap around after 2^31 streams; one that is still open is passed over. */
function followingId(id: number): number {
  return id + 2 > 0xffff_ffff ? (id % 2 === 0 ? 2 : 1) : id + 2;
}
