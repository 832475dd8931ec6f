/**
 * The route registry of one process: who answers at which address. Claims are decided here and now; the journal,
 * when there is one, only remembers them over a restart.
 */
import type { LeaseJournal } from './lease-journal.ts';
import { REGISTRY_LIMITS, type RegistryLimits, type Schedule, schedule } from './lease-limits.ts';
import { LocalLease } from './local-lease.ts';
import type { Address, Claim, ClaimOutcome, Lease, Resolution, RouteRegistry, Waiting } from './registry.ts';
import { type Holder, Slot, UNKNOWN } from './slot.ts';
import { WaitRoom } from './wait-room.ts';

export interface RouteRegistryOptions {
  readonly limits?: Partial<RegistryLimits>;
  readonly schedule?: Schedule;
  readonly journal?: LeaseJournal | undefined;
  /** Who holds an address, or which of them is here, has changed. May be called more often than that. */
  readonly onChanged?: (slot: Slot) => void;
}

/** Plain numbers, read when metrics are scraped. */
export interface RegistrySizes {
  readonly hosts: number;
  readonly ports: number;
  readonly leases: number;
  readonly away: number;
  readonly waiting: number;
  readonly waitsRefused: number;
}

export class LocalRouteRegistry implements RouteRegistry {
  readonly #hosts = new Map<string, Slot>();
  readonly #ports = new Map<number, Slot>();
  readonly #held = new Map<string, number>();
  readonly #limits: RegistryLimits;
  readonly #schedule: Schedule;
  readonly #journal: LeaseJournal | undefined;
  readonly #waitRoom: WaitRoom;
  readonly #onChanged: (slot: Slot) => void;
  #leases = 0;
  #away = 0;
  #epoch = 0;
  #closed = false;

  constructor(options: RouteRegistryOptions = {}) {
    this.#limits = { ...REGISTRY_LIMITS, ...options.limits };
    this.#schedule = options.schedule ?? schedule;
    this.#journal = options.journal;
    this.#waitRoom = new WaitRoom(this.#limits, this.#schedule);
    this.#onChanged = options.onChanged ?? (() => {});
  }

