/**
 * Notices that the line to the relay may be another one now: the machine slept (the wall clock ran and the monotonic one
 * did not), or its addresses changed. A guess costs one ping; a miss costs two heartbeats.
 */
import { networkInterfaces } from 'node:os';

const LOOK_EVERY_MS = 1_000;
/** Ahead of the monotonic clock by more than this since the last look: more than a clock being set right. */
const SLEPT_MS = 5_000;

export interface WakeClocks {
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  /** The machine's addresses in any order, as one comparable text. */
  readonly addresses: () => string;
}

const CLOCKS: WakeClocks = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  addresses: () =>
    Object.values(networkInterfaces())
      .flatMap((entries) => entries ?? [])
      .filter((entry) => !entry.internal)
      .map((entry) => entry.cidr ?? entry.address)
      .toSorted()
      .join(' '),
};

export class WakeWatch {
  readonly #onWake: () => void;
  readonly #clocks: WakeClocks;
  #aheadMs = 0;
  #addresses = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(onWake: () => void, clocks: WakeClocks = CLOCKS) {
    this.#onWake = onWake;
    this.#clocks = clocks;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.#aheadMs = this.#ahead();
    this.#addresses = this.#clocks.addresses();
    // It looks after carriers and dials; where there are none it must not keep the process.
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  look(): void {
    const aheadMs = this.#ahead();
    const addresses = this.#clocks.addresses();
    const woke = aheadMs - this.#aheadMs > SLEPT_MS || addresses !== this.#addresses;
    this.#aheadMs = aheadMs;
    this.#addresses = addresses;
    if (woke) this.#onWake();
  }

  #ahead(): number {
    return this.#clocks.wallMs() - this.#clocks.monotonicMs();
  }
}
