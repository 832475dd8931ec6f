/** Joins two streams into one: what arrives on either is sent on the other, with its pace, its end and its resets. */
import { type ErrorCode, PortholeError, type Stream, type StreamSink } from '@porthole/protocol';

/** `open` opens the second stream with the sink it is given. Returns the sink of the first. What `open` throws is thrown on. */
export function spliceStreams(first: Stream, open: (sink: StreamSink) => Stream): StreamSink {
  const forth = new Half('HEAD_TOO_LARGE', first);
  const back = new Half('ORIGIN_HEAD_TOO_LARGE');
  const second = open(back);
  forth.join(second, back);
  back.join(first, forth, second);
  return forth;
}

/** One direction. Its source is told that bytes are consumed when the other stream has room for more, not before. */
class Half implements StreamSink {
  readonly #tooLarge: ErrorCode;
  #from: Stream | undefined;
  #to: Stream | undefined;
  #opposite: Half | undefined;
  #owedBytes = 0;

  /** `tooLarge`: what both ends are told about a head that a frame can carry and a block must not be. */
  constructor(tooLarge: ErrorCode, from?: Stream) {
    this.#tooLarge = tooLarge;
    this.#from = from;
  }

  join(to: Stream, opposite: Half, from = this.#from): void {
    this.#from = from;
    this.#to = to;
    this.#opposite = opposite;
  }

  onHead(block: string): void {
    this.#pass(() => this.#to?.sendHead(block));
  }

  onData(chunk: Buffer): void {
    if (this.#to?.write(chunk) === false) this.#owedBytes += chunk.length;
    else this.#from?.consumed(chunk.length);
  }

  onTrailers(block: string): void {
    this.#pass(() => this.#to?.sendTrailers(block));
  }

  onEnd(): void {
    this.#to?.end();
  }

  onReset(code: ErrorCode, detail: string): void {
    this.#to?.reset(code, detail);
  }

  /** The stream this half reads from has room again: the opposite one may have more of what it writes there. */
  onWritable(): void {
    this.#opposite?.giveCredit();
  }

  #pass(send: () => void): void {
    try {
      send();
    } catch (error) {
      if (!(error instanceof PortholeError)) throw error;
      this.#to?.reset(this.#tooLarge, error.detail);
      this.#from?.reset(this.#tooLarge, error.detail);
    }
  }

  giveCredit(): void {
    const bytes = this.#owedBytes;
    this.#owedBytes = 0;
    if (bytes > 0) this.#from?.consumed(bytes);
  }
}
