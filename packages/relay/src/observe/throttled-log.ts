/**
 * Lines that strangers can cause as often as they like: a few of each of them per minute are written, the others
 * counted, and the count is written when the minute is over.
 */
import type { Log, LogFields } from './log.ts';

const WINDOW_MS = 60_000;
/** Of one cause, such as a tenant or an address. */
const LINES_PER_CAUSE = 20;
/** Of all causes together. */
const LINES = 1_000;
/** Causes told apart; those after them are counted as one. */
const CAUSES = 1_000;
const OTHERS = 'others';

interface Cause {
  readonly event: string;
  readonly by: string;
  written: number;
  suppressed: number;
}

export class ThrottledLog {
  readonly #log: Log;
  /** Of this minute. */
  readonly #causes = new Map<string, Cause>();
  #written = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** `by`: who caused it. */
  info(by: string, fields: LogFields): void {
    if (this.#mayWrite(by, fields)) this.#log.info(fields);
  }

  error(by: string, fields: LogFields): void {
    if (this.#mayWrite(by, fields)) this.#log.error(fields);
  }

  /** Writes what has been counted. Idempotent; what comes later begins a new minute. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { event, by, suppressed } of this.#causes.values())
      if (suppressed > 0) this.#log.info({ event: 'lines suppressed', of: event, by, lines: suppressed });
    this.#causes.clear();
    this.#written = 0;
  }

  #mayWrite(by: string, { event }: LogFields): boolean {
    const cause = this.#causeOf(event, by);
    if (cause.written >= LINES_PER_CAUSE || this.#written >= LINES) {
      cause.suppressed += 1;
      return false;
    }
    cause.written += 1;
    this.#written += 1;
    return true;
  }

  #causeOf(event: string, by: string): Cause {
    // A count of lines is no reason to keep a process alive; closing writes it.
    this.#timer ??= setTimeout(() => this.close(), WINDOW_MS).unref();
    const known = this.#causes.get(`${event} ${by}`);
    if (known !== undefined) return known;
    if (by !== OTHERS && this.#causes.size >= CAUSES) return this.#causeOf(event, OTHERS);
    const cause = { event, by, written: 0, suppressed: 0 };
    this.#causes.set(`${event} ${by}`, cause);
    return cause;
  }
}
