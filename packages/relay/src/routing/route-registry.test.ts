import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../../test/contracts/registry.contract-clock.ts';
import { fakeTarget } from '../../../../test/contracts/registry.contract.ts';
import { FakeStore } from '../../../../test/contracts/store.contract-fake.ts';
import { LeaseJournal } from './lease-journal.ts';
import type { Address, ClaimOutcome } from './registry.ts';
import { LocalRouteRegistry } from './route-registry.ts';

const EMPTY = { hosts: 0, ports: 0, leases: 0, away: 0, waiting: 0, waitsRefused: 0 };

/** A relay's life on a store that outlives it. */
async function startOn(store: FakeStore, errors: unknown[] = []) {
  const clock = new FakeClock();
  const journal = new LeaseJournal(store, (error) => errors.push(error));
  const registry = new LocalRouteRegistry({ limits: { graceMs: 60_000 }, schedule: clock.schedule, journal });
  await registry.start();
  const claim = (identity: string, address: Address): ClaimOutcome =>
    registry.claim({ address, identity, target: fakeTarget(identity), pool: false, onLost: () => {} });
  return { clock, journal, registry, claim };
}

const SHOP = { host: 'shop.example.com' };

describe('LocalRouteRegistry', () => {
  it('keeps names and ports for their identities over a restart, for the grace time', async () => {
    const store = new FakeStore();
    const before = await startOn(store);
    before.claim('ann', SHOP);
    before.claim('ann', { port: 7000 });
    await before.registry.close();

    const after = await startOn(store);
    expect(after.registry.resolveHost(SHOP.host)).toEqual({ state: 'away' });
    expect(after.registry.resolvePort(7000)).toEqual({ state: 'away' });
    expect(after.claim('bob', SHOP)).toMatchObject({ ok: false, code: 'NAME_TAKEN' });
    expect(after.claim('bob', { port: 7000 })).toMatchObject({ ok: false, code: 'PORT_TAKEN' });
    expect(after.claim('ann', SHOP)).toMatchObject({ ok: true });
    after.clock.pass(60_000);
    expect(after.registry.resolveHost(SHOP.host).state).toBe('ready');
    expect(after.claim('bob', { port: 7000 })).toMatchObject({ ok: true });
  });

  it('lets visitors wait for a name whose agent has not come back since the restart', async () => {
    const store = new FakeStore();
    const before = await startOn(store);
    before.claim('ann', SHOP);
    await before.registry.close();
    const after = await startOn(store);
    const waiting = after.registry.wait(SHOP, 10_000);
    after.claim('ann', SHOP);
    expect(await waiting?.done).toMatchObject({ state: 'ready' });
  });

  it('goes on with greater epochs after a restart', async () => {
    const store = new FakeStore();
    const before = await startOn(store);
    for (let round = 0; round < 5; round += 1) before.claim('ann', SHOP);
    const last = before.claim('ann', SHOP);
    await before.registry.close();
    const first = (await startOn(store)).claim('ann', SHOP);
    expect(first.ok && last.ok && first.lease.epoch > last.lease.epoch).toBe(true);
  });

  it('forgets in the store what was released or has run out', async () => {
    const store = new FakeStore();
    const { clock, claim, journal } = await startOn(store);
    const first = claim('ann', SHOP);
    const second = claim('ann', { port: 7000 });
    await journal.flush();
    expect(await store.list('leases/')).toHaveLength(2);
    if (first.ok) first.lease.release();
    if (second.ok) second.lease.suspend();
    clock.pass(60_000);
    await journal.flush();
    expect(await store.list('leases/')).toEqual([]);
  });

  it('grants names while the store is full, and says that it could not write them down', async () => {
    const store = new FakeStore();
    const errors: unknown[] = [];
    const { claim, journal, registry } = await startOn(store, errors);
    store.full = true;
    expect(claim('ann', SHOP)).toMatchObject({ ok: true });
    await journal.flush();
    expect(errors).toMatchObject([{ code: 'STORE_FAILED' }]);
    expect(registry.resolveHost(SHOP.host).state).toBe('ready');
  });

  it('writes only where a name ended up when it changes hands quickly', async () => {
    const store = new FakeStore();
    const { claim, journal } = await startOn(store);
    let writes = 0;
    store.watch('leases/', () => {
      writes += 1;
    });
    for (let round = 0; round < 1000; round += 1) claim('ann', SHOP);
    await journal.flush();
    expect(writes).toBeLessThanOrEqual(2);
    expect(await store.list('leases/')).toMatchObject([{ value: { identity: 'ann', epoch: 1000 } }]);
  });

  it('is back to nothing after 10,000 agents came, went away, waited for and left', async () => {
    const clock = new FakeClock();
    const registry = new LocalRouteRegistry({ schedule: clock.schedule });
    for (let index = 0; index < 10_000; index += 1) {
      const address = { host: `n${index % 100}.example.com` };
      const outcome = registry.claim({
        address,
        identity: 'ann',
        target: fakeTarget('t'),
        pool: index % 3 === 0,
        onLost: () => {},
      });
      if (!outcome.ok) continue;
      if (index % 2 === 0) outcome.lease.suspend();
      if (index % 4 === 0) registry.wait(address, 1000);
      if (index % 5 === 0) outcome.lease.restore();
      if (index % 7 === 0) outcome.lease.release();
      if (index % 50 === 0) clock.pass(10_000);
    }
    expect(registry.sizes.leases).toBeGreaterThan(0);
    for (let index = 0; index < 100; index += 1) {
      const outcome = registry.claim({
        address: { host: `n${index}.example.com` },
        identity: 'ann',
        target: fakeTarget('t'),
        pool: false,
        onLost: () => {},
      });
      if (outcome.ok) outcome.lease.release();
    }
    expect({ ...registry.sizes, waitsRefused: 0 }).toEqual(EMPTY);
    expect(registry.heldBy('ann')).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('ends all waiting and leaves no timer when it is closed, and grants nothing any more', async () => {
    const { clock, registry, claim } = await startOn(new FakeStore());
    const outcome = claim('ann', SHOP);
    if (outcome.ok) outcome.lease.suspend();
    const waiting = registry.wait(SHOP, 10_000);
    await registry.close();
    expect(await waiting?.done).toEqual({ state: 'unknown' });
    expect(clock.pending).toBe(0);
    expect(claim('ann', SHOP)).toMatchObject({ ok: false, code: 'GOING_AWAY' });
    await registry.close();
  });
});
