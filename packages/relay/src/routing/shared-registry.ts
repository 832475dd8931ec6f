/**
 * The route registry of one worker among several: claims are decided by the registrar, the table of routes is a copy
 * that the registrar keeps up to date, look-ups are as local as with one process.
 */
import type { ErrorCode } from '@porthole/protocol';
import { LocalLease } from './local-lease.ts';
import type { RegistrarLink, RouteHolder, RouteUpdate } from './registrar-link.ts';
import type { Address, Claim, ClaimOutcome, Lease, RouteRegistry } from './registry.ts';
import { type RegistrySizes, RouteTable, type RouteTableOptions } from './route-table.ts';
import { type Holder, Slot } from './slot.ts';
import type { Target } from './target.ts';

/** A lease that was lost is still served for so long to those who had not heard of it when they opened a stream. */
const LATE_STREAMS_MS = 30_000;
/** A holder in doubt is left out for so long, if the registrar says nothing about it. */
const DOUBT_MS = 1_000;

export interface SharedRegistryOptions extends RouteTableOptions {
  /** This worker. */
  readonly node: string;
  readonly link: RegistrarLink;
  /** Leads to a holder whose session is on another worker; `onDoubt` is called when that seems to be gone. */
  readonly peerTarget: (holder: RouteHolder, onDoubt: () => void) => Target;
  /** Nobody holds the port any more. */
  readonly onPortFreed: (port: number) => void;
}

/** A lease of this worker. What it says of itself here is newer than what comes back from the registrar. */
interface OwnLease {
  readonly claim: Claim;
  away: boolean;
}

export class SharedRouteRegistry extends RouteTable implements RouteRegistry {
  readonly #options: SharedRegistryOptions;
  /** Leases of this worker. Bounded by the registrar's limit. */
  readonly #own = new Map<number, OwnLease>();

  constructor(options: SharedRegistryOptions) {
    super(options);
    this.#options = options;
  }

  protected get leaseSizes(): Pick<RegistrySizes, 'leases' | 'away'> {
    let away = 0;
    for (const own of this.#own.values()) if (own.away) away += 1;
    return { leases: this.#own.size, away };
  }

  async start(): Promise<void> {}

  async claim(claim: Claim): Promise<ClaimOutcome> {
    if (this.isClosed) return { ok: false, code: 'GOING_AWAY', detail: '' };
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
    const slot = this.slotAt(update.address);
    if (update.holders === undefined) {
      if (slot !== undefined) this.#forgetSlot(slot);
      return;
    }
    const kept = slot ?? this.keep(new Slot(update.address, update.identity));
    kept.raw = update.raw === true;
    kept.clientCa = update.clientCa;
    kept.removeAll();
    for (const holder of update.holders) kept.add(this.#holderOf(kept, holder));
    this.admit(kept);
  }

  /** The registrar says that a lease of this worker has ended against its holder's will. */
  lost(lease: number, code: ErrorCode, detail: string): void {
    const own = this.#own.get(lease);
    if (own === undefined) return;
    this.schedule(() => this.#own.delete(lease), LATE_STREAMS_MS);
    own.claim.onLost(code, detail);
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
    const slot = this.slotAt(address);
    const holder = slot?.holders.find(({ epoch }) => epoch === lease);
    if (slot !== undefined && holder !== undefined) {
      holder.away = away;
      slot.refresh();
      if (!away) this.admit(slot);
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
    this.schedule(() => {
      holder.away = false;
      slot.refresh();
      this.admit(slot);
    }, DOUBT_MS);
  }

  #forgetSlot(slot: Slot): void {
    this.free(slot);
    if ('port' in slot.address) this.#options.onPortFreed(slot.address.port);
  }
}
