/** What the holder of an address keeps in hand. The registry decides whether it still means anything. */
import type { Address, Lease } from './registry.ts';
import type { Holder } from './slot.ts';

export interface LeaseActions {
  readonly suspend: () => void;
  readonly restore: () => void;
  readonly release: () => void;
}

export class LocalLease implements Lease {
  readonly address: Address;
  readonly identity: string;
  readonly epoch: number;
  readonly #actions: LeaseActions;

  constructor(holder: Holder, actions: LeaseActions) {
    this.address = holder.claim.address;
    this.identity = holder.claim.identity;
    this.epoch = holder.epoch;
    this.#actions = actions;
  }

  suspend(): void {
    this.#actions.suspend();
  }

  restore(): void {
    this.#actions.restore();
  }

  release(): void {
    this.#actions.release();
  }
}
