/** A raw stream of a session as a stream of Node, so that TLS can be put on it. */
import { Duplex } from 'node:stream';
import { PortholeError, type ErrorCode, type Stream, type StreamSink } from '@porthole/agent';

/** How long what a visitor still sends is read and dropped after this side has said all it had to say. */
const LINGER_MS = 10_000;

export class StreamDuplex extends Duplex implements StreamSink {
  readonly #stream: Stream;
  /** Received and not yet read by whoever reads here; given back as credit then. */
  #unread = 0;
  #afterWrite: (() => void) | undefined;
  #isOver = false;
  /** This side has ended. */
  #hasEnded = false;
  #lingering: NodeJS.Timeout | undefined;

  constructor(stream: Stream) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
  }

  onHead(): void {
    this.destroy(new PortholeError('PROTOCOL_ERROR', 'a head on a raw stream'));
  }

  onData(chunk: Buffer): void {
    // Taken into this side's buffer: credit follows when that is read.
    if (this.destroyed || this.push(chunk)) this.#stream.consumed(chunk.length);
    else this.#unread += chunk.length;
  }

  onTrailers(): void {
    this.onHead();
  }

  onEnd(): void {
    clearTimeout(this.#lingering);
    this.push(null);
  }

  onReset(code: ErrorCode, detail: string): void {
    this.#isOver = true;
    clearTimeout(this.#lingering);
    this.destroy(new PortholeError(code, detail));
  }

  onWritable(): void {
    const after = this.#afterWrite;
    this.#afterWrite = undefined;
    after?.();
  }

  override _read(): void {
    const bytes = this.#unread;
    this.#unread = 0;
    if (bytes > 0 && !this.#isOver) this.#stream.consumed(bytes);
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    // The stream keeps what it is given, and TLS writes from memory that it uses again.
    if (this.#stream.write(Buffer.from(chunk))) done();
    else this.#afterWrite = done;
  }

  override _final(done: () => void): void {
    this.#hasEnded = true;
    this.#stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#isOver && this.#hasEnded && error === null) this.#linger();
    else if (!this.#isOver) this.#stream.reset('CANCELLED');
    this.#isOver = true;
    done(error);
  }

  /** A reset would overtake what has been said last, and that would be lost (RFC 9112 section 9.6). */
  #linger(): void {
    const unread = this.#unread;
    this.#unread = 0;
    if (unread > 0) this.#stream.consumed(unread);
    if (this.readableEnded) return;
    this.#lingering = setTimeout(() => this.#stream.reset('CANCELLED'), LINGER_MS);
    this.#lingering.unref();
  }
}
