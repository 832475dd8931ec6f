/**
 * Sockets that are read into memory of ours. Node gives every read 64 KiB of fresh memory, which costs more than parsing
 * the request in it; its `onread` option reads where it is told. Small reads of all sockets share one buffer, a bulk
 * transfer's go into blocks that are passed on instead of copied.
 */
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import { LONE_PAYLOAD_BYTES } from '../frame.ts';
import { BLOCK_BYTES, LARGE_BLOCK_BYTES, ReadMemory, release } from '../read-memory.ts';
import { monotonicNow } from './clock.ts';
import { FreshMemory } from './young-collector.ts';

/**
 * `owned`: the chunk is the reader's, who must `release` what he does not pass on; otherwise it is overwritten after
 * the call.
 */
export type ByteReader = (chunk: Buffer, owned: boolean) => void;

/** A read of this size is worth a block of its own: a bulk transfer is under way. */
const BULK_BYTES = BLOCK_BYTES / 2;

/**
 * Large blocks are for what comes faster than over a line of 1 Gbit/s: there they make a difference. Elsewhere they cost
 * memory, here and in the kernel, which keeps several times as much for a socket as is taken from it at once.
 */
const FAST_BYTES = 4_194_304;
const FAST_MS = 30;
const FAST_PAYLOAD_BYTES = (LARGE_BLOCK_BYTES / BLOCK_BYTES) * LONE_PAYLOAD_BYTES;

/** Bulk reads of one socket follow each other for so long before the others have their turn. Node would go on for 2 MiB. */
const BYTES_PER_TURN = 2 * LARGE_BLOCK_BYTES;

/** Read memory for the sockets of a process, or of a part of it. */
export function readMemory(): ReadMemory {
  const fresh = new FreshMemory();
  return new ReadMemory((bytes) => fresh.add(bytes));
}

/** One socket's reads. While it has no `reader`, the socket is an ordinary one with `data` events. */
export class ReadTap {
  reader: ByteReader | undefined;
  /** Frames come of many streams, and each who stands still would keep a large block for a small part of it. */
  brings: 'payload' | 'frames' = 'payload';
  /** For the `onread` option of sockets. */
  readonly onread: { buffer: () => Uint8Array; callback: (length: number, buffer: Uint8Array) => boolean };
  readonly memory: ReadMemory;
  readonly #alone: boolean;
  readonly #now: () => number;
  #socket: Duplex | undefined;
  /** Memory for the next read of this socket alone. */
  #own: Buffer | undefined;
  #bulk: boolean;
  /** Of bulk reads, in this turn of the event loop. */
  #turnBytes = 0;
  /** Whether its bulk reads are worth large blocks, by how long the last `FAST_BYTES` took. */
  #fast = false;
  #paceBytes = 0;
  #paceSince = 0;
  readonly #onTurn = (): void => {
    const hasYielded = this.#turnBytes >= BYTES_PER_TURN;
    this.#turnBytes = 0;
    const socket = this.#socket;
    if (hasYielded && socket?.isPaused() === false && !socket.destroyed) socket.resume();
  };

  /** `alone`: the socket may be given bytes at any time (TLS), so that it must not share a buffer with others. */
  constructor(memory: ReadMemory, alone = false, now = monotonicNow) {
    this.memory = memory;
    this.#now = now;
    this.#alone = alone;
    this.#bulk = alone;
    this.onread = { buffer: () => this.#next(), callback: (length) => this.#read(length) };
  }

  /** Whose `data` events there are while nobody is `reader`. */
  bind(socket: Duplex): void {
    this.#socket = socket;
  }

  /** The transfer is over: back to the shared buffer with the next read. */
  rest(): void {
    this.#bulk = this.#alone;
  }

  /** Called after every read: where the next one goes. Memory may be given back here only, when no read goes there any more. */
  #next(): Uint8Array {
    if (this.#bulk) {
      this.#own ??= this.#take();
      return this.#own;
    }
    if (this.#own !== undefined) release(this.#own);
    this.#own = undefined;
    return this.memory.shared.whole;
  }

  /** After a bulk read. False stops reading until the turn is over. */
  mayGoOn(length: number): boolean {
    if (this.#turnBytes === 0) setImmediate(this.#onTurn);
    this.#turnBytes += length;
    return this.#turnBytes < BYTES_PER_TURN;
  }

  #followPace(length: number): void {
    this.#paceBytes += length;
    if (this.#paceBytes < FAST_BYTES) return;
    const now = this.#now();
    this.#fast = now - this.#paceSince < FAST_MS;
    this.#paceSince = now;
    this.#paceBytes = 0;
  }

  /** Payload is read so much at a time that it becomes whole frames. */
  get #worthReading(): number {
    if (this.brings === 'frames') return BLOCK_BYTES;
    return this.#fast ? FAST_PAYLOAD_BYTES : LONE_PAYLOAD_BYTES;
  }

  #take(): Buffer {
    try {
      return this.memory.take(this.#worthReading);
    } catch (error) {
      this.#failed();
      throw error;
    }
  }

  /** Node has not been told of other memory: it would read on into what is somebody else's by now. */
  #failed(): void {
    this.#socket?.destroy();
  }

  #read(length: number): boolean {
    const own = this.#own;
    const isBulk = length >= BULK_BYTES;
    this.#bulk = this.#alone || isBulk;
    const chunk = own === undefined ? this.memory.shared.of(length) : firstOf(own, length);
    const owned = own !== undefined && isBulk;
    if (owned) {
      this.#own = undefined;
      this.#followPace(length);
      release(own, own.buffer.byteLength - length);
    }
    try {
      if (this.reader !== undefined) this.reader(chunk, owned);
      else this.#socket?.push(owned ? chunk : Buffer.from(chunk));
    } catch (error) {
      this.#failed();
      throw error;
    }
    return !isBulk || this.mayGoOn(length);
  }
}

function firstOf(memory: Buffer, length: number): Buffer {
  return length === memory.length ? memory : memory.subarray(0, length);
}

const TAP = Symbol('tap');

/** The tap that a socket is read through, if it is. */
export function tapOf(socket: Duplex): ReadTap | undefined {
  const tap: unknown = Reflect.get(socket, TAP);
  return tap instanceof ReadTap ? tap : undefined;
}

/** For whoever makes a socket read through a tap. */
export function tapped(socket: Duplex, tap: ReadTap): void {
  Reflect.set(socket, TAP, tap);
}

/** The chunk itself if it is owned, otherwise a copy that may be kept. `tap`: through which it was read, if it was. */
export function toKeep(chunk: Buffer, owned: boolean, tap: ReadTap | undefined): Buffer {
  if (owned) return chunk;
  return tap === undefined ? Buffer.from(chunk) : tap.memory.copy(chunk);
}

/** A plain TCP or Unix socket that is read through a tap. */
export class TappedSocket extends Socket {
  readonly tap: ReadTap;

  constructor(memory: ReadMemory, options: SocketConstructorOpts) {
    // Windows may fill a buffer before it says so.
    const tap = new ReadTap(memory, process.platform === 'win32');
    super({ ...options, onread: tap.onread });
    this.tap = tap;
    tap.bind(this);
    tapped(this, tap);
  }
}

/**
 * Whether the system has everything that was written: then the memory it was written from may be used again. TLS has
 * made its own of it by then. Never true of streams in memory, which pass views on.
 */
export function hasLeft(socket: Duplex): boolean {
  return socket.writableLength === 0 && socket instanceof Socket;
}
