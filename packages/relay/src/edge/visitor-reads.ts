/**
 * Where the bytes of plain visitors land. Node gives every read 64 KiB of fresh memory, which costs more than parsing
 * the request in it; its `onread` option reads into memory of ours, but only for sockets made with it. So an accepted
 * connection is put into a socket of our making. Where Node does not allow that, bytes come as `data` events as usual.
 */
import * as net from 'node:net';

/** `owned`: the memory may be kept; otherwise it is overwritten after the call. */
export type ByteReader = (chunk: Buffer, owned: boolean) => void;

const READ_BYTES = 64 * 1024;
/** A read of this size is worth giving its whole buffer away: a bulk transfer is under way. */
const BULK_BYTES = READ_BYTES / 2;

export interface VisitorSocket {
  readonly socket: net.Socket;
  /** Undefined: the socket is an ordinary one. */
  readonly tap: ReadTap | undefined;
}

/** One read's destination. While nobody is its `reader`, the socket is an ordinary one with `data` events. */
export class ReadTap {
  reader: ByteReader | undefined;
  readonly onread: net.OnReadOpts;
  readonly #shared: Buffer;
  #socket: net.Socket | undefined;
  /** Memory for the next read alone, in a bulk transfer. */
  #own: Buffer | undefined;
  #bulk = false;

  constructor(shared: Buffer) {
    this.#shared = shared;
    this.onread = { buffer: () => this.#next(), callback: (length) => this.#read(length) };
  }

  bind(socket: net.Socket): void {
    this.#socket = socket;
  }

  #next(): Buffer {
    if (!this.#bulk) return this.#shared;
    this.#own ??= Buffer.allocUnsafeSlow(READ_BYTES);
    return this.#own;
  }

  #read(length: number): boolean {
    const own = this.#own;
    this.#own = undefined;
    this.#bulk = length >= BULK_BYTES;
    const owned = own !== undefined && this.#bulk;
    const chunk = (own ?? this.#shared).subarray(0, length);
    if (this.reader === undefined) return this.#socket?.push(owned ? chunk : Buffer.from(chunk)) === true;
    this.reader(chunk, owned);
    return true;
  }
}

/** Of one listener; all its visitors share one buffer, because a read is handled to its end before the next one starts. */
export class VisitorReads {
  readonly #shared: Buffer | undefined;

  constructor() {
    // Windows may fill a buffer before it says so, so that it must not be shared.
    this.#shared = process.platform === 'win32' ? undefined : Buffer.allocUnsafeSlow(READ_BYTES);
  }

  /** `accepted`: paused since its server made it (`pauseOnConnect`), so that no byte of it was read. */
  adopt(accepted: net.Socket): VisitorSocket {
    const handle = handleOf(accepted);
    if (handle === undefined || this.#shared === undefined) return { socket: accepted, tap: undefined };
    const tap = new ReadTap(this.#shared);
    // `handle` and `manualStart` are what Node's own servers pass; its type declarations leave them out.
    const options = { handle, allowHalfOpen: true, manualStart: true, onread: tap.onread };
    const socket = new net.Socket(options as net.SocketConstructorOpts);
    tap.bind(socket);
    // The first owner lets go, or it would close the handle with itself.
    Reflect.set(accepted, '_handle', null);
    accepted.destroy();
    return { socket, tap };
  }
}

/** The connection itself, if this Node keeps it where Node 20 to 26 do and it can read into a given buffer. */
function handleOf(socket: net.Socket): object | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return undefined;
  return typeof Reflect.get(handle, 'useUserBuffer') === 'function' ? handle : undefined;
}
