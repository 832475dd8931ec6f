/** What the holder of an address keeps in hand. The registry decides whether it still means anything. */
import type { Address, Lease } from './registry.ts';

export interface LeaseActions {
  readonly suspend: () => void;
  readonly restore: () => void;
  readonly retire: () => void;
  readonly release: () => void;
}

export class LocalLease implements Lease {
  readonly address: Address;
  readonly identity: string;
  readonly epoch: number;
  readonly #actions: LeaseActions;

  constructor(of: Pick<Lease, 'address' | 'identity' | 'epoch'>, actions: LeaseActions) {
    this.address = of.address;
    this.identity = of.identity;
    this.epoch = of.epoch;
    this.#actions = actions;
  }

  suspend(): void {
    this.#actions.suspend();
  }

  restore(): void {
    this.#actions.restore();
  }

  retire(): void {
    this.#actions.retire();
  }

  release(): void {
    this.#actions.release();
  }
}
