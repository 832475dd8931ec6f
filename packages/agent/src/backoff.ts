/**
 * How long to wait before dialing again: at once the first time, then growing with jitter up to a cap. Slowly above two
 * seconds, so that a relay that was away for a moment has its agents back in a moment.
 */

const FIRST_MS = 250;
const FAST_UNTIL_MS = 2_000;
const FAST_GROWTH = 2;
const SLOW_GROWTH = 1.25;
/** Longest wait between two tries, in milliseconds. */
export const BACKOFF_CAP_MS = 15_000;
/** The same while tries do not even leave this network: they bother nobody. */
export const UNREACHED_CAP_MS = 3_000;
/** A carrier that lived this long was worth having: the next loss starts from the beginning. */
const STABLE_MS = 1_000;

export interface FailedTry {
  /** How long it took to fail, in milliseconds: a try that hung has been the pause already. */
  readonly tookMs: number;
  /** It failed in this machine or its network: no route, no name. */
  readonly reachedNobody: boolean;
}

export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Milliseconds to wait before the next try. */
  next(failed: FailedTry = { tookMs: 0, reachedNobody: false }): number {
    const failures = this.#failures;
    this.#failures += 1;
    // A little jitter even at once: a relay that restarts has all its agents back in the same instant.
    if (failures === 0) return this.#random() * 50;
    const ceiling = Math.min(failed.reachedNobody ? UNREACHED_CAP_MS : BACKOFF_CAP_MS, ceilingAfter(failures));
    return Math.max(this.#random() * 50, ceiling / 4 + this.#random() * ceiling * 0.75 - failed.tookMs);
  }

  /** A carrier stood for `livedMs` and moved `bytes`; one that did neither for long counts as a failure. */
  lived(livedMs: number, bytes: number): void {
    if (livedMs >= STABLE_MS || bytes >= 65_536) this.#failures = 0;
  }
}

function ceilingAfter(failures: number): number {
  const fastSteps = Math.ceil(Math.log(FAST_UNTIL_MS / FIRST_MS) / Math.log(FAST_GROWTH));
  if (failures - 1 < fastSteps) return FIRST_MS * FAST_GROWTH ** (failures - 1);
  return FAST_UNTIL_MS * SLOW_GROWTH ** (failures - 1 - fastSteps);
}
