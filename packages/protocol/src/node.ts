/**
 * Binds the pure protocol to Node: carriers over sockets and WebSockets, the pump that moves frames between a lane and
 * its carrier, and the clock. The only file of this package that knows sockets and timers.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { PortholeError } from './errors.ts';
import { EXPORTER_BYTES, EXPORTER_LABEL } from './handshake.ts';
import { ACK_DELAY_MS, type Lane } from './lane.ts';

/** Monotonic milliseconds. */
export function monotonicNow(): number {
  return performance.now();
}

/** The byte channel under a lane. */
export interface Carrier {
  readonly kind: 'upgrade' | 'websocket';
  /** The other end's address, for logs. */
  readonly remoteAddress: string;
  /** Bytes handed over and not yet taken by the kernel. */
  readonly pendingBytes: number;
  /** Who gets bytes, room to write, the end. Nothing is read before the first one is set; may be replaced. */
  receiver: CarrierReceiver | undefined;
  /** False: wait for `onDrain`. */
  write(buffers: Buffer[]): boolean;
  /** Keying material exported from TLS (RFC 5705); undefined on a plain carrier or one whose TLS ends elsewhere. */
  keyingMaterial(): Buffer | undefined;
  /** Stops and starts reading. */
  pause(): void;
  resume(): void;
  /** Closes once everything written has left. */
  end(): void;
  /** Closes now. */
  destroy(): void;
}

export interface CarrierReceiver {
  onBytes(chunk: Buffer): void;
  onDrain(): void;
  /** Once. Nothing comes after it. */
  onClosed(reason: PortholeError | undefined): void;
}

/** Frames straight on a socket, plain or TLS, after the 101. `head`: bytes that came along with the upgrade. */
export class SocketCarrier implements Carrier {
  readonly kind = 'upgrade';
  readonly remoteAddress: string;
  readonly #socket: Socket;
  readonly #keyingMaterial: Buffer | undefined;
  #receiver: CarrierReceiver | undefined;
  #started = false;
  #closed = false;
  #error: Error | undefined;

