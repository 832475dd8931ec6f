/**
 * Handshakes that wait for a certificate: few, not for long, one attempt per name however many visitors ask, and no
 * second attempt for a while after a no.
 */
import { RecentNames } from './recent-names.ts';

export interface HandshakeHoldsOptions {
  readonly max: number;
  readonly waitMs: number;
  /** How long a no is remembered. */
  readonly refusalMs: number;
  readonly now: () => number;
}

interface Hold {
  readonly settled: Promise<boolean>;
  readonly settle: (arrived: boolean) => void;
}

const MAX_REFUSALS = 10_000;

export class HandshakeHolds {
  readonly #options: HandshakeHoldsOptions;
  readonly #byName = new Map<string, Hold>();
  readonly #refused: RecentNames;
  #waiting = 0;

  constructor(options: HandshakeHoldsOptions) {
    this.#options = options;
    this.#refused = new RecentNames(MAX_REFUSALS);
  }

  /** True when the certificate arrived in time. `attempt` runs once per name and says whether there is hope. */
  async wait(name: string, attempt: () => Promise<boolean>): Promise<boolean> {
    const { max, waitMs, now } = this.#options;
    if (this.#refused.until(name) > now() || this.#waiting >= max) return false;
    const hold = this.#byName.get(name) ?? this.#begin(name, attempt);
    this.#waiting++;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), waitMs);
    });
    try {
      return await Promise.race([hold.settled, late]);
    } finally {
      clearTimeout(timer);
      this.#waiting--;
    }
  }

  /** A certificate for the name is there; it may be a wildcard that nobody waits for. */
  arrived(name: string): void {
    this.#refused.delete(name);
    this.#byName.get(name)?.settle(true);
  }

  close(): void {
    for (const hold of this.#byName.values()) hold.settle(false);
  }

  #begin(name: string, attempt: () => Promise<boolean>): Hold {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const hold: Hold = {
      settled: promise,
      settle: (arrived) => {
        if (this.#byName.get(name) === hold) this.#byName.delete(name);
        resolve(arrived);
      },
    };
    this.#byName.set(name, hold);
    void this.#attempt(name, hold, attempt);
    return hold;
  }

  /** With hope the certificate settles it when it arrives; if it never does, so does the wait time. */
  async #attempt(name: string, hold: Hold, attempt: () => Promise<boolean>): Promise<void> {
    const hasHope = await attempt().catch(() => false);
    if (!hasHope) {
      this.#refused.add(name, this.#options.now() + this.#options.refusalMs);
      hold.settle(false);
      return;
    }
    const timer = setTimeout(() => hold.settle(false), this.#options.waitMs);
    await hold.settled;
    clearTimeout(timer);
  }
}
