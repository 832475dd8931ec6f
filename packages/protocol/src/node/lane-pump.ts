/** Moves frames between a lane and the carrier it has just now; keeps the heartbeat. */
import { PortholeError } from '../errors.ts';
import { ACK_DELAY_MS, type Lane } from '../lane.ts';
import type { Carrier, CarrierReceiver } from './carrier.ts';
import { monotonicNow } from './clock.ts';

export interface PumpEvents {
  /** The carrier is gone and the lane detached; `reason` is undefined for a clean close. */
  onDetached(reason: PortholeError | undefined): void;
  /** The other end broke the protocol (INTERNAL: this end has a bug, see `cause`): the session has to be closed with this error. */
  onViolation(error: PortholeError): void;
}

/** A carrier is dropped within two heartbeats without a byte from the other end: looked at so often, and given so long. */
const LOOKS_PER_HEARTBEAT = 4;
const SILENT_HEARTBEATS = 2 - 1 / LOOKS_PER_HEARTBEAT;
const PULL_BYTES = 262_144;
/**
 * After this many additions in one turn, what there is goes out without waiting for the turn's end, so that the other
 * end works on it while this one makes the next; and again after twice as many more, and so on. Each costs a write, and
 * two switches of processes where both ends share a processor.
 */
const FIRST_PART = 64;

/**
 * Moves frames between one lane and one carrier until the carrier dies or `stop` is called. Frames of one event-loop
 * turn leave in one write. The lane must be attached already.
 */
