/** One direction of a cut-able line: forwards bytes at once, or later, or slowly, or not at all for now, and counts them. */
import type { Socket } from 'node:net';

/** State of the line that all links share; changed by the cutter while bytes flow. */
export interface LineState {
  /** Nothing gets through; sockets stay open and bytes wait, as they do when packets get lost. */
  held: boolean;
  delayMs: number;
  /** Undefined: as fast as it goes. */
  bytesPerSecond: number | undefined;
  /** When the throttled line will be free again, on the clock of `performance.now()`. */
  freeAt: number;
}

const PIECE = 16 * 1024;
const MAX_QUEUED = 16 * 1024 * 1024;

type Piece = { readonly bytes: Buffer; readonly due: number } | { readonly bytes: undefined; readonly due: number };

export class CarrierPipe {
  forwarded = 0;
  #from: Socket;
  #to: Socket;
  #line: LineState;
  #queue: Piece[] = [];
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Asked before every write how many of `size` bytes may pass; fewer means that the cutter cuts behind them. */
  readonly #admit: (size: number) => number;

  constructor(from: Socket, to: Socket, line: LineState, admit: (size: number) => number) {
    this.#from = from;
    this.#to = to;
    this.#line = line;
    this.#admit = admit;
    from.on('data', (chunk: Buffer) => this.#take(chunk));
    from.on('end', () => this.#takeEnd());
    to.on('drain', () => this.update());
  }

  /** After the line's state changed: pause or go on. */
  update(): void {
    if (this.#stopped) return;
    if (this.#line.held) {
      this.#from.pause();
      clearTimeout(this.#timer);
      this.#timer = undefined;
      return;
    }
    this.#flush();
    if (this.#mayRead()) this.#from.resume();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #mayRead(): boolean {
    return !this.#stopped && !this.#line.held && this.#queuedBytes < MAX_QUEUED && !this.#to.writableNeedDrain;
  }

  #take(chunk: Buffer): void {
    if (this.#stopped) return;
    const line = this.#line;
    const immediate = line.delayMs === 0 && line.bytesPerSecond === undefined && this.#queue.length === 0 && !line.held;
    if (immediate) this.#forward(chunk);
    else this.#enqueue(chunk);
    if (!this.#mayRead()) this.#from.pause();
  }

  #takeEnd(): void {
    if (this.#stopped) return;
    this.#queue.push({ bytes: undefined, due: this.#due(0) });
    this.#flush();
  }

  #enqueue(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += PIECE) {
      const bytes = chunk.subarray(at, at + PIECE);
      this.#queue.push({ bytes, due: this.#due(bytes.length) });
      this.#queuedBytes += bytes.length;
    }
    this.#flush();
  }

  #due(size: number): number {
    const now = performance.now();
    const line = this.#line;
    if (line.bytesPerSecond === undefined) return now + line.delayMs;
    line.freeAt = Math.max(now, line.freeAt) + (size * 1000) / line.bytesPerSecond;
    return line.freeAt + line.delayMs;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (!this.#stopped && !this.#line.held) {
      const head = this.#queue[0];
      if (head === undefined) return;
      const wait = head.due - performance.now();
      if (wait > 0.5) {
        this.#timer = setTimeout(() => this.update(), wait);
        return;
      }
      if (this.#to.writableNeedDrain) return;
      this.#queue.shift();
      if (head.bytes === undefined) this.#to.end();
      else {
        this.#queuedBytes -= head.bytes.length;
        this.#forward(head.bytes);
      }
    }
  }

  #forward(bytes: Buffer): void {
    // Asked first, written second: the cut itself must come after the last byte that may pass.
    const allowed = this.#admit(bytes.length);
    if (allowed > 0 && this.#to.writable) {
      this.forwarded += allowed;
      this.#to.write(allowed < bytes.length ? bytes.subarray(0, allowed) : bytes);
    }
  }
}
