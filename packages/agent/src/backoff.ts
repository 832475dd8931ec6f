/** How long to wait before dialing again: at once the first time, then growing with full jitter up to a cap. */

const FIRST_MS = 100;
/** Longest wait between two tries, in milliseconds. */
export const BACKOFF_CAP_MS = 15_000;
/** A carrier that lived this long was worth having: the next loss starts from the beginning. */
const STABLE_MS = 1_000;

export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const failures = this.#failures;
    this.#failures += 1;
    // A little jitter even at once: a relay that restarts has all its agents back in the same instant.
    if (failures === 0) return this.#random() * 50;
    const ceiling = Math.min(BACKOFF_CAP_MS, FIRST_MS * 2 ** (failures - 1));
    return ceiling / 4 + this.#random() * ceiling * 0.75;
  }

  /** A carrier stood for `livedMs` and moved `bytes`; one that did neither for long counts as a failure. */
  lived(livedMs: number, bytes: number): void {
    if (livedMs >= STABLE_MS || bytes >= 65_536) this.#failures = 0;
  }
}
