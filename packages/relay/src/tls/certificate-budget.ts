/**
 * How many certificates may be ordered on demand: per owner and day, in all per hour, and how many may wait. Counted
 * in the store, so that several processes keep one budget. The authority's own limits are far wider.
 */
import { PortholeError } from '@porthole/protocol';
import type { Store } from '../store/store.ts';
import { fieldOf } from '@porthole/acme';
import { nameKey } from './name-key.ts';

interface BudgetLimits {
  /** New names of one owner in 24 hours. Default 5. */
  readonly perOwnerPerDay?: number;
  /** Orders of all owners in an hour. Default 30. */
  readonly perHour?: number;
}

export interface CertificateBudgetOptions extends BudgetLimits {
  readonly store: Store;
  readonly now?: () => number;
}

const HOUR_MS = 3_600_000;
const MAX_TRIES = 20;

export class CertificateBudget {
  readonly #options: CertificateBudgetOptions;

  constructor(options: CertificateBudgetOptions) {
    this.#options = options;
  }

  /** Takes one order from both budgets, or throws CERTIFICATE_NOT_ALLOWED saying which is used up and until when. */
  async spend(owner: string): Promise<void> {
    const { perOwnerPerDay = 5, perHour = 30 } = this.#options;
    const ownerKey = `tls/budget/owner/${nameKey(owner)}`;
    // The owner's first: somebody over his own limit must not use up everybody's.
    await this.#take(ownerKey, perOwnerPerDay, 24 * HOUR_MS, 'new names a day for one owner');
    try {
      await this.#take('tls/budget/all', perHour, HOUR_MS, 'certificates an hour on this relay');
    } catch (error) {
      await this.#giveBack(ownerKey);
      throw error;
    }
  }

  async #take(key: string, limit: number, windowMs: number, what: string): Promise<void> {
    const { store } = this.#options;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const now = (this.#options.now ?? Date.now)();
      const document = await store.get(key);
      const times = timesOf(document?.value).filter((time) => time > now - windowMs && time <= now);
      const oldest = times[0] ?? now;
      if (times.length >= limit)
        throw new PortholeError(
          'CERTIFICATE_NOT_ALLOWED',
          `the limit of ${limit} ${what} is used up until ${new Date(oldest + windowMs).toISOString()}`,
        );
      if ((await store.put(key, { times: [...times, now] }, document?.revision ?? 0)).ok) return;
    }
    throw new PortholeError('CERTIFICATE_NOT_ALLOWED', 'too many processes ask at once');
  }

  /** The newest one; when another process is faster, the owner has one less for a day, and that is all. */
  async #giveBack(key: string): Promise<void> {
    const document = await this.#options.store.get(key);
    await this.#options.store.put(key, { times: timesOf(document?.value).slice(0, -1) }, document?.revision ?? 0);
  }
}

function timesOf(value: unknown): number[] {
  const times = fieldOf(value, 'times');
  return Array.isArray(times) ? times.filter((time) => typeof time === 'number') : [];
}
