/** How many connections visitors may hold, in all and per address (with IPv6, per network). Counts every door's. */
import type { TrustedAddresses } from './trusted-addresses.ts';
import { sourceOf } from '../access/source-of.ts';

export class VisitorLimits {
  readonly #max: number;
  readonly #maxPerAddress: number;
  readonly #trusted: TrustedAddresses;
  readonly #perSource = new Map<string, number>();
  #open = 0;

  constructor(max: number, maxPerAddress: number, trusted: TrustedAddresses) {
    this.#max = max;
    this.#maxPerAddress = maxPerAddress;
    this.#trusted = trusted;
  }

  /** Whether a visitor of this address may come in. If so, `leave` must follow, once. */
  enter(address: string): boolean {
    if (this.#open >= this.#max) return false;
    const source = sourceOf(address);
    const count = this.#perSource.get(source) ?? 0;
    // A proxy in front of the relay stands for all its visitors.
    if (count >= this.#maxPerAddress && !this.#trusted.has(address)) return false;
    this.#perSource.set(source, count + 1);
    this.#open += 1;
    return true;
  }

  leave(address: string): void {
    const source = sourceOf(address);
    const count = this.#perSource.get(source) ?? 0;
    if (count > 1) this.#perSource.set(source, count - 1);
    else this.#perSource.delete(source);
    this.#open -= 1;
  }
}
