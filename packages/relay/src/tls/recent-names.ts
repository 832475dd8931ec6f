/** Names with a time, of which only the most recently added are remembered. */
export class RecentNames {
  readonly #max: number;
  readonly #times = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#times.size;
  }

  add(name: string, untilMs: number): void {
    this.#times.delete(name);
    this.#times.set(name, untilMs);
    const [oldest] = this.#times.keys();
    if (this.#times.size > this.#max && oldest !== undefined) this.#times.delete(oldest);
  }

  delete(name: string): void {
    this.#times.delete(name);
  }

  /** 0 for a name that is not remembered. */
  until(name: string): number {
    return this.#times.get(name) ?? 0;
  }
}
