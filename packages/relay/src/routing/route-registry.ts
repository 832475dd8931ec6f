/**
 * The route registry of one process: who answers at which address. Claims are decided here and now; the journal,
 * when there is one, only remembers them over a restart.
 */
import type { LeaseJournal } from './lease-journal.ts';
import { LocalLease } from './local-lease.ts';
import type { Address, Claim, ClaimOutcome, Lease, Resolution, RouteRegistry } from './registry.ts';
import { normalAddress, type RegistrySizes, RouteTable, type RouteTableOptions } from './route-table.ts';
import { type Holder, Slot } from './slot.ts';

export interface RouteRegistryOptions extends RouteTableOptions {
  readonly journal?: LeaseJournal | undefined;
  /** Who holds an address, or which of them is here, has changed. May be called more often than that. */
  readonly onChanged?: (slot: Slot) => void;
}

export class LocalRouteRegistry extends RouteTable implements RouteRegistry {
  readonly #held = new Map<string, number>();
  readonly #journal: LeaseJournal | undefined;
  readonly #onChanged: (slot: Slot) => void;
  #leases = 0;
  /** Leases whose holder is about to move: what it claims in its new place is counted instead. */
  #retired = 0;
  #away = 0;
  #epoch = 0;

  constructor(options: RouteRegistryOptions = {}) {
    super(options);
    this.#journal = options.journal;
    this.#onChanged = options.onChanged ?? (() => {});
  }

  protected get leaseSizes(): Pick<RegistrySizes, 'leases' | 'away'> {
    return { leases: this.#leases, away: this.#away };
  }

  /** Keeps the addresses an earlier run had given away for their identities, for the grace time from now. */
  async start(): Promise<void> {
    for (const { address, identity, epoch, raw, clientCa } of (await this.#journal?.load()) ?? []) {
      this.#epoch = Math.max(this.#epoch, epoch);
      if (this.slotAt(address) !== undefined) continue;
      const slot = new Slot(address, identity);
      slot.raw = raw === true;
      slot.clientCa = clientCa;
      slot.cancelOrphanGrace = this.schedule(() => {
        slot.cancelOrphanGrace = undefined;
        this.#forgetSlot(slot);
      }, this.limits.graceMs);
      this.keep(slot);
    }
  }

  /** Claims of the identity that stand, but for those whose holder is about to move. */
  heldBy(identity: string): number {
    return this.#held.get(identity) ?? 0;
  }

  claim(wanted: Claim): ClaimOutcome {
    const claim = { ...wanted, address: normalAddress(wanted.address) };
    const slot = this.slotAt(claim.address);
    const refusal = this.#refusal(claim, slot);
    if (refusal !== undefined) return refusal;
    const replaced = slot !== undefined && !joinsPool(slot, claim) ? this.#replace(slot) : [];
    const lease = this.#grant(claim, slot ?? this.keep(new Slot(claim.address, claim.identity)));
    // Told last, when the new lease stands: whatever the old holders say in answer is fenced off already.
    for (const holder of replaced) holder.claim.onLost('SESSION_REPLACED', nameOf(claim.address));
    return { ok: true, lease };
  }

  /** Frees nothing: the journal goes on saying who holds what. Idempotent. */
  override async close(): Promise<void> {
    await super.close();
    for (const slot of this.slots) {
      slot.cancelOrphanGrace?.();
      for (const holder of slot.holders) holder.cancelGrace?.();
    }
    await this.#journal?.flush();
  }

  #refusal(claim: Claim, slot: Slot | undefined): ClaimOutcome | undefined {
    if (this.isClosed) return { ok: false, code: 'GOING_AWAY', detail: '' };
    if (slot !== undefined && slot.identity !== claim.identity) {
      const code = 'host' in claim.address ? 'NAME_TAKEN' : 'PORT_TAKEN';
      return { ok: false, code, detail: `${nameOf(claim.address)}: its holder or the operator can free it` };
    }
    if (slot !== undefined && claim.vacant === true) {
      return { ok: false, code: 'host' in claim.address ? 'NAME_TAKEN' : 'PORT_TAKEN', detail: nameOf(claim.address) };
    }
    const joins = slot !== undefined && joinsPool(slot, claim);
    if (joins && staying(slot) >= this.limits.maxPoolSize) {
      return { ok: false, code: 'TUNNEL_LIMIT', detail: `at most ${this.limits.maxPoolSize} agents share a name` };
    }
    // Taking over what the identity holds already adds nothing.
    const added = slot === undefined || joins || staying(slot) === 0;
    if (added && claim.maxTunnels !== undefined && this.heldBy(claim.identity) >= claim.maxTunnels) {
      return { ok: false, code: 'TUNNEL_LIMIT', detail: `at most ${claim.maxTunnels}` };
    }
    if (added && this.#leases - this.#retired >= this.limits.maxLeases)
      return { ok: false, code: 'RELAY_FULL', detail: '' };
    return undefined;
  }

  #grant(claim: Claim, slot: Slot): Lease {
    slot.cancelOrphanGrace?.();
    slot.cancelOrphanGrace = undefined;
    this.#epoch += 1;
    const ready: Resolution = { state: 'ready', target: claim.target };
    const holder: Holder = { claim, epoch: this.#epoch, ready, away: false, retired: false, cancelGrace: undefined };
    slot.raw = claim.raw === true;
    slot.clientCa = claim.clientCa;
    slot.add(holder);
    this.#leases += 1;
    this.#count(claim.identity, 1);
    this.#journal?.held({
      address: slot.address,
      identity: slot.identity,
      epoch: holder.epoch,
      raw: slot.raw,
      clientCa: slot.clientCa,
    });
    this.admit(slot);
    this.#onChanged(slot);
    const { address, identity } = claim;
    return new LocalLease(
      { address, identity, epoch: holder.epoch },
      {
        suspend: () => this.#suspend(slot, holder),
        restore: () => this.#restore(slot, holder),
        retire: () => this.#retire(slot, holder),
        release: () => this.#drop(slot, holder),
      },
    );
  }

