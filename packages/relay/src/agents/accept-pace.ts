/**
 * Spreads the agents that come in over time: when a relay is back, all of its agents are there in the same second, and
 * their handshakes must not hold up visitors.
 */

/** Handshakes begun per second, on average. */
const PER_SECOND = 500;
/** Begun at once before the pace sets in. */
const BURST = 100;
/** Agents that wait for their turn; more are told to come again. */
const MAX_WAITING = 1_024;
const TURN_MS = 20;

export class AcceptPace {
  readonly #now: () => number;
  readonly #waiting: (() => void)[] = [];
  #tokens = BURST;
  #refilledAt: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#refilledAt = now();
  }

  /** Runs `begin` now or a little later. False: too many wait. */
  take(begin: () => void): boolean {
    this.#refill();
    if (this.#waiting.length === 0 && this.#tokens >= 1) {
      this.#tokens -= 1;
      begin();
      return true;
    }
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push(begin);
    this.#timer ??= setInterval(() => this.#turn(), TURN_MS);
    return true;
  }

  /** Begins with all who wait: the door is about to close, and they are to be told so. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const begin of this.#waiting.splice(0)) begin();
  }

  #turn(): void {
    this.#refill();
    const count = Math.min(Math.floor(this.#tokens), this.#waiting.length);
    this.#tokens -= count;
    for (const begin of this.#waiting.splice(0, count)) begin();
    if (this.#waiting.length > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #refill(): void {
    const now = this.#now();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#refilledAt) * PER_SECOND) / 1_000);
    this.#refilledAt = now;
  }
}