  constructor(socket: Socket, head: Buffer) {
    this.#socket = socket;
    this.remoteAddress = socket.remoteAddress ?? '';
    this.#keyingMaterial = exportKeyingMaterial(socket);
    socket.setNoDelay(true);
    socket.setTimeout(0);
    socket.on('error', (error) => {
      this.#error = error;
    });
    // The other end has nothing more to say: a carrier needs both directions.
    socket.on('end', () => socket.destroy());
    socket.on('close', () => this.#onClose());
    socket.on('drain', () => this.#receiver?.onDrain());
    socket.pause();
    if (head.length > 0) socket.unshift(head);
    socket.on('data', (chunk: Buffer) => this.#receiver?.onBytes(chunk));
  }

  get receiver(): CarrierReceiver | undefined {
    return this.#receiver;
  }

  set receiver(receiver: CarrierReceiver | undefined) {
    this.#receiver = receiver;
    if (this.#started || receiver === undefined) return;
    this.#started = true;
    this.#socket.resume();
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  write(buffers: Buffer[]): boolean {
    if (this.#closed) return true;
    if (buffers.length === 1) return this.#socket.write(buffers[0] as Buffer);
    this.#socket.cork();
    let room = true;
    for (const buffer of buffers) room = this.#socket.write(buffer);
    this.#socket.uncork();
    return room || this.#socket.writableLength < this.#socket.writableHighWaterMark;
  }

  keyingMaterial(): Buffer | undefined {
    return this.#keyingMaterial;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    const receiver = this.#receiver;
    this.#receiver = undefined;
    receiver?.onClosed(
      this.#error === undefined
        ? undefined
        : new PortholeError('RELAY_UNREACHABLE', this.#error.message, { cause: this.#error }),
    );
  }
}

/** What this package needs of `ws`, which it does not depend on. */
export interface WebSocketLike {
  readonly bufferedAmount: number;
  on(event: 'message', listener: (data: unknown, isBinary: boolean) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  send(data: Buffer, callback: (error?: Error | null) => void): void;
  pause(): void;
  resume(): void;
  close(code?: number): void;
  terminate(): void;
}

const WEBSOCKET_HIGH_BYTES = 65_536;

/** Frames in binary WebSocket messages, whose borders mean nothing: for ways that refuse the plain upgrade. */
export class WebSocketCarrier implements Carrier {
  readonly kind = 'websocket';
  readonly remoteAddress: string;
  readonly #webSocket: WebSocketLike;
  readonly #keyingMaterial: Buffer | undefined;
  #receiver: CarrierReceiver | undefined;
  #started = false;
  #paused = false;
  /** Messages that came in one read with the last one before a pause: `ws` hands them on all the same. */
  #held: Buffer[] = [];
  #pending = 0;
  #wantsDrain = false;
  #closed = false;

  /** `webSocket` must be open, and paused if it has been for longer than this event-loop turn. */
  constructor(webSocket: WebSocketLike, socket: Socket | undefined) {
    this.#webSocket = webSocket;
    this.remoteAddress = socket?.remoteAddress ?? '';
    this.#keyingMaterial = socket === undefined ? undefined : exportKeyingMaterial(socket);
    webSocket.pause();
    webSocket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    webSocket.on('close', () => this.#onClose());
    webSocket.on('error', () => webSocket.terminate());
  }

  get receiver(): CarrierReceiver | undefined {
    return this.#receiver;
  }

  set receiver(receiver: CarrierReceiver | undefined) {
    this.#receiver = receiver;
    if (this.#started || receiver === undefined) return;
    this.#started = true;
    if (!this.#paused) this.resume();
  }

  get pendingBytes(): number {
    return this.#pending;
  }

  write(buffers: Buffer[]): boolean {
    if (this.#closed) return true;
    const message = buffers.length === 1 ? (buffers[0] as Buffer) : Buffer.concat(buffers);
    this.#pending += message.length;
    this.#webSocket.send(message, () => this.#onSent(message.length));
    this.#wantsDrain = this.#pending >= WEBSOCKET_HIGH_BYTES;
    return !this.#wantsDrain;
  }

  keyingMaterial(): Buffer | undefined {
    return this.#keyingMaterial;
  }

  pause(): void {
    this.#paused = true;
    this.#webSocket.pause();
  }

  resume(): void {
    this.#paused = false;
    while (this.#held.length > 0 && !this.#paused && this.#receiver !== undefined)
      this.#receiver.onBytes(this.#held.shift() as Buffer);
    if (!this.#paused) this.#webSocket.resume();
  }

  end(): void {
    this.#webSocket.close(1000);
  }

  destroy(): void {
    this.#webSocket.terminate();
  }

  #onSent(bytes: number): void {
    this.#pending -= bytes;
    if (!this.#wantsDrain || this.#pending > 0) return;
    this.#wantsDrain = false;
    this.receiver?.onDrain();
  }

  #onMessage(data: unknown, isBinary: boolean): void {
    if (!isBinary || !Buffer.isBuffer(data)) this.#webSocket.close(1003);
    else if (this.#paused || this.#held.length > 0) this.#held.push(data);
    else this.#receiver?.onBytes(data);
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#held = [];
    const receiver = this.#receiver;
    this.#receiver = undefined;
    receiver?.onClosed(undefined);
  }
}

function exportKeyingMaterial(socket: Socket): Buffer | undefined {
  const tls = socket as Partial<TLSSocket>;
  if (tls.encrypted !== true || tls.exportKeyingMaterial === undefined) return undefined;
  return (socket as TLSSocket).exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0));
}

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
/** After this many additions in one turn, what there is goes out without waiting for the turn's end. */
const EARLY_FLUSH_WANTS = 16;

/** Read buffers of a bulk transfer may pile up to this before they are given back; V8 looks through its whole heap at 32 MiB. */
const COLLECT_EVERY_BYTES = 12_582_912;

/**
 * Collects the young generation, where the read buffers of bulk transfers die. V8 does not count their memory when it
 * decides on that cheap collection, only when it decides on a full one, and so does nothing but full ones during a
 * download. Undefined where Node offers no way to ask.
 */
function youngCollector(): (() => void) | undefined {
  try {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    setFlagsFromString('--no-expose-gc');
    return typeof collect === 'function' ? () => collect({ type: 'minor' }) : undefined;
  } catch {
    return undefined;
  }
}

const collectYoung = youngCollector();

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
    this.#onFlush();
  };
  readonly #heartbeat: NodeJS.Timeout;
  #ackTimer: NodeJS.Timeout | undefined;
  #probeTimer: NodeJS.Timeout | undefined;
  #flushScheduled = false;
  /** How often something was added since the last flush. */
  #wants = 0;
  #blocked = false;
  #stopped = false;
  #lastReceived: number;
  #lastTick: number;
  #bytesIn = 0;
  #bytesOut = 0;
  /** Bytes moved at the last collection. */
  #collectedAt = 0;

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
    if (this.#flushScheduled) {
      // A long turn goes out in parts, so that the other end works on the first while this one makes the next.
      if (this.#wants === EARLY_FLUSH_WANTS) process.nextTick(this.#flush);
      return;
    }
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

  onBytes(chunk: Buffer): void {
    if (this.#stopped) return;
    this.#lastReceived = monotonicNow();
    this.#bytesIn += chunk.length;
    try {
      this.#lane.receive(chunk);
    } catch (error) {
      // A bug, met by what one agent or relay sent, must not end the process that serves all the others.
      this.#events.onViolation(
        error instanceof PortholeError ? error : new PortholeError('INTERNAL', '', { cause: error }),
      );
      return;
    }
    if (this.#bytesIn + this.#bytesOut - this.#collectedAt > COLLECT_EVERY_BYTES) this.#collect();
    if (this.#ackTimer === undefined && this.#lane.ackPending)
      this.#ackTimer = setTimeout(() => this.#onAckDue(), ACK_DELAY_MS);
  }

  onDrain(): void {
    this.#blocked = false;
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

  #collect(): void {
    this.#collectedAt = this.#bytesIn + this.#bytesOut;
    collectYoung?.();
  }

  #onAckDue(): void {
    this.#ackTimer = undefined;
    if (!this.#stopped) this.#lane.acknowledge();
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