export class LanePump implements CarrierReceiver {
  readonly #lane: Lane;
  readonly #carrier: Carrier;
  readonly #events: PumpEvents;
  readonly #heartbeatMs: number;
  readonly #flush = (): void => this.#onFlush();
  readonly #turnEnd = (): void => {
    this.#flushScheduled = false;
    this.#part = FIRST_PART;
    this.#onFlush();
  };
  readonly #heartbeat: NodeJS.Timeout;
  #ackTimer: NodeJS.Timeout | undefined;
  #probeTimer: NodeJS.Timeout | undefined;
  #flushScheduled = false;
  /** How often something was added since the last flush. */
  #wants = 0;
  /** After how many it is time for the next one. */
  #part = FIRST_PART;
  #blocked = false;
  #stopped = false;
  #lastReceived: number;
  #lastTick: number;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(lane: Lane, carrier: Carrier, heartbeatMs: number, events: PumpEvents) {
    this.#lane = lane;
    this.#carrier = carrier;
    this.#events = events;
    this.#heartbeatMs = heartbeatMs;
    this.#lastReceived = monotonicNow();
    this.#lastTick = this.#lastReceived;
    this.#heartbeat = setInterval(() => this.#onTick(), heartbeatMs / LOOKS_PER_HEARTBEAT);
    carrier.receiver = this;
    this.wantWrite();
  }

  get carrier(): Carrier {
    return this.#carrier;
  }

  get bytesIn(): number {
    return this.#bytesIn;
  }

  get bytesOut(): number {
    return this.#bytesOut;
  }

  /** Milliseconds since the other end was heard last. */
  get silentMs(): number {
    return monotonicNow() - this.#lastReceived;
  }

  /** The lane has something to send: send it when this event-loop turn ends. */
  wantWrite(): void {
    if (this.#blocked || this.#stopped) return;
    this.#wants += 1;
    const isPartFull = this.#wants === this.#part;
    if (isPartFull) this.#part *= 2;
    if (isPartFull || this.#lane.hurries) process.nextTick(this.#flush);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(this.#turnEnd);
  }

  /** Lets go of lane and carrier. `farewell` is written first, then the carrier closed; without it, closed at once. */
  stop(farewell?: Buffer): void {
    if (this.#stopped) return;
    this.#release();
    if (farewell === undefined) {
      this.#carrier.destroy();
      return;
    }
    this.#carrier.write([farewell]);
    this.#carrier.end();
    // An end that is not answered must not keep the socket for ever.
    setTimeout(() => this.#carrier.destroy(), this.#heartbeatMs).unref();
  }

  /** There is reason to doubt the carrier: it is dropped when nothing is heard over it for `withinMs` from now. */
  probe(withinMs: number): void {
    if (this.#stopped || this.#probeTimer !== undefined) return;
    const heardBefore = this.#bytesIn;
    this.#lane.ping();
    this.#probeTimer = setTimeout(() => {
      this.#probeTimer = undefined;
      if (this.#bytesIn === heardBefore) this.#giveUp(withinMs);
    }, withinMs);
  }

  onBytes(chunk: Buffer): number {
    if (this.#stopped) return 0;
    this.#lastReceived = monotonicNow();
    this.#bytesIn += chunk.length;
    this.#lane.flushed(this.#carrier.pendingBytes);
    let handedOn: number;
    try {
      handedOn = this.#lane.receive(chunk);
    } catch (error) {
      // A bug, met by what one agent or relay sent, must not end the process that serves all the others.
      this.#events.onViolation(
        error instanceof PortholeError ? error : new PortholeError('INTERNAL', '', { cause: error }),
      );
      return chunk.length;
    }
    if (this.#ackTimer === undefined && this.#lane.ackPending) this.#awaitRide(ACK_DELAY_MS);
    return handedOn;
  }

  onDrain(): void {
    this.#blocked = false;
    this.#lane.flushed(this.#carrier.pendingBytes);
    this.wantWrite();
  }

  onClosed(reason: PortholeError | undefined): void {
    if (this.#stopped) return;
    this.#release();
    this.#events.onDetached(reason);
  }

  #onFlush(): void {
    this.#wants = 0;
    if (this.#stopped || this.#blocked) return;
    const buffers = this.#lane.pull(PULL_BYTES, this.#carrier.pendingBytes === 0);
    if (buffers.length === 0) return;
    for (const buffer of buffers) this.#bytesOut += buffer.length;
    if (!this.#carrier.write(buffers)) this.#blocked = true;
    else if (this.#lane.wantsWrite) this.wantWrite();
  }

  /** Something to send may take the acknowledgement along. */
  #awaitRide(forMs: number): void {
    this.#ackTimer = setTimeout(() => this.#onAckDue(), forMs);
  }

  #onAckDue(): void {
    this.#ackTimer = undefined;
    if (this.#stopped || !this.#lane.ackPending) return;
    const leftMs = ACK_DELAY_MS - (monotonicNow() - this.#lane.ackSentAt);
    if (leftMs < 1) this.#lane.acknowledge();
    // One was sent since, and what has come after it has not waited for so long.
    else this.#awaitRide(leftMs);
  }

  #onTick(): void {
    const now = monotonicNow();
    const late = now - this.#lastTick > this.#heartbeatMs;
    this.#lastTick = now;
    const silentMs = now - this.#lastReceived;
    // Timers run before sockets are read: after a busy or suspended event loop, look again at what has arrived first.
    if (late && silentMs > this.#heartbeatMs) {
      this.#lane.ping();
      return;
    }
    if (silentMs >= SILENT_HEARTBEATS * this.#heartbeatMs) {
      this.#giveUp(silentMs);
      return;
    }
    if (silentMs >= this.#heartbeatMs / 2) this.#lane.ping();
    this.#lane.shrink();
  }

  #giveUp(silentMs: number): void {
    this.#release();
    this.#carrier.destroy();
    this.#events.onDetached(new PortholeError('RELAY_UNREACHABLE', `nothing heard for ${Math.round(silentMs)} ms`));
  }

  #release(): void {
    this.#stopped = true;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#ackTimer);
    clearTimeout(this.#probeTimer);
    this.#carrier.receiver = undefined;
    this.#lane.detach();
  }
}
