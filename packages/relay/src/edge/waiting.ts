/** A visitor whose target is briefly away: waits for it, bounded in time and number, and can leave. */
import type { EdgeCounters } from './counters.ts';
import type { Address, Resolution, RouteRegistry } from '../routing/registry.ts';

export class WaitingVisitor {
  readonly #counters: EdgeCounters;
  readonly #cancel: () => void;
  #over = false;

  private constructor(counters: EdgeCounters, cancel: () => void) {
    this.#counters = counters;
    this.#cancel = cancel;
    counters.waitingOpen += 1;
    counters.waitedTotal += 1;
  }

  /** Undefined when as many wait already as may. `done` is called once, later, unless the visitor leaves before. */
  static start(
    registry: RouteRegistry,
    address: Address,
    timeoutMs: number,
    counters: EdgeCounters,
    done: (resolution: Resolution) => void,
  ): WaitingVisitor | undefined {
    const waiting = registry.wait(address, timeoutMs);
    if (waiting === undefined) return undefined;
    const visitor = new WaitingVisitor(counters, () => waiting.cancel());
    void waiting.done.then((resolution) => {
      if (visitor.#finish()) done(resolution);
    });
    return visitor;
  }

  /** The visitor has gone. Idempotent. */
  cancel(): void {
    if (this.#finish()) this.#cancel();
  }

  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#counters.waitingOpen -= 1;
    return true;
  }
}
