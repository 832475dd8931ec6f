/**
 * Gathers what is to be written in one turn of the event loop and writes it at the turn's end, one system call per
 * socket: the write call is where a relay's time goes. One queue serves all visitors of the process.
 */
import { Prefixes } from '@porthole/protocol';
import { DirectWrites } from '@porthole/protocol/node';

/** Has something to write at the end of the turn. */
export interface Flushable {
  flush(): void;
}

const SCRATCH_BYTES = 64 * 1024;

export class TurnQueue {
  /** For what is little. */
  readonly direct = new DirectWrites();
  #waiting: Flushable[] = [];
  #running: Flushable[] = [];
  #scheduled = false;
  #scratch: Prefixes | undefined;
  readonly #run = (): void => this.#flushAll();

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
    for (const flushable of batch) flushable.flush();
    batch.length = 0;
  }
}