  #replace(slot: Slot): readonly Holder[] {
    const replaced = slot.removeAll();
    for (const holder of replaced) this.#forget(holder);
    return replaced;
  }

  #suspend(slot: Slot, holder: Holder): void {
    if (holder.away || !slot.holders.includes(holder)) return;
    holder.away = true;
    this.#away += 1;
    slot.refresh();
    this.#onChanged(slot);
    holder.cancelGrace = this.schedule(() => {
      if (this.#drop(slot, holder)) holder.claim.onLost('SESSION_LOST', nameOf(slot.address));
    }, this.limits.graceMs);
  }

  #restore(slot: Slot, holder: Holder): void {
    if (!holder.away || !slot.holders.includes(holder)) return;
    holder.cancelGrace?.();
    holder.away = false;
    this.#away -= 1;
    slot.refresh();
    this.admit(slot);
    this.#onChanged(slot);
  }

  #retire(slot: Slot, holder: Holder): void {
    if (holder.retired || !slot.holders.includes(holder)) return;
    holder.retired = true;
    this.#retired += 1;
    this.#count(holder.claim.identity, -1);
    slot.refresh();
    this.#onChanged(slot);
  }

  #drop(slot: Slot, holder: Holder): boolean {
    if (!slot.remove(holder)) return false;
    this.#forget(holder);
    if (slot.holders.length === 0) this.#forgetSlot(slot);
    else this.#onChanged(slot);
    return true;
  }

  #forget(holder: Holder): void {
    holder.cancelGrace?.();
    if (holder.away) this.#away -= 1;
    this.#leases -= 1;
    if (holder.retired) this.#retired -= 1;
    else this.#count(holder.claim.identity, -1);
  }

  #count(identity: string, change: 1 | -1): void {
    const held = this.heldBy(identity) + change;
    if (held === 0) this.#held.delete(identity);
    else this.#held.set(identity, held);
  }

  #forgetSlot(slot: Slot): void {
    this.free(slot);
    this.#journal?.freed(slot.address);
    this.#onChanged(slot);
  }
}

/** Only those share who both said so. */
function joinsPool(slot: Slot, claim: Claim): boolean {
  return (
    claim.pool &&
    slot.raw === (claim.raw === true) &&
    slot.clientCa === claim.clientCa &&
    slot.holders.every((holder) => holder.claim.pool)
  );
}

function staying(slot: Slot): number {
  return slot.holders.reduce((count, { retired }) => count + (retired ? 0 : 1), 0);
}

function nameOf(address: Address): string {
  return 'host' in address ? address.host : `port ${address.port}`;
}
