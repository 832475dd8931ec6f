/**
 * Credit that a receiver gives on one stream: absolute offsets, granted as bytes are consumed (written on), not as they
 * arrive. The window grows while the reader keeps up, so a slow one never costs more than the window it began with.
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

/** What the windows of a session may still grow by, together. */
export interface WindowBudget {
  leftBytes: number;
}

export class ReceiveWindow {
  readonly #budget: WindowBudget;
  #windowBytes = INITIAL_WINDOW_BYTES;
  #received = 0;
  #consumed = 0;
  #granted = INITIAL_WINDOW_BYTES;
  #grantedAt = 0;
  #growsAt = FIRST_GROWTH_WINDOWS * INITIAL_WINDOW_BYTES;

  constructor(budget: WindowBudget) {
    this.#budget = budget;
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
    const share = (this.#consumed + this.#windowBytes - this.#granted) / this.#windowBytes;
    if (share < 1 / 4) return false;
    const patienceMs = GROWTH_ROUND_TRIPS * share * Math.max(MIN_ROUND_TRIP_MS, minRttMs);
    const keepsUp = Number.isFinite(minRttMs) && now - this.#grantedAt < patienceMs;
    if (keepsUp && this.#consumed >= this.#growsAt) this.#grow();
    this.#granted = this.#consumed + this.#windowBytes;
    this.#grantedAt = now;
    return true;
  }

  /** Gives back what the window took from the budget. */
  close(): void {
    this.#budget.leftBytes += this.#windowBytes - INITIAL_WINDOW_BYTES;
    this.#windowBytes = INITIAL_WINDOW_BYTES;
  }

  #grow(): void {
    const more = Math.min(this.#windowBytes, MAX_WINDOW_BYTES - this.#windowBytes, this.#budget.leftBytes);
    if (more <= 0) return;
    this.#windowBytes += more;
    this.#growsAt = this.#consumed + GROWTH_WINDOWS * this.#windowBytes;
    this.#budget.leftBytes -= more;
  }
}
