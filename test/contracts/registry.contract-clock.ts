/** A clock that stands still until a test moves it. */

interface Alarm {
  readonly at: number;
  readonly callback: () => void;
}

export class FakeClock {
  readonly #alarms = new Set<Alarm>();
  #now = 0;

  /** Alarms that are set. */
  get pending(): number {
    return this.#alarms.size;
  }

  readonly schedule = (callback: () => void, ms: number): (() => void) => {
    const alarm = { at: this.#now + ms, callback };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  };

  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = [...this.#alarms].filter((alarm) => alarm.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#now = next.at;
      this.#alarms.delete(next);
      next.callback();
    }
    this.#now = end;
  }
}
