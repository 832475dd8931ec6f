import { describe, expect, it } from 'vitest';
import { FakeStore } from '../../../../test/contracts/store.contract-fake.ts';
import { LEASE_LIFE_MS, withLease } from './store-lease.ts';

const key = 'tls/lease/a';

describe('withLease', () => {
  it('lets one of many in, and the next when it is done', async () => {
    const store = new FakeStore();
    const options = { store, key, holder: 'x', now: () => 0 };
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => await withLease(options, async () => i)),
    );
    expect(outcomes.filter((outcome) => outcome !== undefined)).toHaveLength(1);
    expect(await withLease(options, async () => 'next')).toEqual({ value: 'next' });
    expect(await store.list('')).toEqual([]);
  });

  it('gives the lease back when the work fails', async () => {
    const store = new FakeStore();
    const options = { store, key, holder: 'x', now: () => 0 };
    await expect(withLease(options, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(await store.list('')).toEqual([]);
  });

  it('is prolonged while the work goes on', async () => {
    const store = new FakeStore();
    let now = 0;
    await withLease({ store, key, holder: 'x', now: () => now, renewEveryMs: 5 }, async (lost) => {
      now = LEASE_LIFE_MS - 1;
      await new Promise<void>((resolve) => store.watch(key, () => resolve()));
      now = LEASE_LIFE_MS + 1;
      expect(await withLease({ store, key, holder: 'y', now: () => now }, async () => 'in')).toBeUndefined();
      expect(lost.aborted).toBe(false);
    });
  });

  it('tells a holder that slept too long, who then leaves the lease of the next one alone', async () => {
    const store = new FakeStore();
    await withLease({ store, key, holder: 'slow', now: () => 0, renewEveryMs: 5 }, async (lost) => {
      const told = new Promise((resolve) => lost.addEventListener('abort', resolve));
      await store.put(key, { holder: 'next', untilMs: 1e15 });
      await told;
    });
    expect((await store.get(key))?.value).toEqual({ holder: 'next', untilMs: 1e15 });
  });
});
