/** A decrypted socket as a stream of a session, so that any raw origin can serve it. */
import type { TLSSocket } from 'node:tls';
import type { Origin, RawOpening, Stream, StreamSink } from '@porthole/agent';

/** Lets the origin serve the socket until either has ended. */
export function serveSocket(socket: TLSSocket, origin: Origin, opening: RawOpening): void {
  const stream = new SocketStream(socket);
  stream.serve(origin.openRaw(opening, stream));
}

const HIGH_BYTES = 256 * 1024;

class SocketStream implements Stream {
  readonly #socket: TLSSocket;
  #sink: StreamSink | undefined;
  #given = 0;
  #isOver = false;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
  }

  serve(sink: StreamSink): void {
    this.#sink = sink;
    const socket = this.#socket;
    socket.on('data', (chunk: Buffer) => {
      this.#given += chunk.length;
      if (this.#given > HIGH_BYTES) socket.pause();
      sink.onData(chunk);
    });
    socket.on('end', () => sink.onEnd());
    socket.on('drain', () => sink.onWritable());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#isOver || (socket.readableEnded && socket.writableFinished)) return;
      this.#isOver = true;
      sink.onReset('CANCELLED', 'the visitor has left');
    });
  }

  sendHead(): void {
    this.reset();
  }

  write(chunk: Buffer): boolean {
    return this.#isOver || this.#socket.write(chunk);
  }

  sendTrailers(): void {
    this.reset();
  }

  end(): void {
    if (!this.#isOver) this.#socket.end();
  }

  reset(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.destroy();
  }

  consumed(bytes: number): void {
    this.#given -= bytes;
    if (this.#given <= HIGH_BYTES && this.#sink !== undefined && !this.#isOver) this.#socket.resume();
  }
}
