/**
 * Collects what wants to be written in this turn of the event loop and writes it after all reads of the turn. Bytes of
 * one exchange then leave in one system call, and a socket that the origin has closed meanwhile is noticed before
 * anything is written to it.
 */
import { DirectWrites } from '@porthole/protocol/node';

export interface Flushable {
  flush(): void;
}

export class TurnQueue {
  /** For what is little. */
  readonly direct = new DirectWrites();
  #pending: Flushable[] = [];
  readonly #run = (): void => {
    const pending = this.#pending;
    this.#pending = [];
    for (const each of pending) each.flush();
  };

  /** Each adds itself at most once per turn. */
  add(each: Flushable): void {
    if (this.#pending.push(each) === 1) setImmediate(this.#run);
  }
}
