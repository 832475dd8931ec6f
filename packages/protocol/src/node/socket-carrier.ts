/** Carriers over plain and TLS sockets. */
import type { Socket } from 'node:net';
import { PortholeError } from '../errors.ts';
import { release } from '../read-memory.ts';
import { type Carrier, type CarrierReceiver, exportKeyingMaterial } from './carrier.ts';
import { type ReadTap, tapOf, toKeep } from './read-tap.ts';
import { FreshMemory } from './young-collector.ts';

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
    const fresh = new FreshMemory();
    socket.on('data', (chunk: Buffer) => {
      fresh.add(chunk.length);
      this.#receiver?.onBytes(chunk);
    });
  }

  get receiver(): CarrierReceiver | undefined {
    return this.#receiver;
  }

  set receiver(receiver: CarrierReceiver | undefined) {
    this.#receiver = receiver;
    if (this.#started || receiver === undefined) return;
    this.#started = true;
    const tap = tapOf(this.#socket);
    if (tap !== undefined) this.#readThrough(tap);
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

  #readThrough(tap: ReadTap): void {
    tap.brings = 'frames';
    tap.reader = (chunk, owned) => {
      const kept = toKeep(chunk, owned, tap);
      release(kept, kept.length - (this.#receiver?.onBytes(kept) ?? 0));
    };
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
