/** A WebSocket over HTTP/2 (RFC 8441) after both ends have agreed: bytes both ways between two streams, each direction ending for itself. */
import { constants, type ServerHttp2Stream } from 'node:http2';
import { type ErrorCode, release, type Stream, type StreamSink } from '@porthole/protocol';
import type { EdgeCounters } from './counters.ts';
import { mayComeBack, restartFrame, WebSocketFrames } from './websocket-frames.ts';

export class H2Pipe implements StreamSink {
  readonly #visitor: ServerHttp2Stream;
  readonly #stream: Stream;
  readonly #counters: EdgeCounters;
  readonly #frames = new WebSocketFrames();
  /** Received of the stream and not yet given back as credit. */
  #uncredited = 0;
  #visitorEnded = false;
  #streamEnded = false;
  #over = false;

  constructor(visitor: ServerHttp2Stream, stream: Stream, counters: EdgeCounters) {
    this.#visitor = visitor;
    this.#stream = stream;
    this.#counters = counters;
  }

  start(): void {
    const visitor = this.#visitor;
    visitor.on('data', (chunk: Buffer) => {
      if (this.#over) return;
      this.#counters.bytesUpTotal += chunk.length;
      if (!this.#stream.write(chunk)) visitor.pause();
    });
    visitor.on('end', () => {
      if (this.#over || visitor.aborted || visitor.rstCode !== constants.NGHTTP2_NO_ERROR) return;
      this.#visitorEnded = true;
      this.#stream.end();
    });
    visitor.on('wantTrailers', () => {
      if (!visitor.closed && !visitor.destroyed) visitor.sendTrailers({});
    });
    visitor.resume();
  }

  /** The visitor's stream is closed, in whichever way. */
  visitorClosed(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#visitorEnded && this.#streamEnded && this.#visitor.rstCode === constants.NGHTTP2_NO_ERROR) return;
    this.#counters.abortsTotal += 1;
    this.#stream.reset('CANCELLED');
  }

  /** The relay stops: the visitor is told to come back, between two frames. False when that is not possible. */
  goAway(): boolean {
    if (this.#over || !this.#frames.isAtBoundary || this.#visitor.writableLength > 0) return false;
    this.#over = true;
    this.#stream.reset('CANCELLED');
    this.#visitor.end(restartFrame());
    // What he still sends is dropped, so that he gets to his own end.
    this.#visitor.resume();
    return true;
  }

  onHead(): void {
    this.#stream.reset('PROTOCOL_ERROR', 'a head on a raw stream');
    this.onReset('PROTOCOL_ERROR', '');
  }

  onData(chunk: Buffer): void {
    if (this.#over) return;
    this.#counters.bytesDownTotal += chunk.length;
    this.#uncredited += chunk.length;
    this.#frames.feed(chunk);
    if (this.#visitor.writableEnded) return;
    this.#visitor.write(chunk, (error) => {
      if (error === null || error === undefined) release(chunk);
      this.#credit();
    });
  }

  onTrailers(): void {
    this.onHead();
  }

  onEnd(): void {
    this.#streamEnded = true;
    if (!this.#over) this.#visitor.end();
  }

  onReset(code: ErrorCode, _detail: string): void {
    if (this.#over) return;
    if (mayComeBack(code) && this.goAway()) return;
    this.#over = true;
    // A reset, not an end: the visitor must not take what he has for everything.
    this.#visitor.close(code === 'CANCELLED' ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_INTERNAL_ERROR);
  }

  onWritable(): void {
    this.#visitor.resume();
  }

  #credit(): void {
    const pending = this.#visitor.writableLength;
    const bytes = this.#uncredited - pending;
    if (bytes <= 0) return;
    this.#uncredited = pending;
    if (!this.#over) this.#stream.consumed(bytes);
  }
}
