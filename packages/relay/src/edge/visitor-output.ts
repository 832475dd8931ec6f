/**
 * What goes out to one visitor: pieces of text and bytes are gathered and leave in one write per turn of the event
 * loop. Small pieces are copied together, large ones written as they are. Says when the visitor does not keep up.
 */
import type * as net from 'node:net';
import { release, releaseAll } from '@porthole/protocol';
import { type Flushable, hasLeft, type TurnQueue } from '@porthole/protocol/node';

/** What gathered up to this size is copied together and written as one. */
const JOIN_BYTES = 16 * 1024;
/** Of more than that, pieces up to this size are copied together with their neighbours; the others are written as they are. */
const JOIN_PIECE_BYTES = 2 * 1024;
/** What has gathered up to this size is written before the turn's end, while it is still in the processor's cache. */
const EARLY_FLUSH_BYTES = 124 * 1024;
/** What one write takes, or one piece more than that. */
const MAX_WRITE_BYTES = 512 * 1024;

/**
 * Pieces are parts of what was read from a carrier at once, and keep all of it. A visitor who has not taken anything for
 * so long is slow or stands still: what waits for him is copied out.
 */
const COPY_AFTER_MS = 20;
/** What one write takes then, of copies; the rest stays here, where it can be copied once it has waited. */
const MAX_SLOW_WRITE_BYTES = 64 * 1024;

/** Of less than this the memory is not worth asking for. */
const WORTH_RELEASING_BYTES = 4 * 1024;
/** Of a socket that is never seen empty, earlier pieces are forgotten. */
const MAX_HELD_PIECES = 256;

const NOTHING: (string | Buffer)[] = [];

export interface OutputOwner {
  /** Of all that was given, the socket has not taken `pendingBytes` yet: give credit back for the rest. */
  outputWritten(pendingBytes: number): void;
}

export class VisitorOutput implements Flushable {
  readonly #socket: net.Socket;
  readonly #turns: TurnQueue;
  #owner: OutputOwner | undefined;
  /** A TLS socket's writes are never done within the call, but have been copied by then. */
  readonly #encrypted: boolean;
  #pieces = NOTHING;
  #bytes = 0;
  /** What the socket was given and had not passed on when it was asked last: it may hold part of it. */
  #inSocket: readonly (string | Buffer)[] = [];
  #queued = false;
  #blocked = false;
  #blockedAt = 0;
  /** It has been blocked for a while, and nothing has gone out at once since. */
  #slow = false;
  #ending = false;

  constructor(socket: net.Socket, turns: TurnQueue) {
    this.#socket = socket;
    this.#turns = turns;
    this.#encrypted = 'encrypted' in socket;
  }

  /** The visitor does not keep up: pieces stay here until the socket has drained. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Whoever fills it from here on. */
  handTo(owner: OutputOwner): void {
    this.#owner = owner;
  }

  /** Latin1 text: one char is one byte. */
  text(text: string): void {
    const last = this.#pieces.length - 1;
    const piece = this.#pieces[last];
    if (typeof piece === 'string') this.#pieces[last] = piece + text;
    else this.#add(text);
    this.#grow(text.length);
  }

