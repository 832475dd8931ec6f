/** Visitors that wait for an address whose holder is away: bounded in time, per address and in all. */
import type { RegistryLimits, Schedule } from './lease-limits.ts';
import type { Resolution, Waiting } from './registry.ts';
import type { Slot } from './slot.ts';

interface Waiter {
  readonly finish: (resolution: Resolution) => void;
  readonly cancelTimer: () => void;
}

export class WaitRoom {
  limits: RegistryLimits;
  readonly #schedule: Schedule;
  readonly #bySlot = new Map<Slot, Set<Waiter>>();
  #size = 0;
  #refused = 0;

  constructor(limits: RegistryLimits, schedule: Schedule) {
    this.limits = limits;
    this.#schedule = schedule;
  }

  /** Visitors waiting now. */
  get size(): number {
    return this.#size;
  }

  /** Visitors sent away because too many were waiting. */
  get refused(): number {
    return this.#refused;
  }

  enter(slot: Slot, timeoutMs: number): Waiting | undefined {
    const waiters = this.#bySlot.get(slot);
    const crowded = waiters !== undefined && waiters.size >= this.limits.maxWaitingPerAddress;
    if (crowded || this.#size >= this.limits.maxWaiting) {
      this.#refused += 1;
      return undefined;
    }
    const { promise, resolve } = Promise.withResolvers<Resolution>();
    const leave = (): void => this.#leave(slot, waiter, slot.resolve());
    const waiter: Waiter = { finish: resolve, cancelTimer: this.#schedule(leave, timeoutMs) };
    if (waiters === undefined) this.#bySlot.set(slot, new Set([waiter]));
    else waiters.add(waiter);
    this.#size += 1;
    return { done: promise, cancel: leave };
  }

  /** The slot is ready, or not held any more: everybody goes on with what holds now. */
  dismiss(slot: Slot, resolve: () => Resolution): void {
    const waiters = this.#bySlot.get(slot);
    if (waiters === undefined) return;
    for (const waiter of waiters) this.#leave(slot, waiter, resolve());
  }

  /** The relay stops. */
  dismissAll(resolution: Resolution): void {
    for (const slot of this.#bySlot.keys()) this.dismiss(slot, () => resolution);
  }

  #leave(slot: Slot, waiter: Waiter, resolution: Resolution): void {
    const waiters = this.#bySlot.get(slot);
    if (waiters === undefined || !waiters.delete(waiter)) return;
    if (waiters.size === 0) this.#bySlot.delete(slot);
    this.#size -= 1;
    waiter.cancelTimer();
    waiter.finish(resolution);
  }
}
