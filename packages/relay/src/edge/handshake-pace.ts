/**
 * TLS handshakes begin a few per turn of the event loop: each costs most of a millisecond of this thread, and a crowd
 * of new visitors must not make those who are in wait for all of it.
 */

const PER_TURN = 4;

export class HandshakePace {
  readonly #waiting: (() => void)[] = [];
  #scheduled = false;
  readonly #run = (): void => this.#next();

  /** Those of one turn beyond the first few begin in later turns, in order. */
  get waiting(): number {
    return this.#waiting.length;
  }

  begin(handshake: () => void): void {
    this.#waiting.push(handshake);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  #next(): void {
    for (const handshake of this.#waiting.splice(0, PER_TURN)) handshake();
    this.#scheduled = this.#waiting.length > 0;
    if (this.#scheduled) setImmediate(this.#run);
  }
}
