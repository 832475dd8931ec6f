/**
 * Visitors who have not finished saying whom they want: bounded in number, in all and per address. When there is no
 * room, the one who has taken longest goes: an honest visitor needs one round trip, a hoarder only has time.
 */
import type * as net from 'node:net';
import { sourceOf } from '../access/source-of.ts';

export interface HalfOpenLimits {
  /** In all; each may hold some tens of kilobytes. */
  readonly max: number;
  readonly maxPerAddress: number;
}

export const HALF_OPEN_LIMITS: HalfOpenLimits = { max: 2048, maxPerAddress: 512 };

export class HalfOpenSockets {
  readonly #limits: HalfOpenLimits;
  /** In the order in which they came. */
  readonly #all = new Map<net.Socket, string>();
  readonly #bySource = new Map<string, Set<net.Socket>>();
  #evicted = 0;

  constructor(limits: HalfOpenLimits = HALF_OPEN_LIMITS) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#all.size;
  }

  get evicted(): number {
    return this.#evicted;
  }

  /** `leave` must follow, unless the socket is destroyed from here. */
  enter(socket: net.Socket, address: string): void {
    const source = sourceOf(address);
    const { max, maxPerAddress } = this.#limits;
    const same = this.#bySource.get(source);
    const crowded = same !== undefined && same.size >= maxPerAddress ? same : undefined;
    const oldest =
      crowded?.values().next().value ?? (this.#all.size >= max ? this.#all.keys().next().value : undefined);
    if (oldest !== undefined) this.#evict(oldest);
    this.#all.set(socket, source);
    const place = this.#bySource.get(source);
    if (place === undefined) this.#bySource.set(source, new Set([socket]));
    else place.add(socket);
  }

  /** Idempotent. */
  leave(socket: net.Socket): void {
    const source = this.#all.get(socket);
    if (source === undefined) return;
    this.#all.delete(socket);
    const place = this.#bySource.get(source);
    place?.delete(socket);
    if (place?.size === 0) this.#bySource.delete(source);
  }

  destroyAll(): void {
    for (const socket of [...this.#all.keys()]) {
      this.leave(socket);
      socket.destroy();
    }
  }

  #evict(socket: net.Socket): void {
    this.#evicted += 1;
    this.leave(socket);
    socket.destroy();
  }
}
