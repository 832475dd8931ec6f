/**
 * Gathers what is to be written in one turn of the event loop and writes it at the turn's end, one system call per
 * socket: the write call is where a proxy's time goes, and a socket that was closed meanwhile is noticed before anything
 * is written to it. One queue serves all sockets of a process, or of a part of it.
 */
import { Prefixes } from '../prefixes.ts';
import { DirectWrites } from './direct-writes.ts';

/** Has something to write at the end of the turn. */
export interface Flushable {
  flush(): void;
  /** `flush` threw, which is a bug: what was being written cannot be completed, and must not look as if it were. */
  failed(error: Error): void;
}

const SCRATCH_BYTES = 64 * 1024;

export class TurnQueue {
  /** For what is little. */
  readonly direct = new DirectWrites();
  readonly #reportBug: (error: unknown) => void;
  #waiting: Flushable[] = [];
  #running: Flushable[] = [];
  #scheduled = false;
  #scratch: Prefixes | undefined;
  readonly #run = (): void => this.#flushAll();

  /** `reportBug` is told when a `flush` throws. Default: only whose `flush` it was. */
  constructor(reportBug: (error: unknown) => void = () => {}) {
    this.#reportBug = reportBug;
  }

  /** The caller sees to it that it is not queued twice. */
  add(flushable: Flushable): void {
    this.#waiting.push(flushable);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  /** Memory of 64 KiB to put small pieces together in. Who still needs it after the call must say `keepScratch`. */
  scratch(): Prefixes {
    this.#scratch ??= new Prefixes(Buffer.allocUnsafeSlow(SCRATCH_BYTES));
    return this.#scratch;
  }

  /** The socket still holds the scratch memory: the next one gets another. */
  keepScratch(): void {
    this.#scratch = undefined;
  }

  #flushAll(): void {
    const batch = this.#waiting;
    this.#waiting = this.#running;
    this.#running = batch;
    this.#scheduled = false;
    for (const flushable of batch) {
      try {
        flushable.flush();
      } catch (error) {
        // The others have done nothing wrong.
        this.#contain(flushable, error);
      }
    }
    batch.length = 0;
  }

  #contain(flushable: Flushable, error: unknown): void {
    this.#reportBug(error);
    flushable.failed(error instanceof Error ? error : new Error(String(error)));
  }
}
