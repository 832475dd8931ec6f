/** The byte channel under a lane, whatever it is made of. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { PortholeError } from '../errors.ts';
import { EXPORTER_BYTES, EXPORTER_LABEL } from '../handshake.ts';

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
  /** Returns how many of the bytes went on to somebody who may keep them: the memory of the others may be used again. */
  onBytes(chunk: Buffer): number;
  onDrain(): void;
  /** Once. Nothing comes after it. */
  onClosed(reason: PortholeError | undefined): void;
}

/** Keying material of the TLS under a carrier (RFC 5705); undefined on a plain socket. */
export function exportKeyingMaterial(socket: Socket): Buffer | undefined {
  const tls = socket as Partial<TLSSocket>;
  if (tls.encrypted !== true || tls.exportKeyingMaterial === undefined) return undefined;
  return (socket as TLSSocket).exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0));
}
