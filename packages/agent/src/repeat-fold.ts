/** Decides when a trouble that repeats itself is told: at once, then now and then with how often. Nothing runs meanwhile. */
import type { PortholeError } from '@porthole/protocol';

export interface RepeatPauses {
  /** Between the first two times that it is told, in milliseconds. */
  readonly firstMs: number;
  /** Each pause is this many times as long as the one before, up to `capMs`. */
  readonly growth: number;
  readonly capMs: number;
}

export interface Repeats {
  /** Whether it is time to tell it. */
  readonly isDue: boolean;
  /** Since it was told last, this time included. */
  readonly times: number;
  /** Since it began. */
  readonly inAll: number;
}

interface Trouble {
  times: number;
  inAll: number;
  pauseMs: number;
  dueAt: number;
  lastAt: number;
}

/** Details that are told apart at once; what comes beyond them is told apart by its code only. */
const MAX_DETAILS = 32;
/** A trouble that was quiet for this long is a new one. */
const QUIET_MS = 60_000;

export class RepeatFold {
  readonly #pauses: RepeatPauses;
  readonly #now: () => number;
  readonly #troubles = new Map<string, Trouble>();

  constructor(pauses: RepeatPauses, now: () => number = () => performance.now()) {
    this.#pauses = pauses;
    this.#now = now;
  }

  /** It has happened again. */
  note({ code, detail }: PortholeError): Repeats {
    const now = this.#now();
    const trouble = this.#find(`${code} ${detail}`, code, now);
    trouble.times += 1;
    trouble.inAll += 1;
    trouble.lastAt = now;
    const { times, inAll } = trouble;
    if (now < trouble.dueAt) return { isDue: false, times, inAll };
    trouble.times = 0;
    trouble.dueAt = now + trouble.pauseMs;
    trouble.pauseMs = Math.min(trouble.pauseMs * this.#pauses.growth, this.#pauses.capMs);
    return { isDue: true, times, inAll };
  }

  /** It is over: whatever comes is told at once. */
  clear(): void {
    this.#troubles.clear();
  }

  #find(full: string, code: string, now: number): Trouble {
    if (!this.#troubles.has(full)) this.#forgetQuiet(now);
    const key = this.#troubles.has(full) || this.#troubles.size < MAX_DETAILS ? full : code;
    const known = this.#troubles.get(key);
    if (known !== undefined && now - known.lastAt <= QUIET_MS) return known;
    const trouble = { times: 0, inAll: 0, pauseMs: this.#pauses.firstMs, dueAt: now, lastAt: now };
    this.#troubles.set(key, trouble);
    return trouble;
  }

  #forgetQuiet(now: number): void {
    if (this.#troubles.size < MAX_DETAILS) return;
    for (const [key, { lastAt }] of this.#troubles) if (now - lastAt > QUIET_MS) this.#troubles.delete(key);
  }
}
