/**
 * Where a socket's bytes land. Node's `onread` option reads into memory of ours, without a stream in between: small
 * reads share one buffer (and are copied out by who keeps them), a bulk transfer gets a fresh buffer per read, which
 * is then given away instead of copied.
 */
import type { Duplex } from 'node:stream';

export interface ByteReader {
  /** `owned`: the memory may be kept; otherwise it is overwritten after the call. False pauses the socket. */
  onBytes(chunk: Buffer, owned: boolean): boolean;
}

/** One buffer for all sockets of an origin: a read is handled to its end before the next one starts. */
export class ReadSlab {
  /** Undefined where the system may fill a buffer before it says so (Windows), so that it must not be shared. */
  readonly shared: Buffer | undefined;

  constructor() {
    this.shared = process.platform === 'win32' ? undefined : Buffer.allocUnsafeSlow(READ_BYTES);
  }
}

const READ_BYTES = 64 * 1024;
/** A read of this size is worth giving its whole buffer away. */
const BULK_BYTES = READ_BYTES / 2;

export class ReadTap {
  reader: ByteReader | undefined;
  /** For the `onread` option of `net.connect` and `tls.connect`. */
  readonly onread: { buffer: () => Uint8Array; callback: (length: number, buffer: Uint8Array) => boolean };
  readonly #shared: Buffer | undefined;
  #own: Buffer | undefined;
  #bulk: boolean;

  constructor(shared: Buffer | undefined) {
    this.#shared = shared;
    this.#bulk = shared === undefined;
    this.onread = { buffer: () => this.#next(), callback: (length) => this.#read(length) };
  }

  /** For sockets that know no `onread`. */
  listenTo(socket: Duplex): void {
    socket.on('data', (chunk: Buffer) => {
      if (this.reader?.onBytes(chunk, true) === false) socket.pause();
    });
  }

  /** The transfer is over: back to the shared buffer with the next read. */
  rest(): void {
    if (this.#shared !== undefined) this.#bulk = false;
  }

  #next(): Uint8Array {
    if (!this.#bulk) {
      this.#own = undefined;
      return this.#shared as Buffer;
    }
    this.#own ??= Buffer.allocUnsafeSlow(READ_BYTES);
    return this.#own;
  }

  #read(length: number): boolean {
    const own = this.#own;
    if (length >= BULK_BYTES) {
      this.#bulk = true;
      this.#own = undefined;
      if (own !== undefined) return this.reader?.onBytes(own.subarray(0, length), true) ?? true;
    }
    const from = own ?? this.#shared;
    return from === undefined || (this.reader?.onBytes(from.subarray(0, length), false) ?? true);
  }
}
