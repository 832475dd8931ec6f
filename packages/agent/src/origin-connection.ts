/** One HTTP/1.1 connection to an origin: bytes to responses, and what befalls the socket. It carries one exchange at a time. */
import { PortholeError, release, type Fields, type ResponseHead } from '@porthole/protocol';
import { ResponseReader, type ResponseLimits } from '@porthole/protocol/http1';
import { type ReadTap, toKeep } from '@porthole/protocol/node';
import type { Duplex } from 'node:stream';
import { readFrom, type OriginSocket } from './origin-socket.ts';

/** The exchange a connection is used for. */
export interface ConnectionUser {
  /** Interim heads come before the final one. */
  onResponseHead(head: ResponseHead): void;
  /** The memory is the user's from here on. */
  onResponseBytes(chunk: Buffer): void;
  onResponseTrailers(fields: Fields): void;
  onResponseEnd(): void;
  /** The origin has half-closed an upgraded connection. */
  onRawEnd(): void;
  onDrain(): void;
  /** The connection is gone; nothing else comes from it. */
  onLost(reason: PortholeError): void;
}

export interface ConnectionKeeper {
  /** The exchange is over and the connection can carry another. */
  onFree(connection: OriginConnection): void;
  onGone(connection: OriginConnection): void;
}

export class OriginConnection {
  readonly socket: Duplex;
  /** Milliseconds of `performance.now`, while idle in the pool. */
  idleSince = 0;
  /** Has carried an exchange before: the origin may be closing it just now. */
  reused = false;
  /** Whether a byte of the present exchange's response has come. */
  answered = false;
  /** The last response's head and what went on of it: the next response's may be the same. */
  passedOnHead: ResponseHead | undefined;
  passedOnBlock = '';
  readonly #tap: ReadTap | undefined;
  readonly #keeper: ConnectionKeeper;
  readonly #reader: ResponseReader;
  #user: ConnectionUser | undefined;
  #raw = false;
  /** Whether what is being read may be kept, or is overwritten by the next read. */
  #owned = false;
  /** Bytes of it that are the user's now. */
  #handedOn = 0;
  #paused = false;
  #reading = false;
  #free = false;
  #gone = false;

  constructor(opened: OriginSocket, keeper: ConnectionKeeper, limits: ResponseLimits) {
    this.socket = opened.socket;
    this.#tap = opened.tap;
    this.#keeper = keeper;
    this.#reader = new ResponseReader(limits, {
      onInterim: (head) => this.#user?.onResponseHead(head),
      onHead: (head) => this.#user?.onResponseHead(head),
      onBody: (chunk) => this.#handOn(chunk),
      onTrailers: (fields) => this.#user?.onResponseTrailers(fields),
      onComplete: () => this.#user?.onResponseEnd(),
    });
    readFrom(opened, (chunk, owned) => this.#onBytes(chunk, owned));
    this.socket.on('end', () => this.#ended());
    this.socket.on('error', (error) => this.#lose(error));
    this.socket.on('close', () => this.#lose(undefined));
    this.socket.on('drain', () => this.#user?.onDrain());
  }

  begin(user: ConnectionUser, method: string, mayUpgrade: boolean): void {
    this.#user = user;
    this.answered = false;
    this.#reader.expect(method, mayUpgrade);
  }

  passedOn(head: ResponseHead, block: string): void {
    this.passedOnHead = head;
    this.passedOnBlock = block;
  }

  /** After a 101: bytes are passed as they are. */
  becomeRaw(): void {
    this.#raw = true;
  }

  /** No more calls of `onResponseBytes` after those under way, until `resume`. */
  pause(): void {
    this.#paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.socket.resume();
  }

  /** The exchange is over in both directions. */
  release(): void {
    this.#user = undefined;
    this.reused = true;
    this.#tap?.rest();
    this.resume();
    // Bytes after the response would be taken for the next one's: look at the whole chunk first.
    if (this.#reading) this.#free = true;
    else this.#keeper.onFree(this);
  }

  /** Both directions of an upgraded connection have ended: the socket closes itself once it has sent what it holds. */
  letGo(): void {
    this.#user = undefined;
    this.resume();
  }

  /** Idempotent. The user hears nothing more. */
  destroy(): void {
    this.#user = undefined;
    if (this.#gone) return;
    this.#gone = true;
    this.socket.destroy();
    this.#keeper.onGone(this);
  }

  #onBytes(chunk: Buffer, owned: boolean): void {
    if (this.#user === undefined) {
      // Nobody asked: an idle origin that speaks (408, a stray body) is about to close or confused.
      this.destroy();
      return;
    }
    this.answered = true;
    this.#reading = true;
    this.#owned = owned;
    this.#handedOn = 0;
    const used = this.#raw ? 0 : this.#feed(chunk);
    if (used < chunk.length) this.#rest(chunk, used);
    this.#reading = false;
    if (owned) release(chunk, chunk.length - this.#handedOn);
    if (this.#free) {
      this.#free = false;
      if (!this.#gone) this.#keeper.onFree(this);
    }
  }

  #handOn(chunk: Buffer): void {
    const user = this.#user;
    if (user === undefined) return;
    if (this.#owned) this.#handedOn += chunk.length;
    user.onResponseBytes(toKeep(chunk, this.#owned, this.#tap));
  }

  #feed(chunk: Buffer): number {
    try {
      return this.#reader.feed(chunk);
    } catch (error) {
      this.#fail(
        error instanceof PortholeError ? error : new PortholeError('INTERNAL', 'reading a response', { cause: error }),
      );
      return chunk.length;
    }
  }

  #rest(chunk: Buffer, used: number): void {
    if (this.#raw) this.#handOn(used === 0 ? chunk : chunk.subarray(used));
    else this.#fail(new PortholeError('ORIGIN_BAD_RESPONSE', 'bytes after the end of the response'));
  }

  #ended(): void {
    if (this.#gone) return;
    if (this.#user === undefined) return this.destroy();
    if (this.#raw) return this.#user.onRawEnd();
    // The end of a response without length lets the user go; whatever else is under way was cut off.
    this.#reader.finish();
    this.#lose(undefined);
  }

  #lose(cause: Error | undefined): void {
    if (this.#gone) return;
    const why = cause !== undefined && 'code' in cause ? String(cause.code) : 'the connection was closed';
    this.#fail(new PortholeError(this.answered ? 'ORIGIN_TRUNCATED' : 'ORIGIN_CLOSED', why, { cause }));
  }

  #fail(reason: PortholeError): void {
    const user = this.#user;
    this.destroy();
    user?.onLost(reason);
  }
}
