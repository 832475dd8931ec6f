/**
 * One coarse clock for all time-outs of a door: a connection keeps a deadline in a plain number and is asked a few
 * times a second whether it has passed. No timer is made, moved or cleared per request.
 */

export interface Ticking {
  /** `now` is the ticker's time in milliseconds. May remove itself from the ticker. */
  tick(now: number): void;
}

/** A deadline that never comes. */
export const NEVER = Number.POSITIVE_INFINITY;

export class Ticker {
  readonly #intervalMs: number;
  readonly #members = new Set<Ticking>();
  #timer: NodeJS.Timeout | undefined;
  /** Milliseconds of a monotonic clock, as of the last tick. */
  #now = performance.now();

  /** `intervalMs`: how late a deadline may be noticed; default 250. */
  constructor(intervalMs = 250) {
    this.#intervalMs = intervalMs;
  }

  get now(): number {
    return this.#now;
  }

  /** When `delayMs` from now has surely passed; 0 or less means never. */
  deadline(delayMs: number): number {
    return delayMs > 0 ? this.#now + delayMs + this.#intervalMs : NEVER;
  }

  add(member: Ticking): void {
    this.#members.add(member);
    if (this.#timer !== undefined) return;
    this.#now = performance.now();
    // The sockets whose deadlines these are keep the process alive; the clock alone must not.
    this.#timer = setInterval(() => this.#tick(), this.#intervalMs).unref();
  }

  remove(member: Ticking): void {
    this.#members.delete(member);
    if (this.#members.size > 0 || this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.#now = performance.now();
    for (const member of this.#members) member.tick(this.#now);
  }
}
