/**
 * Sends one request, or a raw visitor's bytes, to an origin: head, framed body, trailers. What comes within a turn leaves in one write; what the
 * socket has taken is given back as credit, so that a slow origin slows its visitor and nobody else.
 */
import { PortholeError, releaseAll, type Fields, type Stream } from '@porthole/protocol';
import { CHUNK_END, chunkHead, lastChunk } from '@porthole/protocol/http1';
import { type Flushable, hasLeft, type TurnQueue } from '@porthole/protocol/node';
import type { Duplex } from 'node:stream';
import type { RequestFraming, RequestStart } from './request-head.ts';

/** So much is written before the turn's end, while it is still in the processor's cache. */
const EARLY_WRITE_BYTES = 60 * 1024;

/** Most requests have no body: lists are made when there is something to put in. */
const NOTHING: (string | Buffer)[] = [];

export class RequestWriter implements Flushable {
  /** Nothing more will come from the visitor. */
  ended: boolean;
  /** Bytes have gone to a socket: the origin may have seen them. */
  sent = false;
  readonly #stream: Stream;
  readonly #turns: TurnQueue;
  readonly #onSent: () => void;
  readonly #head: string;
  readonly #framing: RequestFraming;
  #socket: Duplex | undefined;
  #headSent = false;
  #raw = false;
  /** After a 101, or of a raw visitor: the socket has been told that no more comes. */
  #endGiven = false;
  #dropping = false;
  #pending = NOTHING;
  /** Body bytes in `#pending`. */
  #pendingBytes = 0;
  #bodyBytes = 0;
  /** Body bytes the socket holds until it drains. */
  #held = 0;
  /** What the socket was given when it said "wait": it holds part of it. */
  #inSocket: readonly (string | Buffer)[] = NOTHING;
  #blocked = false;
  #queued = false;

  /** `onSent`: everything has been handed to the socket. */
  constructor(start: RequestStart, stream: Stream, turns: TurnQueue, onSent: () => void) {
    this.#head = start.head;
    this.#framing = start.framing;
    this.#stream = stream;
    this.#turns = turns;
    this.#onSent = onSent;
    this.ended = start.framing.kind === 'none';
  }

  /** All of the request has been handed to the socket. */
  get finished(): boolean {
    return this.ended && this.#headSent && this.#pending.length === 0 && (!this.#raw || this.#endGiven);
  }

  /** A request without a body is written at once; others wait for their first bytes until the end of the turn. */
  attach(socket: Duplex): void {
    this.#socket = socket;
    this.#headSent = this.#head === '';
    if (this.#framing.kind === 'none') this.flush();
    else this.#enqueue();
  }

  detach(): void {
    this.#socket = undefined;
    this.#blocked = false;
    this.#inSocket = NOTHING;
    if (this.#held > 0) this.#stream.consumed(this.#held);
    this.#held = 0;
  }

  /** The origin has agreed to leave HTTP: bytes go as they come. */
  becomeRaw(): void {
    this.#raw = true;
    this.ended = false;
  }

  /** The origin wants no more; what still comes is thrown away. */
  drop(): void {
    this.#dropping = true;
    if (this.#pendingBytes > 0) this.#stream.consumed(this.#pendingBytes);
    this.#pendingBytes = 0;
    this.#pending = NOTHING;
    this.detach();
  }

  /** Throws PROTOCOL_ERROR when the body grows longer than announced. */
  write(chunk: Buffer): void {
    if (this.#dropping) return this.#stream.consumed(chunk.length);
    if (this.ended) throw new PortholeError('PROTOCOL_ERROR', 'body bytes after the end of a request');
    if (chunk.length === 0) return;
    this.#bodyBytes += chunk.length;
    this.#pendingBytes += chunk.length;
    if (this.#raw) this.#push(chunk);
    else if (this.#framing.kind === 'chunked') this.#pushChunk(chunk);
    else if (this.#framing.kind === 'length' && this.#bodyBytes <= this.#framing.length) this.#push(chunk);
    else throw new PortholeError('PROTOCOL_ERROR', 'a body longer than its announced length');
    const socket = this.#socket;
    if (this.#pendingBytes >= EARLY_WRITE_BYTES && socket !== undefined && !this.#blocked) this.#writeOut(socket);
    else this.#enqueue();
  }

  /** Trailers are left out where the framing has no place for them. Throws PROTOCOL_ERROR when the body is shorter than announced. */
  end(trailers: Fields): void {
    if (this.ended || this.#dropping) return;
    this.ended = true;
    if (!this.#raw) {
      if (this.#framing.kind === 'chunked') this.#pushText(lastChunk(trailers));
      if (this.#framing.kind === 'length' && this.#bodyBytes !== this.#framing.length)
        throw new PortholeError('PROTOCOL_ERROR', 'a body shorter than its announced length');
    }
    this.#enqueue();
  }

  onDrain(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    if (this.#socket !== undefined && hasLeft(this.#socket)) releaseAll(this.#inSocket);
    this.#inSocket = NOTHING;
    const held = this.#held;
    this.#held = 0;
    if (held > 0) this.#stream.consumed(held);
    this.flush();
  }

  flush(): void {
    this.#queued = false;
    const socket = this.#socket;
    if (socket === undefined || this.#blocked) return;
    if (!this.#headSent || this.#pending.length > 0) this.#writeOut(socket);
    this.#finish(socket);
  }

  failed(error: Error): void {
    this.#socket?.destroy(error);
  }

  #writeOut(socket: Duplex): void {
    const pending = this.#pending;
    this.#pending = NOTHING;
    this.sent = true;
    if (!this.#headSent && pending.length === 0) {
      if (this.#turns.direct.write(socket, this.#head) === undefined) socket.write(this.#head, 'latin1');
    } else if (this.#headSent && pending.length === 1) {
      socket.write(pending[0], 'latin1');
    } else {
      socket.cork();
      if (!this.#headSent) socket.write(this.#head, 'latin1');
      for (const each of pending) socket.write(each, 'latin1');
      socket.uncork();
    }
    this.#headSent = true;
    this.#settle(socket, pending);
  }

  #settle(socket: Duplex, written: readonly (string | Buffer)[]): void {
    const bytes = this.#pendingBytes;
    this.#pendingBytes = 0;
    if (bytes === 0) return;
    // A write past the high-water mark says "wait" even when the kernel took all of it; only what is left counts.
    if (socket.writableNeedDrain && socket.writableLength > 0) {
      this.#blocked = true;
      this.#held += bytes;
      this.#inSocket = written;
      return;
    }
    if (hasLeft(socket)) releaseAll(written);
    this.#stream.consumed(bytes);
  }

  #finish(socket: Duplex): void {
    if (!this.ended) return;
    if (this.#raw) {
      this.#endGiven = true;
      socket.end();
    }
    this.#onSent();
  }

  #pushChunk(chunk: Buffer): void {
    this.#pushText(chunkHead(chunk.length));
    this.#push(chunk);
    this.#push(CHUNK_END);
  }

  /** Joined to the line end of the chunk before, if that has not left yet. */
  #pushText(text: string): void {
    const last = this.#pending.length - 1;
    const before = this.#pending[last];
    if (typeof before === 'string') this.#pending[last] = before + text;
    else this.#push(text);
  }

  #push(piece: string | Buffer): void {
    if (this.#pending.length === 0) this.#pending = [piece];
    else this.#pending.push(piece);
  }

  #enqueue(): void {
    if (this.#queued || this.#socket === undefined) return;
    this.#queued = true;
    this.#turns.add(this);
  }
}