  /** Keeps the addresses an earlier run had given away for their identities, for the grace time from now. */
  async start(): Promise<void> {
    for (const { address, identity, epoch, raw, clientCa } of (await this.#journal?.load()) ?? []) {
      this.#epoch = Math.max(this.#epoch, epoch);
      if (this.#slotOf(address) !== undefined) continue;
      const slot = new Slot(address, identity);
      slot.raw = raw === true;
      slot.clientCa = clientCa;
      slot.cancelOrphanGrace = this.#schedule(() => {
        slot.cancelOrphanGrace = undefined;
        this.#free(slot);
      }, this.#limits.graceMs);
      this.#keep(slot);
    }
  }

  get sizes(): RegistrySizes {
    return {
      hosts: this.#hosts.size,
      ports: this.#ports.size,
      leases: this.#leases,
      away: this.#away,
      waiting: this.#waitRoom.size,
      waitsRefused: this.#waitRoom.refused,
    };
  }

  /** All addresses that are held just now. */
  get slots(): Iterable<Slot> {
    return [...this.#hosts.values(), ...this.#ports.values()];
  }

  slotAt(address: Address): Slot | undefined {
    return this.#slotOf(normalise(address));
  }

  /** Claims of the identity that stand. */
  heldBy(identity: string): number {
    return this.#held.get(identity) ?? 0;
  }

  resolveHost(host: string): Resolution {
    const slot = this.#hosts.get(host);
    return slot === undefined ? UNKNOWN : slot.resolve();
  }

  resolvePort(port: number): Resolution {
    const slot = this.#ports.get(port);
    return slot === undefined ? UNKNOWN : slot.resolve();
  }

  ownerOf(host: string): string | undefined {
    return this.#hosts.get(host)?.identity;
  }

  clientCaOf(host: string): string | undefined {
    return this.#hosts.get(host)?.clientCa;
  }

  isRaw(host: string): boolean {
    return this.#hosts.get(host)?.raw === true;
  }

  wait(address: Address, timeoutMs: number): Waiting | undefined {
    const slot = this.#slotOf(normalise(address));
    const now = slot === undefined ? UNKNOWN : slot.resolve();
    if (slot === undefined || now.state !== 'away') return { done: Promise.resolve(now), cancel: () => {} };
    return this.#waitRoom.enter(slot, timeoutMs);
  }

  claim(wanted: Claim): ClaimOutcome {
    const claim = { ...wanted, address: normalise(wanted.address) };
    const slot = this.#slotOf(claim.address);
    const refusal = this.#refusal(claim, slot);
    if (refusal !== undefined) return refusal;
    const replaced = slot !== undefined && !joinsPool(slot, claim) ? this.#replace(slot) : [];
    const lease = this.#grant(claim, slot ?? this.#keep(new Slot(claim.address, claim.identity)));
    // Told last, when the new lease stands: whatever the old holders say in answer is fenced off already.
    for (const holder of replaced) holder.claim.onLost('SESSION_REPLACED', nameOf(claim.address));
    return { ok: true, lease };
  }

  /** Frees nothing: the journal goes on saying who holds what. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#waitRoom.dismissAll(UNKNOWN);
    for (const slot of this.slots) {
      slot.cancelOrphanGrace?.();
      for (const holder of slot.holders) holder.cancelGrace?.();
    }
    await this.#journal?.flush();
  }

  #refusal(claim: Claim, slot: Slot | undefined): ClaimOutcome | undefined {
    if (this.#closed) return { ok: false, code: 'GOING_AWAY', detail: '' };
    if (slot !== undefined && slot.identity !== claim.identity) {
      const code = 'host' in claim.address ? 'NAME_TAKEN' : 'PORT_TAKEN';
      return { ok: false, code, detail: `${nameOf(claim.address)}: its holder or the operator can free it` };
    }
    if (slot !== undefined && claim.vacant === true) {
      return { ok: false, code: 'host' in claim.address ? 'NAME_TAKEN' : 'PORT_TAKEN', detail: nameOf(claim.address) };
    }
    const joins = slot !== undefined && joinsPool(slot, claim);
    if (joins && slot.holders.length >= this.#limits.maxPoolSize) {
      return { ok: false, code: 'TUNNEL_LIMIT', detail: `at most ${this.#limits.maxPoolSize} agents share a name` };
    }
    // Taking over what the identity holds already adds nothing.
    const added = slot === undefined || joins || slot.holders.length === 0;
    if (added && claim.maxTunnels !== undefined && this.heldBy(claim.identity) >= claim.maxTunnels) {
      return { ok: false, code: 'TUNNEL_LIMIT', detail: `at most ${claim.maxTunnels}` };
    }
    if (added && this.#leases >= this.#limits.maxLeases) return { ok: false, code: 'RELAY_FULL', detail: '' };
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
    this.#count(claim.identity, 1);
    this.#journal?.held({
      address: slot.address,
      identity: slot.identity,
      epoch: holder.epoch,
      raw: slot.raw,
      clientCa: slot.clientCa,
    });
    this.#waitRoom.dismiss(slot, () => slot.resolve());
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
    holder.cancelGrace = this.#schedule(() => {
      if (this.#drop(slot, holder)) holder.claim.onLost('SESSION_LOST', nameOf(slot.address));
    }, this.#limits.graceMs);
  }

  #restore(slot: Slot, holder: Holder): void {
    if (!holder.away || !slot.holders.includes(holder)) return;
    holder.cancelGrace?.();
    holder.away = false;
    this.#away -= 1;
    slot.refresh();
    this.#waitRoom.dismiss(slot, () => slot.resolve());
    this.#onChanged(slot);
  }

  #retire(slot: Slot, holder: Holder): void {
    if (holder.retired || !slot.holders.includes(holder)) return;
    holder.retired = true;
    slot.refresh();
    this.#onChanged(slot);
  }

  #drop(slot: Slot, holder: Holder): boolean {
    if (!slot.remove(holder)) return false;
    this.#forget(holder);
    if (slot.holders.length === 0) this.#free(slot);
    else this.#onChanged(slot);
    return true;
  }

  #forget(holder: Holder): void {
    holder.cancelGrace?.();
    if (holder.away) this.#away -= 1;
    this.#count(holder.claim.identity, -1);
  }

  #count(identity: string, change: 1 | -1): void {
    this.#leases += change;
    const held = this.heldBy(identity) + change;
    if (held === 0) this.#held.delete(identity);
    else this.#held.set(identity, held);
  }

  #slotOf(address: Address): Slot | undefined {
    return 'host' in address ? this.#hosts.get(address.host) : this.#ports.get(address.port);
  }

  #keep(slot: Slot): Slot {
    if ('host' in slot.address) this.#hosts.set(slot.address.host, slot);
    else this.#ports.set(slot.address.port, slot);
    return slot;
  }

  #free(slot: Slot): void {
    if ('host' in slot.address) this.#hosts.delete(slot.address.host);
    else this.#ports.delete(slot.address.port);
    this.#journal?.freed(slot.address);
    this.#waitRoom.dismiss(slot, () => UNKNOWN);
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

function nameOf(address: Address): string {
  return 'host' in address ? address.host : `port ${address.port}`;
}

/** Names are claimed without regard to case or a final dot, as DNS compares them (RFC 4343). */
function normalise(address: Address): Address {
  if (!('host' in address)) return address;
  const host = address.host.toLowerCase();
  return { host: host.endsWith('.') ? host.slice(0, -1) : host };
}
