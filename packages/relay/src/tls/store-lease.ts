/**
 * One process at a time does something that all could do: a document with a holder and a time, taken by
 * compare-and-set. Its revision is the fencing number: whoever lost the lease can no longer prolong it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Store } from '../store/store.ts';
import { numberOf } from '@porthole/acme';

/** How long a killed holder blocks the others. */
export const LEASE_LIFE_MS = 120_000;

export interface StoreLeaseOptions {
  readonly store: Store;
  readonly key: string;
  /** This process. */
  readonly holder: string;
  readonly now: () => number;
  /** For tests. */
  readonly renewEveryMs?: number;
}

/**
 * Runs `work` under the lease, or returns undefined at once when somebody else holds it. `signal` aborts when the
 * lease was lost, for instance because this process stood still for too long.
 */
export async function withLease<T>(
  options: StoreLeaseOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<{ readonly value: T } | undefined> {
  const first = await acquire(options);
  if (first === undefined) return undefined;
  const lost = new AbortController();
  const finished = new AbortController();
  const renewing = renewUntil(options, first, lost, finished.signal);
  try {
    return { value: await work(lost.signal) };
  } finally {
    finished.abort();
    const revision = await renewing;
    // Only if it is still ours.
    if (revision !== undefined) await options.store.delete(options.key, revision).catch(() => undefined);
  }
}

async function acquire(options: StoreLeaseOptions): Promise<number | undefined> {
  const { store, key, now } = options;
  const standing = await store.get(key);
  if ((numberOf(standing?.value, 'untilMs') ?? 0) > now()) return undefined;
  return await write(options, standing?.revision ?? 0);
}

/** Resolves with the last revision when finished, or undefined when the lease was lost. */
async function renewUntil(
  options: StoreLeaseOptions,
  first: number,
  lost: AbortController,
  finished: AbortSignal,
): Promise<number | undefined> {
  let revision = first;
  for (;;) {
    const isOver = await delay(options.renewEveryMs ?? LEASE_LIFE_MS / 4, false, { signal: finished }).catch(
      () => true,
    );
    if (isOver) return revision;
    const next = await write(options, revision).catch(() => undefined);
    if (next === undefined) {
      lost.abort();
      return undefined;
    }
    revision = next;
  }
}

async function write({ store, key, holder, now }: StoreLeaseOptions, expected: number): Promise<number | undefined> {
  const outcome = await store.put(key, { holder, untilMs: now() + LEASE_LIFE_MS }, expected);
  return outcome.ok ? outcome.revision : undefined;
}
