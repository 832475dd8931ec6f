/**
 * The route registry of one worker among several: claims are decided by the registrar, the table of routes is a copy
 * that the registrar keeps up to date, look-ups are as local as with one process.
 */
import type { ErrorCode } from '@porthole/protocol';
import { REGISTRY_LIMITS, type RegistryLimits, type Schedule, schedule } from './lease-limits.ts';
import { LocalLease } from './local-lease.ts';
import type { RegistrarLink, RouteHolder, RouteUpdate } from './registrar-link.ts';
import type { Address, Claim, ClaimOutcome, Lease, Resolution, RouteRegistry, Waiting } from './registry.ts';
import type { RegistrySizes } from './route-registry.ts';
import { type Holder, Slot, UNKNOWN } from './slot.ts';
import type { Target } from './target.ts';
import { WaitRoom } from './wait-room.ts';

/** A lease that was lost is still served for so long to those who had not heard of it when they opened a stream. */
const LATE_STREAMS_MS = 30_000;
/** A holder in doubt is left out for so long, if the registrar says nothing about it. */
const DOUBT_MS = 1_000;

export interface SharedRegistryOptions {
  /** This worker. */
  readonly node: string;
  readonly link: RegistrarLink;
  /** Leads to a holder whose session is on another worker; `onDoubt` is called when that seems to be gone. */
  readonly peerTarget: (holder: RouteHolder, onDoubt: () => void) => Target;
  /** Nobody holds the port any more. */
  readonly onPortFreed: (port: number) => void;
  readonly limits?: Partial<RegistryLimits>;
  readonly schedule?: Schedule;
}

/** A lease of this worker. What it says of itself here is newer than what comes back from the registrar. */
interface OwnLease {
  readonly claim: Claim;
  away: boolean;
}

export class SharedRouteRegistry implements RouteRegistry {
  readonly #options: SharedRegistryOptions;
  readonly #hosts = new Map<string, Slot>();
  readonly #ports = new Map<number, Slot>();
  /** Leases of this worker. Bounded by the registrar's limit. */
  readonly #own = new Map<number, OwnLease>();
  readonly #waitRoom: WaitRoom;
  readonly #schedule: Schedule;
  #closed = false;

  constructor(options: SharedRegistryOptions) {
    this.#options = options;
    this.#schedule = options.schedule ?? schedule;
    this.#waitRoom = new WaitRoom({ ...REGISTRY_LIMITS, ...options.limits }, this.#schedule);
  }

  get sizes(): RegistrySizes {
    let away = 0;
    for (const own of this.#own.values()) if (own.away) away += 1;
    return {
      hosts: this.#hosts.size,
      ports: this.#ports.size,
      leases: this.#own.size,
      away,
      waiting: this.#waitRoom.size,
      waitsRefused: this.#waitRoom.refused,
    };
  }

  async start(): Promise<void> {}

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
    const slot = this.#slotOf(address);
    const now = slot === undefined ? UNKNOWN : slot.resolve();
    if (slot === undefined || now.state !== 'away') return { done: Promise.resolve(now), cancel: () => {} };
    return this.#waitRoom.enter(slot, timeoutMs);
  }

  async claim(claim: Claim): Promise<ClaimOutcome> {
    if (this.#closed) return { ok: false, code: 'GOING_AWAY', detail: '' };
    const { address, identity, pool, maxTunnels, target } = claim;
    const request = {
      address,
      identity,
      pool,
      maxTunnels,
      label: target.label,
      vacant: claim.vacant === true,
      raw: claim.raw === true,
      clientCa: claim.clientCa,
    };
    const reply = await this.#options.link.claim(request, (lease) => this.#own.set(lease, { claim, away: false }));
    return reply.ok ? { ok: true, lease: this.#lease(reply.lease, claim) } : reply;
  }

  /** A stream from another worker for a lease of this one; undefined when that is over. */
  ownTarget(lease: number): Target | undefined {
    return this.#own.get(lease)?.claim.target;
  }

  /** The registrar says who holds an address now. */
  apply(update: RouteUpdate): void {
    const slot = this.#slotOf(update.address);
    if (update.holders === undefined) {
      if (slot !== undefined) this.#free(slot);
      return;
    }
    const kept = slot ?? this.#keep(new Slot(update.address, update.identity));
    kept.raw = update.raw === true;
    kept.clientCa = update.clientCa;
    kept.removeAll();
    for (const holder of update.holders) kept.add(this.#holderOf(kept, holder));
    if (kept.resolve().state !== 'away') this.#waitRoom.dismiss(kept, () => kept.resolve());
  }

  /** The registrar says that a lease of this worker has ended against its holder's will. */
  lost(lease: number, code: ErrorCode, detail: string): void {
    const own = this.#own.get(lease);
    if (own === undefined) return;
    this.#schedule(() => this.#own.delete(lease), LATE_STREAMS_MS);
    own.claim.onLost(code, detail);
  }

  /** Frees nothing. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#waitRoom.dismissAll(UNKNOWN);
  }

  #lease(lease: number, { address, identity }: Claim): Lease {
    return new LocalLease(
      { address, identity, epoch: lease },
      {
        suspend: () => this.#setAway(lease, address, true),
        restore: () => this.#setAway(lease, address, false),
        retire: () => this.#options.link.change(lease, 'retire'),
        release: () => {
          if (this.#own.delete(lease)) this.#options.link.change(lease, 'release');
        },
      },
    );
  }

  #setAway(lease: number, address: Address, away: boolean): void {
    const own = this.#own.get(lease);
    if (own === undefined || own.away === away) return;
    own.away = away;
    const slot = this.#slotOf(address);
    const holder = slot?.holders.find(({ epoch }) => epoch === lease);
    if (slot !== undefined && holder !== undefined) {
      holder.away = away;
      slot.refresh();
      if (!away) this.#waitRoom.dismiss(slot, () => slot.resolve());
    }
    this.#options.link.change(lease, away ? 'suspend' : 'restore');
  }

  #holderOf(slot: Slot, holder: RouteHolder): Holder {
    const own = holder.node === this.#options.node ? this.#own.get(holder.lease) : undefined;
    const target = own?.claim.target ?? this.#options.peerTarget(holder, () => this.#doubt(slot, holder.lease));
    return {
      claim: { address: { port: 0 }, identity: '', target, pool: false, onLost: () => {} },
      epoch: holder.lease,
      ready: { state: 'ready', target },
      away: own?.away ?? holder.away,
      retired: holder.retired,
      cancelGrace: undefined,
    };
  }

  /** A stream to another worker was lost with its session, of whose end the registrar is about to tell. */
  #doubt(slot: Slot, lease: number): void {
    const holder = slot.holders.find(({ epoch }) => epoch === lease);
    if (holder === undefined || holder.away) return;
    holder.away = true;
    slot.refresh();
    this.#schedule(() => {
      holder.away = false;
      slot.refresh();
      this.#waitRoom.dismiss(slot, () => slot.resolve());
    }, DOUBT_MS);
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
    this.#waitRoom.dismiss(slot, () => UNKNOWN);
    if ('port' in slot.address) this.#options.onPortFreed(slot.address.port);
  }
}
