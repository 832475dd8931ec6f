/**
 * Grants leases over all workers: one route registry, whose claims come over the workers' channels and whose routes go
 * back over them. A worker that ends leaves its leases behind for the grace time.
 */
import type { ErrorCode } from '@porthole/protocol';
import type { LeaseJournal } from '../routing/lease-journal.ts';
import type { RegistryLimits } from '../routing/lease-limits.ts';
import type { ClaimRequest, LeaseChange, RouteUpdate } from '../routing/registrar-link.ts';
import type { Lease } from '../routing/registry.ts';
import { LocalRouteRegistry } from '../routing/route-registry.ts';
import type { RegistrySizes } from '../routing/route-table.ts';
import type { Slot } from '../routing/slot.ts';
import type { Target } from '../routing/target.ts';
import type { ToWorker } from './channel-messages.ts';

export interface RegistrarOptions {
  readonly journal?: LeaseJournal;
  readonly limits?: Partial<RegistryLimits>;
  /** Nobody holds the port any more. */
  readonly onPortFreed: (port: number) => void;
}

type Send = (message: ToWorker) => void;

/** Stands for a session that is in a worker. Visitors are never led through here. */
class DistantTarget implements Target {
  readonly label: string;
  readonly node: string;

  constructor(label: string, node: string) {
    this.label = label;
    this.node = node;
  }

  openExchange(): never {
    throw new Error('visitors come to workers');
  }

  openRaw(): never {
    throw new Error('visitors come to workers');
  }
}

export class Registrar {
  readonly #registry: LocalRouteRegistry;
  readonly #onPortFreed: (port: number) => void;
  readonly #workers = new Map<string, Send>();
  readonly #leases = new Map<number, { readonly node: string; readonly lease: Lease }>();
  readonly #changed = new Set<Slot>();

  constructor(options: RegistrarOptions) {
    this.#onPortFreed = options.onPortFreed;
    this.#registry = new LocalRouteRegistry({
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      journal: options.journal,
      onChanged: (slot) => this.#onChanged(slot),
    });
  }

  async start(): Promise<void> {
    await this.#registry.start();
  }

  /** A worker begins. Returns the routes of now; it is told of every change from here on. */
  enter(node: string, send: Send): readonly RouteUpdate[] {
    this.#tellChanges();
    this.#workers.set(node, send);
    return [...this.#registry.slots].map(updateOf);
  }

  claim(node: string, ref: number, request: ClaimRequest): void {
    let lease: Lease | undefined;
    const outcome = this.#registry.claim({
      ...request,
      target: new DistantTarget(request.label, node),
      onLost: (code, detail) => {
        if (lease !== undefined) this.#lost(lease.epoch, code, detail);
      },
    });
    if (outcome.ok) {
      lease = outcome.lease;
      this.#leases.set(lease.epoch, { node, lease });
    }
    // The others know of the address before its holder does, who will tell visitors of it. The holder's own worker must
    // know the lease when it reads of the address.
    const updates = this.#takeChanges();
    for (const [other, send] of this.#workers) if (other !== node) tell(send, updates);
    const send = this.#workers.get(node);
    send?.({ type: 'claimed', ref, reply: outcome.ok ? { ok: true, lease: outcome.lease.epoch } : outcome });
    if (send !== undefined) tell(send, updates);
  }

  change(lease: number, change: LeaseChange): void {
    const held = this.#leases.get(lease);
    if (held === undefined) return;
    held.lease[change]();
    if (change === 'release') this.#leases.delete(lease);
    this.#tellChanges();
  }

  /** The relay was reloaded with other limits. */
  adopt(limits: Partial<RegistryLimits>): void {
    this.#registry.adopt(limits);
  }

  get sizes(): RegistrySizes {
    return this.#registry.sizes;
  }

  isHeld(port: number): boolean {
    return this.#registry.resolvePort(port).state !== 'unknown';
  }

  /** A worker has ended. Whoever held an address there may claim it again; until then visitors wait. */
  leave(node: string): void {
    this.#workers.delete(node);
    for (const [epoch, held] of this.#leases) {
      if (held.node !== node) continue;
      held.lease.suspend();
      this.#leases.delete(epoch);
    }
    this.#tellChanges();
  }

  async close(): Promise<void> {
    await this.#registry.close();
  }

  #lost(lease: number, code: ErrorCode, detail: string): void {
    const held = this.#leases.get(lease);
    if (held === undefined) return;
    this.#leases.delete(lease);
    this.#workers.get(held.node)?.({ type: 'lost', lease, code, detail });
  }

  #onChanged(slot: Slot): void {
    // Changes that a message brings about are told when it has been answered; those of timers at once.
    if (this.#changed.size === 0) queueMicrotask(() => this.#tellChanges());
    this.#changed.add(slot);
  }

  #tellChanges(): void {
    const updates = this.#takeChanges();
    for (const send of this.#workers.values()) tell(send, updates);
  }

  #takeChanges(): readonly RouteUpdate[] {
    const updates: RouteUpdate[] = [];
    for (const slot of this.#changed) {
      // A slot may be freed and its address given away again before it is told: the latest word is about the address.
      updates.push(updateOf(this.#current(slot) ?? slot));
      if ('port' in slot.address && !this.isHeld(slot.address.port)) this.#onPortFreed(slot.address.port);
    }
    this.#changed.clear();
    return updates;
  }

  #current(slot: Slot): Slot | undefined {
    return this.#registry.slotAt(slot.address);
  }
}

function tell(send: Send, updates: readonly RouteUpdate[]): void {
  if (updates.length > 0) send({ type: 'routes', updates });
}

/** An address that is kept for somebody who has not come back has holders, none of them here. */
function updateOf(slot: Slot): RouteUpdate {
  const { address, identity, raw, clientCa } = slot;
  const isFree = slot.holders.length === 0 && slot.cancelOrphanGrace === undefined;
  if (isFree) return { address, identity };
  const holders = slot.holders.map(({ epoch, claim, away, retired }) => ({
    lease: epoch,
    node: claim.target instanceof DistantTarget ? claim.target.node : '',
    label: claim.target.label,
    away,
    retired,
  }));
  return { address, identity, holders, ...(raw ? { raw } : {}), ...(clientCa === undefined ? {} : { clientCa }) };
}
