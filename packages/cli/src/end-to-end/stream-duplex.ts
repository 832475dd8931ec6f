/** A raw stream of a session as a stream of Node, so that TLS can be put on it. */
import { Duplex } from 'node:stream';
import { PortholeError, type ErrorCode, type Stream, type StreamSink } from '@porthole/agent';

export class StreamDuplex extends Duplex implements StreamSink {
  readonly #stream: Stream;
  /** Received and not yet read by whoever reads here; given back as credit then. */
  #unread = 0;
  #afterWrite: (() => void) | undefined;
  #isOver = false;

  constructor(stream: Stream) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
  }

  onHead(): void {
    this.destroy(new PortholeError('PROTOCOL_ERROR', 'a head on a raw stream'));
  }

  onData(chunk: Buffer): void {
    // Taken into this side's buffer: credit follows when that is read.
    if (this.push(chunk)) this.#stream.consumed(chunk.length);
    else this.#unread += chunk.length;
  }

  onTrailers(): void {
    this.onHead();
  }

  onEnd(): void {
    this.push(null);
  }

  onReset(code: ErrorCode, detail: string): void {
    this.#isOver = true;
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
    this.#stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const isWhole = this.readableEnded && this.writableFinished;
    if (!this.#isOver && !isWhole) this.#stream.reset('CANCELLED');
    this.#isOver = true;
    done(error);
  }
}
