/** Ctrl-C and friends: the first asks to stop, the second to stop at once. */

/** npm, shells and terminals pass one Ctrl-C on more than once; a second one counts only after this time. */
export const DOUBLED_MS = 500;

export class StopRequests {
  /** Settles with the first request. */
  readonly asked: Promise<void>;
  /** Settles with the second. */
  readonly insisted: Promise<void>;
  /** Set by whoever finishes its work when asked; a command that has nothing to finish just ends. */
  taken = false;
  readonly #now: () => number;
  #firstAtMs: number | undefined;
  #ask: () => void = () => {};
  #insist: () => void = () => {};

  constructor(now: () => number) {
    this.#now = now;
    this.asked = new Promise((resolve) => {
      this.#ask = resolve;
    });
    this.insisted = new Promise((resolve) => {
      this.#insist = resolve;
    });
  }

  request(): void {
    if (this.#firstAtMs === undefined) {
      this.#firstAtMs = this.#now();
      this.#ask();
    } else if (this.#now() - this.#firstAtMs >= DOUBLED_MS) {
      this.#insist();
    }
  }
}
