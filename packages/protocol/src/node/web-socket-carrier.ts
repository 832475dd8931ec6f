/** Carriers over WebSockets, for ways that refuse the plain upgrade. */
import type { Socket } from 'node:net';
import { type Carrier, type CarrierReceiver, exportKeyingMaterial } from './carrier.ts';

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
