/** A carrier that another worker took in: its bytes come over a local socket, its identity from the header. */
import type * as net from 'node:net';
import { type Carrier, type CarrierReceiver, SocketCarrier } from '@porthole/protocol/node';
import type { CarrierHeader } from './peer-header.ts';

/** How long the last bytes of a carrier may take to leave. */
const END_PATIENCE_MS = 10_000;

export class PassedCarrier implements Carrier {
  readonly kind: Carrier['kind'];
  readonly remoteAddress: string;
  readonly #inner: SocketCarrier;
  readonly #keyingMaterial: Buffer | undefined;

  constructor(socket: net.Socket, rest: Buffer, header: CarrierHeader) {
    this.kind = header.carrier;
    this.remoteAddress = header.remoteAddress;
    this.#inner = new SocketCarrier(socket, rest);
    const { keyingMaterial } = header;
    this.#keyingMaterial = keyingMaterial === undefined ? undefined : Buffer.from(keyingMaterial, 'base64url');
  }

  get pendingBytes(): number {
    return this.#inner.pendingBytes;
  }

  get receiver(): CarrierReceiver | undefined {
    return this.#inner.receiver;
  }

  set receiver(receiver: CarrierReceiver | undefined) {
    this.#inner.receiver = receiver;
  }

  write(buffers: Buffer[]): boolean {
    return this.#inner.write(buffers);
  }

  keyingMaterial(): Buffer | undefined {
    return this.#keyingMaterial;
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  end(): void {
    this.#inner.end();
  }

  destroy(): void {
    this.#inner.destroy();
  }
}

/** Bytes both ways between a carrier and the local socket of the worker that has its session, until either closes. */
export function bridgeCarrier(carrier: Carrier, socket: net.Socket): void {
  carrier.receiver = {
    onBytes: (chunk) => {
      if (!socket.write(chunk)) carrier.pause();
      return chunk.length;
    },
    onDrain: () => void socket.resume(),
    onClosed: () => void socket.destroy(),
  };
  socket.on('drain', () => carrier.resume());
  socket.on('data', (chunk: Buffer) => {
    if (!carrier.write([chunk])) socket.pause();
  });
  socket.on('close', () => {
    carrier.end();
    setTimeout(() => carrier.destroy(), END_PATIENCE_MS).unref();
  });
}
