/** One public address: who holds it (several when they share it), which of them can take a request, who comes next. */
import type { Address, Claim, Resolution } from './registry.ts';

export interface Holder {
  readonly claim: Claim;
  readonly epoch: number;
  readonly ready: Resolution;
  away: boolean;
  /** About to move: takes requests only while nobody else of the address can. */
  retired: boolean;
  /** Set while away. */
  cancelGrace: (() => void) | undefined;
}

export const UNKNOWN: Resolution = { state: 'unknown' };
const AWAY: Resolution = { state: 'away' };

export class Slot {
  readonly address: Address;
  readonly identity: string;
  /** An earlier run of the relay gave the address to the identity; nobody has claimed it again yet. */
  cancelOrphanGrace: (() => void) | undefined = undefined;
  /** Visitors' TLS connections go to the target as they are. */
  raw = false;
  /** PEM of the authorities whose certificates visitors must show. */
  clientCa: string | undefined = undefined;
  readonly #holders: Holder[] = [];
  #ready: Holder[] = [];
  #turn = 0;

  constructor(address: Address, identity: string) {
    this.address = address;
    this.identity = identity;
  }

  get holders(): readonly Holder[] {
    return this.#holders;
  }

  add(holder: Holder): void {
    this.#holders.push(holder);
    this.refresh();
  }

  /** False when the holder is not among them any more: a newer epoch has fenced it off. */
  remove(holder: Holder): boolean {
    const at = this.#holders.indexOf(holder);
    if (at === -1) return false;
    this.#holders.splice(at, 1);
    this.refresh();
    return true;
  }

  removeAll(): Holder[] {
    const gone = this.#holders.splice(0);
    this.refresh();
    return gone;
  }

  /** To be called after a holder went away or came back. */
  refresh(): void {
    const present = this.#holders.filter((holder) => !holder.away);
    const staying = present.filter((holder) => !holder.retired);
    this.#ready = staying.length > 0 ? staying : present;
  }

  /** On the path of every request; in turns when the address is shared. */
  resolve(): Resolution {
    const ready = this.#ready;
    if (ready.length === 1) return (ready[0] as Holder).ready;
    if (ready.length === 0) return AWAY;
    this.#turn = (this.#turn + 1) % ready.length;
    return (ready[this.#turn] as Holder).ready;
  }
}
