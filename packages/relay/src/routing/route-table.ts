/**
 * The table of who answers at which public address, and those who wait for an address whose holder is away: what every
 * route registry of this relay looks up in the same way. Who may hold what is decided by the registries themselves.
 */
import { REGISTRY_LIMITS, type RegistryLimits, type Schedule, schedule } from './lease-limits.ts';
import type { Address, PortTraits, Resolution, Waiting } from './registry.ts';
import { type Slot, UNKNOWN } from './slot.ts';
import { WaitRoom } from './wait-room.ts';

export interface RouteTableOptions {
  readonly limits?: Partial<RegistryLimits>;
  readonly schedule?: Schedule;
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

export abstract class RouteTable {
  readonly #hosts = new Map<string, Slot>();
  readonly #ports = new Map<number, Slot>();
  protected limits: RegistryLimits;
  protected readonly schedule: Schedule;
  protected readonly waitRoom: WaitRoom;
  protected isClosed = false;

  protected constructor(options: RouteTableOptions) {
    this.limits = { ...REGISTRY_LIMITS, ...options.limits };
    this.schedule = options.schedule ?? schedule;
    this.waitRoom = new WaitRoom(this.limits, this.schedule);
  }

  /** From now on; what stands already stays. */
  adopt(limits: Partial<RegistryLimits>): void {
    this.limits = { ...this.limits, ...limits };
    this.waitRoom.limits = this.limits;
  }

  /** Claims that stand, and those of them whose holder is away. */
  protected abstract get leaseSizes(): Pick<RegistrySizes, 'leases' | 'away'>;

  get sizes(): RegistrySizes {
    return {
      hosts: this.#hosts.size,
      ports: this.#ports.size,
      ...this.leaseSizes,
      waiting: this.waitRoom.size,
      waitsRefused: this.waitRoom.refused,
    };
  }

  /** All addresses that are held just now. */
  get slots(): Iterable<Slot> {
    return [...this.#hosts.values(), ...this.#ports.values()];
  }

  slotAt(address: Address): Slot | undefined {
    return 'host' in address ? this.#hosts.get(normalHost(address.host)) : this.#ports.get(address.port);
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

  portTraits(port: number): PortTraits | undefined {
    return this.#ports.get(port);
  }

  wait(address: Address, timeoutMs: number): Waiting | undefined {
    const slot = this.slotAt(address);
    const now = slot === undefined ? UNKNOWN : slot.resolve();
    if (slot === undefined || now.state !== 'away') return { done: Promise.resolve(now), cancel: () => {} };
    return this.waitRoom.enter(slot, timeoutMs);
  }

  /** Frees nothing. Idempotent. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.waitRoom.dismissAll(UNKNOWN);
  }

  /** The slot's address is as `normalAddress` makes it. */
  protected keep(slot: Slot): Slot {
    if ('host' in slot.address) this.#hosts.set(slot.address.host, slot);
    else this.#ports.set(slot.address.port, slot);
    return slot;
  }

  protected free(slot: Slot): void {
    if ('host' in slot.address) this.#hosts.delete(slot.address.host);
    else this.#ports.delete(slot.address.port);
    this.waitRoom.dismiss(slot, () => UNKNOWN);
  }

  /** Those who wait for it go on, if anybody can take them now. */
  protected admit(slot: Slot): void {
    if (slot.resolve().state !== 'away') this.waitRoom.dismiss(slot, () => slot.resolve());
  }
}

export function normalAddress(address: Address): Address {
  return 'host' in address ? { host: normalHost(address.host) } : address;
}

/** Names are claimed without regard to case or a final dot, as DNS compares them (RFC 4343). */
function normalHost(name: string): string {
  const host = name.toLowerCase();
  return host.endsWith('.') ? host.slice(0, -1) : host;
}
