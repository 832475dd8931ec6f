/** How many connections visitors may hold, in all and per address. Counts every door's. */
import type { TrustedAddresses } from './trusted-addresses.ts';

export class VisitorLimits {
  readonly #max: number;
  readonly #maxPerAddress: number;
  readonly #trusted: TrustedAddresses;
  readonly #perAddress = new Map<string, number>();
  #open = 0;

  constructor(max: number, maxPerAddress: number, trusted: TrustedAddresses) {
    this.#max = max;
    this.#maxPerAddress = maxPerAddress;
    this.#trusted = trusted;
  }

  /** Whether a visitor of this address may come in. If so, `leave` must follow, once. */
  enter(address: string): boolean {
    if (this.#open >= this.#max) return false;
    const count = this.#perAddress.get(address) ?? 0;
    // A proxy in front of the relay stands for all its visitors.
    if (count >= this.#maxPerAddress && !this.#trusted.has(address)) return false;
    this.#perAddress.set(address, count + 1);
    this.#open += 1;
    return true;
  }

  leave(address: string): void {
    const count = this.#perAddress.get(address) ?? 0;
    if (count > 1) this.#perAddress.set(address, count - 1);
    else this.#perAddress.delete(address);
    this.#open -= 1;
  }
}
