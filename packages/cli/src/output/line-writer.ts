/**
 * Writes lines to standard output or error without ever waiting for whoever reads them: the traffic goes on when a
 * pipe is not read, a terminal is stopped or the reader has gone.
 */

/** What is needed of a writable stream. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly writableLength: number;
  readonly destroyed: boolean;
  write(text: string, done?: (error?: Error | null) => void): boolean;
  on(event: 'error' | 'resize', listener: () => void): unknown;
  off(event: 'error' | 'resize', listener: () => void): unknown;
}

/** Characters that may wait for a reader; past that, text is dropped and counted. */
export const MAX_WAITING = 256 * 1024;

export class LineWriter {
  readonly stream: OutputStream;
  readonly #noteDropped: (count: number) => string;
  #broken = false;
  #dropped = 0;

  /** `noteDropped` says, in the format of this output, how many texts were left out. */
  constructor(stream: OutputStream, noteDropped: (count: number) => string) {
    this.stream = stream;
    this.#noteDropped = noteDropped;
    stream.on('error', () => {
      this.#broken = true;
    });
  }

  /** Texts left out because nobody read; told to the reader once there is room again. */
  get dropped(): number {
    return this.#dropped;
  }

  /** False when the text was left out. */
  write(text: string): boolean {
    if (this.#broken || this.stream.destroyed) return false;
    if (this.stream.writableLength > MAX_WAITING) {
      this.#dropped++;
      return false;
    }
    const note = this.#dropped === 0 ? '' : this.#noteDropped(this.#dropped);
    this.#dropped = 0;
    this.stream.write(note + text);
    return true;
  }

  /** Waits until all is written, the reader is gone, or the time is over. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#broken || this.stream.destroyed || this.stream.writableLength === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.stream.write('', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
