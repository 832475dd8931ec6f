/**
 * Credit that a receiver gives on one stream: absolute offsets, granted as bytes are consumed (written on), not as they
 * arrive. The window grows while the reader keeps up, so a slow one never costs more than the window it began with, and
 * less when there are many.
 */
import { INITIAL_WINDOW_BYTES } from './frame.ts';

/** A stream's window never grows beyond this: twice what 1 Gbit/s carries in 100 ms. */
export const MAX_WINDOW_BYTES = 33_554_432;
/** Default for what all windows of a session may have grown together. */
export const WINDOW_BUDGET_BYTES = 134_217_728;
/**
 * The window grows when all of it is consumed in no more than so many round trips: a stream whose share of the line is
 * smaller gains nothing by it, and costs more if its reader turns out to stand still.
 */
const GROWTH_ROUND_TRIPS = 4;
/** Below this a round trip is event-loop time rather than line. */
const MIN_ROUND_TRIP_MS = 4;
/**
 * So many windows have to be consumed before the window grows; more before it does for the first time: what a reader's
 * kernel swallows before he turns out to stand still must not look like reading.
 */
const GROWTH_WINDOWS = 2;
const FIRST_GROWTH_WINDOWS = 4;

/** So much all windows of a session may hold before those that nobody reads fast are made smaller. */
const MANY_WINDOWS_BYTES = 16_777_216;
/** So much longer than to grow a window must take to be made smaller. */
const SHRINK_FACTOR = 1.5;
/** The smallest they are made. */
const MIN_WINDOW_BYTES = 65_536;

/** What the windows of a session have in common. */
export interface WindowBudget {
  /** What they may still grow by, together. */
  leftBytes: number;
  /** How many there are. */
  open: number;
}

export class ReceiveWindow {
  readonly #budget: WindowBudget;
  #windowBytes = INITIAL_WINDOW_BYTES;
  #received = 0;
  #consumed = 0;
  #granted = INITIAL_WINDOW_BYTES;
  /** When it was last looked at how fast the reader is, and what was consumed by then. */
  #lookedAt = 0;
  #lookedConsumed = 0;
  #growsAt = FIRST_GROWTH_WINDOWS * INITIAL_WINDOW_BYTES;

  constructor(budget: WindowBudget) {
    this.#budget = budget;
    budget.open += 1;
  }

  /** The offset up to which the other end may send. */
  get granted(): number {
    return this.#granted;
  }

  get windowBytes(): number {
    return this.#windowBytes;
  }

  /** Received and not consumed. */
  get heldBytes(): number {
    return this.#received - this.#consumed;
  }

  /** False when the other end sent more than it was allowed. */
  receive(bytes: number): boolean {
    this.#received += bytes;
    return this.#received <= this.#granted;
  }

  /** True when a new grant is to be told to the other end. Grants come when a quarter of the window was consumed. */
  consume(bytes: number, minRttMs: number, now: number): boolean {
    this.#consumed = Math.min(this.#consumed + bytes, this.#received);
    const lately = this.#consumed - this.#lookedConsumed;
    if (lately < this.#windowBytes / 4) return false;
    const roundTripMs = Math.max(MIN_ROUND_TRIP_MS, minRttMs);
    const patienceMs = GROWTH_ROUND_TRIPS * roundTripMs * (lately / this.#windowBytes);
    const tookMs = now - this.#lookedAt;
    if (Number.isFinite(minRttMs) && this.#lookedConsumed > 0) {
      if (tookMs > SHRINK_FACTOR * patienceMs) this.#shrink();
      else if (tookMs < patienceMs && this.#consumed >= this.#growsAt) this.#grow();
    }
    this.#lookedAt = now;
    this.#lookedConsumed = this.#consumed;
    // A smaller window than before: what was granted already is used up first.
    if (this.#consumed + this.#windowBytes <= this.#granted) return false;
    this.#granted = this.#consumed + this.#windowBytes;
    return true;
  }

  /** Gives back what the window took from the budget. Once. */
  close(): void {
    this.#resize(INITIAL_WINDOW_BYTES);
    this.#budget.open -= 1;
  }

  #grow(): void {
    const most = Math.min(2 * this.#windowBytes, MAX_WINDOW_BYTES);
    const unbudgeted = Math.max(INITIAL_WINDOW_BYTES, this.#windowBytes);
    this.#resize(Math.min(most, unbudgeted + this.#budget.leftBytes));
    this.#growsAt = this.#consumed + GROWTH_WINDOWS * this.#windowBytes;
  }

  /** Of many streams that share a line each needs little; and who stands still now may have been such a one. */
  #shrink(): void {
    const fair = Math.max(MIN_WINDOW_BYTES, Math.floor(MANY_WINDOWS_BYTES / this.#budget.open));
    if (this.#windowBytes <= fair) return;
    this.#resize(Math.max(fair, Math.ceil(this.#windowBytes / 2)));
    this.#growsAt = this.#consumed + GROWTH_WINDOWS * this.#windowBytes;
  }

  #resize(bytes: number): void {
    this.#budget.leftBytes += budgeted(this.#windowBytes) - budgeted(bytes);
    this.#windowBytes = bytes;
  }
}

/** The part of a window that is taken from the budget. */
function budgeted(windowBytes: number): number {
  return Math.max(0, windowBytes - INITIAL_WINDOW_BYTES);
}
