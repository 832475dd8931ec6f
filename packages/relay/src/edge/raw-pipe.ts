/**
 * Bytes both ways between a visitor's socket and a stream: half-close kept, back-pressure both ways, an abort of
 * either side passed on as one. For raw visitors and for exchanges after their 101.
 */
import type * as net from 'node:net';
import type { ErrorCode, Stream, StreamSink } from '@porthole/protocol';
import type { EdgeCounters } from './counters.ts';
import type { OutputOwner, VisitorOutput } from './visitor-output.ts';
import { mayComeBack, restartFrame, WebSocketFrames } from './websocket-frames.ts';

/** How long a visitor may take to answer the close frame of a relay that stops. */
export const CLOSE_PATIENCE_MS = 2_000;

/** The socket's owner passes its events on to the `visitor…` methods. */
export class RawPipe implements StreamSink, OutputOwner {
  readonly #socket: net.Socket;
  readonly #counters: EdgeCounters;
  readonly #output: VisitorOutput;
  readonly #frames: WebSocketFrames | undefined;
  #stream: Stream | undefined;
  /** Received of the stream and not yet given back as credit. */
  #uncredited = 0;
  #streamOver = false;
  #visitorEnded = false;
  #early: Buffer | undefined;

  /** `isWebSocket`: frames are followed on their way to the visitor, so that he can be told when the relay stops. */
  constructor(socket: net.Socket, output: VisitorOutput, counters: EdgeCounters, isWebSocket = false) {
    this.#socket = socket;
    this.#counters = counters;
    this.#output = output;
    this.#frames = isWebSocket ? new WebSocketFrames() : undefined;
    output.handTo(this);
  }

  /** From here on bytes flow. `early` was read off the socket before. */
  start(stream: Stream, early?: Buffer): void {
    this.#stream = stream;
    if (this.#early !== undefined) {
      const held = this.#early;
      this.#early = undefined;
      this.#socket.resume();
      this.visitorData(held);
    }
    if (early !== undefined && early.length > 0) this.visitorData(early);
    if (this.#visitorEnded) stream.end();
  }

  visitorData(chunk: Buffer): void {
    if (this.#streamOver) return;
    if (this.#stream === undefined) {
      // Nobody takes it yet: the socket waits, so that no more than one read is ever held.
      this.#early = this.#early === undefined ? chunk : Buffer.concat([this.#early, chunk]);
      this.#socket.pause();
      return;
    }
    this.#counters.bytesUpTotal += chunk.length;
    if (!this.#stream.write(chunk)) this.#socket.pause();
  }

  visitorEnded(): void {
    this.#visitorEnded = true;
    this.#stream?.end();
  }

  /** The socket is closed, in whichever way. */
  visitorClosed(): void {
    if (this.#streamOver) return;
    this.#streamOver = true;
    // Both sides ended in order: what the stream has still to send must not be dropped.
    if (this.#visitorEnded && this.#socket.writableFinished) return;
    this.#counters.abortsTotal += 1;
    this.#stream?.reset('CANCELLED');
  }

  visitorDrained(): void {
    this.#output.drained();
  }

  outputWritten(pendingBytes: number): void {
    const bytes = this.#uncredited - pendingBytes;
    if (bytes <= 0) return;
    this.#uncredited = pendingBytes;
    if (!this.#streamOver) this.#stream?.consumed(bytes);
  }

  /**
   * The relay stops. True when the visitor could be told: it is for him to answer and to end the connection then, and
   * it is cut if he has not within `CLOSE_PATIENCE_MS`.
   */
  goAway(): boolean {
    if (this.#frames?.isAtBoundary !== true || this.#output.blocked || this.#streamOver) return false;
    this.#streamOver = true;
    this.#stream?.reset('CANCELLED');
    this.#output.bytes(restartFrame());
    this.#output.flush();
    // What he still sends is read off: unread bytes would turn the end into a reset, which takes the frame with it.
    this.#socket.resume();
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), CLOSE_PATIENCE_MS).unref();
    return true;
  }

  onHead(): void {
    // A raw stream has no heads.
    this.#stream?.reset('PROTOCOL_ERROR', 'a head on a raw stream');
    this.onReset('PROTOCOL_ERROR', '');
  }

  onData(chunk: Buffer): void {
    this.#counters.bytesDownTotal += chunk.length;
    this.#uncredited += chunk.length;
    this.#frames?.feed(chunk);
    this.#output.bytes(chunk);
  }

  onTrailers(): void {
    this.onHead();
  }

  onEnd(): void {
    this.#output.end();
  }

  onReset(code: ErrorCode, _detail: string): void {
    if (this.#streamOver) return;
    if (mayComeBack(code) && this.goAway()) return;
    this.#streamOver = true;
    // A reset, not an end: the visitor must not take what it has for everything.
    this.#socket.resetAndDestroy();
  }

  onWritable(): void {
    this.#socket.resume();
  }
}