  bytes(chunk: Buffer): void {
    this.#add(chunk);
    if (this.#blocked) this.tick(performance.now());
    this.#grow(chunk.length);
  }

  /** To be called now and then; `now` of `performance.now`. */
  tick(now: number): void {
    if (this.#blocked && now - this.#blockedAt > COPY_AFTER_MS) copyOut(this.#pieces);
  }

  /** Half-closes the socket once everything has been written. */
  end(): void {
    this.#ending = true;
    this.#queue();
  }

  /** To be called on the socket's `drain`. */
  drained(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#releaseLeft();
    // So little is worth a copy: it may be the last that the system takes, and would keep the reads it came in.
    this.#slow = this.#bytes <= MAX_SLOW_WRITE_BYTES || performance.now() - this.#blockedAt > COPY_AFTER_MS;
    if (this.#bytes > 0) this.#owner?.outputWritten(this.#bytes);
    this.flush();
  }

  flush(): void {
    this.#queued = false;
    if (this.#blocked || this.#socket.destroyed) return;
    if (this.#bytes > 0) {
      if (this.#isLittle) this.#writeLittle();
      else this.#write();
    }
    if (this.#blocked) return;
    if (this.#ending && !this.#socket.writableEnded) this.#socket.end();
    this.#owner?.outputWritten(0);
  }

  failed(): void {
    this.#socket.resetAndDestroy();
  }

  /** Most answers are one piece or two; a list that may grow is ten times as large. */
  #add(piece: string | Buffer): void {
    const pieces = this.#pieces;
    if (pieces.length === 0) this.#pieces = [piece];
    else if (pieces.length === 1) this.#pieces = [pieces[0] as string | Buffer, piece];
    else pieces.push(piece);
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes >= EARLY_FLUSH_BYTES && !this.#blocked) this.flush();
    else this.#queue();
  }

  #queue(): void {
    if (this.#queued) return;
    this.#queued = true;
    this.#turns.add(this);
  }

  /** Fits one write that the kernel is likely to take at once. */
  get #isLittle(): boolean {
    return this.#bytes <= JOIN_BYTES && !this.#slow && this.#socket.writableLength === 0;
  }

  /** Most answers: as `#write` would do it, with less ado. */
  #writeLittle(): void {
    const socket = this.#socket;
    const pieces = this.#pieces;
    this.#releaseLeft();
    const scratch = this.#turns.scratch();
    const joined = scratch.of(joinInto(scratch.whole, pieces));
    const written = this.#turns.direct.write(socket, joined);
    if (written === undefined) socket.write(joined);
    if (this.#bytes >= WORTH_RELEASING_BYTES) releaseAll(pieces);
    this.#pieces = NOTHING;
    this.#bytes = 0;
    if (written === 'sent' || written === 'failed') return;
    if (written === undefined && socket.writableLength === 0) return;
    if (!this.#encrypted) this.#turns.keepScratch();
    this.#blocked = written === 'waits' || socket.writableNeedDrain;
    if (this.#blocked) this.#blockedAt = performance.now();
  }

  /** In batches of bounded size, so that a slow visitor's progress shows as a `drain` now and then. */
  #write(): void {
    const socket = this.#socket;
    this.#releaseLeft();
    do {
      const before = this.#bytes;
      const pieces = this.#nextBatch(this.#slow ? MAX_SLOW_WRITE_BYTES : MAX_WRITE_BYTES);
      const isCopied = this.#copiesAtOnce;
      if (this.#slow && !isCopied) copyOut(pieces);
      if (pieces.length > 1) {
        this.#writeJoined(pieces, before - this.#bytes);
      } else {
        const piece = pieces[0] as string | Buffer;
        if (typeof piece === 'string') socket.write(piece, 'latin1');
        else socket.write(piece);
      }
      // A write past the high-water mark says "wait" even when the kernel took all of it; only what is left counts.
      this.#blocked = socket.writableNeedDrain && socket.writableLength > 0;
      if (isCopied) releaseAll(pieces);
      else if (before >= WORTH_RELEASING_BYTES) this.#hold(pieces);
    } while (this.#bytes > 0 && !this.#blocked);
    if (this.#blocked) this.#blockedAt = performance.now();
    else this.#slow = false;
  }

  /** What is written now is encrypted, and so copied, within the call. */
  get #copiesAtOnce(): boolean {
    return this.#encrypted && this.#socket.writableLength === 0;
  }

  /** Releases them now or, when the socket does not pass them on within the call, at the next occasion. */
  #hold(pieces: readonly (string | Buffer)[]): void {
    if (hasLeft(this.#socket)) releaseAll(pieces);
    else if (this.#inSocket.length > MAX_HELD_PIECES) this.#inSocket = pieces;
    else this.#inSocket = this.#inSocket.length === 0 ? pieces : [...this.#inSocket, ...pieces];
  }

  #releaseLeft(): void {
    if (this.#inSocket.length === 0 || !hasLeft(this.#socket)) return;
    releaseAll(this.#inSocket);
    this.#inSocket = [];
  }

  #nextBatch(maxBytes: number): (string | Buffer)[] {
    const pieces = this.#pieces;
    if (this.#bytes <= maxBytes) {
      this.#pieces = NOTHING;
      this.#bytes = 0;
      return pieces;
    }
    let count = 0;
    let bytes = 0;
    for (; bytes < maxBytes; count++) bytes += (pieces[count] as string | Buffer).length;
    this.#bytes -= bytes;
    this.#pieces = pieces.slice(count);
    pieces.length = count;
    return pieces;
  }

  #writeJoined(pieces: (string | Buffer)[], bytes: number): void {
    const socket = this.#socket;
    // The shared memory may be used only if the kernel is likely to take all of it within this call, or TLS does.
    const shared = socket.writableLength === 0;
    const scratch = this.#turns.scratch().whole;
    const room = shared ? scratch : Buffer.allocUnsafe(Math.min(bytes, scratch.length));
    const one = bytes <= JOIN_BYTES;
    if (!one) socket.cork();
    let start = 0;
    let end = 0;
    for (const piece of pieces) {
      if ((!one && piece.length > JOIN_PIECE_BYTES) || end + piece.length > room.length) {
        if (end > start) socket.write(room.subarray(start, end));
        start = end;
        if (typeof piece === 'string') socket.write(piece, 'latin1');
        else socket.write(piece);
      } else {
        end = put(piece, room, end);
      }
    }
    if (end > start) socket.write(room.subarray(start, end));
    if (!one) socket.uncork();
    if (shared && socket.writableLength > 0 && !this.#encrypted) this.#turns.keepScratch();
  }
}

/** Returns how many bytes there are. */
function joinInto(room: Buffer, pieces: readonly (string | Buffer)[]): number {
  let end = 0;
  for (const piece of pieces) end = put(piece, room, end);
  return end;
}

/** Returns the index behind it. */
function put(piece: string | Buffer, room: Buffer, at: number): number {
  if (typeof piece === 'string') room.write(piece, at, 'latin1');
  else room.set(piece, at);
  return at + piece.length;
}

function copyOut(pieces: (string | Buffer)[]): void {
  for (let index = pieces.length - 1; index >= 0; index -= 1) {
    const piece = pieces[index] as string | Buffer;
    if (typeof piece === 'string') continue;
    // Copied already, and so is everything before it.
    if (piece.buffer.byteLength === piece.length) break;
    const copy = Buffer.allocUnsafeSlow(piece.length);
    piece.copy(copy);
    pieces[index] = copy;
    release(piece);
  }
}
