/** When something last moved between a visitor, the relay and the target; and who has kept the others waiting for too long. */
import type { EdgeTimeouts } from './edge-parts.ts';
import type { Ticker } from './ticker.ts';

export class Progress {
  readonly #ticker: Ticker;
  readonly #timeouts: EdgeTimeouts;
  #visitorMovedAt: number;
  #targetMovedAt: number;

  constructor(ticker: Ticker, timeouts: EdgeTimeouts) {
    this.#ticker = ticker;
    this.#timeouts = timeouts;
    this.#visitorMovedAt = ticker.now;
    this.#targetMovedAt = ticker.now;
  }

  /** A byte went either way between visitor and relay. */
  visitorMoved(): void {
    this.#visitorMovedAt = this.#ticker.now;
  }

  /** Something came from the target, or its turn begins. */
  targetMoved(): void {
    this.#targetMovedAt = this.#ticker.now;
  }

  /** Whether the visitor should have sent or taken something for too long. To be asked on every tick. */
  visitorStalls(now: number, isHisTurn: boolean): boolean {
    const { visitorStallMs } = this.#timeouts;
    if (!isHisTurn) this.#visitorMovedAt = now;
    return visitorStallMs > 0 && now - this.#visitorMovedAt > visitorStallMs;
  }

  /** Whether the target, whose turn it is, has been silent for too long. */
  targetStalls(now: number): boolean {
    const { responseIdleMs } = this.#timeouts;
    return responseIdleMs > 0 && now - this.#targetMovedAt > responseIdleMs;
  }

  /** Whether the target has had the time to show that it still answers a visitor who has closed his side. */
  outlastsHalfClose(now: number): boolean {
    return now - this.#targetMovedAt > this.#timeouts.halfCloseMs;
  }
}
