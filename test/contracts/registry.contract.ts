/** What every route registry promises. Exported as a function and run for each implementation. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '@porthole/protocol';
import type { Address, Claim, ClaimOutcome, Lease, RouteRegistry } from '../../packages/relay/src/routing/registry.ts';
import type { Target } from '../../packages/relay/src/routing/target.ts';

/** One that decides claims at once: that of a single process, and the registrar of several. */
export type DecidingRegistry = Omit<RouteRegistry, 'claim'> & { claim(claim: Claim): ClaimOutcome };

export interface RegistryFixture {
  readonly registry: DecidingRegistry;
  /** Lets that much time pass at once. */
  readonly passTime: (ms: number) => void;
}

/** What the fixture's registry must be made with. */
export const CONTRACT_LIMITS = {
  graceMs: 60_000,
  maxLeases: 5000,
  maxPoolSize: 3,
  maxWaitingPerAddress: 3,
  maxWaiting: 5,
};

export function fakeTarget(label: string): Target {
  const refuse = (): never => {
    throw new Error('not a real target');
  };
  return { label, openExchange: refuse, openRaw: refuse };
}

export function registryContract(name: string, createFixture: () => Promise<RegistryFixture>): void {
  describe(`${name} keeps the registry contract`, () => {
    let registry: DecidingRegistry;
    let passTime: (ms: number) => void;
    let lost: string[];

    beforeEach(async () => {
      ({ registry, passTime } = await createFixture());
      lost = [];
    });

    function claimOf(identity: string, label: string, address: Address, more: Partial<Claim> = {}): Claim {
      const onLost = (code: ErrorCode): void => void lost.push(`${label} ${code}`);
      return { address, identity, target: fakeTarget(label), pool: false, onLost, ...more };
    }

    function claim(identity: string, label: string, host = 'shop.example.com', more: Partial<Claim> = {}): Lease {
      const outcome = registry.claim(claimOf(identity, label, { host }, more));
      if (!outcome.ok) throw new Error(`${label} refused: ${outcome.code}`);
      return outcome.lease;
    }

    function refusalOf(identity: string, address: Address, more: Partial<Claim> = {}): ErrorCode | undefined {
      const outcome = registry.claim(claimOf(identity, 'refused', address, more));
      return outcome.ok ? undefined : outcome.code;
    }

    function answererOf(host = 'shop.example.com'): string {
      const found = registry.resolveHost(host);
      return found.state === 'ready' ? found.target.label : found.state;
    }

    it('knows how a port is served, also while its holder is away, and by whoever takes it over', () => {
      const address = { port: 7001 };
      expect(registry.portTraits(7001)).toBeUndefined();
      const outcome = registry.claim(claimOf('ann', 'a', address, { raw: true }));
      if (outcome.ok) outcome.lease.suspend();
      expect(registry.portTraits(7001)).toMatchObject({ raw: true, clientCa: undefined });
      registry.claim(claimOf('ann', 'b', address, { clientCa: 'PEM' }));
      expect(registry.portTraits(7001)).toMatchObject({ raw: false, clientCa: 'PEM' });
    });

    it('resolves what is claimed, by exactly its address', () => {
      claim('ann', 'a');
      expect(answererOf()).toBe('a');
      for (const host of [
        'example.com',
        'com',
        'evilshop.example.com',
        'shop.example.com.evil.com',
        'shop.example.co',
        'hop.example.com',
        'x.shop.example.com',
        'shopXexample.com',
        '',
        '__proto__',
        'constructor',
      ]) {
        expect([host, answererOf(host)]).toEqual([host, 'unknown']);
      }
      expect(registry.resolvePort(80).state).toBe('unknown');
    });

    it('takes names that differ in case or a final dot for the same', () => {
      expect(claim('ann', 'a', 'Shop.Example.COM.').address).toEqual({ host: 'shop.example.com' });
      expect(answererOf()).toBe('a');
      for (const host of ['shop.example.com', 'SHOP.example.com', 'shop.example.com.']) {
        expect(refusalOf('bob', { host })).toBe('NAME_TAKEN');
      }
    });

    it('keeps ports apart from names', () => {
      const outcome = registry.claim(claimOf('ann', 'p', { port: 7000 }));
      expect(outcome.ok).toBe(true);
      expect(registry.resolvePort(7000)).toMatchObject({ state: 'ready', target: { label: 'p' } });
      expect(answererOf('7000')).toBe('unknown');
      expect(refusalOf('bob', { port: 7000 })).toBe('PORT_TAKEN');
    });

    it('refuses another identity and says who can free the name, without saying who has it', () => {
      claim('ann@secret', 'a');
      const outcome = registry.claim(claimOf('bob', 'b', { host: 'shop.example.com' }));
      expect(outcome).toMatchObject({
        ok: false,
        code: 'NAME_TAKEN',
        detail: expect.stringContaining('its holder or the operator'),
      });
      expect(JSON.stringify(outcome)).not.toContain('ann@secret');
      expect(answererOf()).toBe('a');
      expect(lost).toEqual([]);
    });

    it('gives one of 1,000 racing identities the name, and it keeps it', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 1000 }, async (_, index) => {
          await Promise.resolve();
          return registry.claim(claimOf(`user${index}`, `t${index}`, { host: 'race.example.com' }));
        }),
      );
      const winners = outcomes.flatMap((outcome) => (outcome.ok ? outcome.lease.identity : []));
      expect(winners).toHaveLength(1);
      expect(`user${answererOf('race.example.com').slice(1)}`).toBe(winners[0]);
      expect(lost).toEqual([]);
    });

    it('lets the same identity take over at once, and fences the old holder off', () => {
      const old = claim('ann', 'old');
      const fresh = claim('ann', 'new');
      expect(fresh.epoch).toBeGreaterThan(old.epoch);
      expect(lost).toEqual(['old SESSION_REPLACED']);
      expect(answererOf()).toBe('new');
      old.suspend();
      old.restore();
      old.release();
      old.release();
      passTime(3_600_000);
      expect(answererOf()).toBe('new');
      expect(lost).toEqual(['old SESSION_REPLACED']);
    });

    it('has one owner after 1,000 takeovers, whatever the old ones still do', () => {
      const leases = Array.from({ length: 1000 }, (_, index) => claim('ann', `t${index}`));
      for (const lease of leases.slice(0, -1)) lease.release();
      expect(answererOf()).toBe('t999');
      expect(lost).toHaveLength(999);
    });

    it('lets an old holder that hears of its loss do anything without harm', () => {
      const onLost = (): void => {
        old.suspend();
        old.release();
      };
      const old: Lease = claim('ann', 'old', undefined, { onLost });
      claim('ann', 'new');
      expect(answererOf()).toBe('new');
    });

    it('frees a released name at once, for anybody', () => {
      claim('ann', 'a').release();
      expect(answererOf()).toBe('unknown');
      claim('bob', 'b');
      expect(answererOf()).toBe('b');
      expect(lost).toEqual([]);
    });

    it('keeps the name of a holder that is away for the grace time, then frees it and says so', () => {
      const lease = claim('ann', 'a');
      lease.suspend();
      expect(answererOf()).toBe('away');
      passTime(59_000);
      lease.suspend();
      expect(refusalOf('bob', { host: 'shop.example.com' })).toBe('NAME_TAKEN');
      passTime(1000);
      expect(answererOf()).toBe('unknown');
      expect(lost).toEqual(['a SESSION_LOST']);
      lease.restore();
      expect(answererOf()).toBe('unknown');
      claim('bob', 'b');
    });

    it('gives a holder that came back its whole grace time again', () => {
      const lease = claim('ann', 'a');
      for (let round = 0; round < 5; round += 1) {
        lease.suspend();
        passTime(59_000);
        lease.restore();
        expect(answererOf()).toBe('a');
      }
      expect(lost).toEqual([]);
    });

    it('lets the identity take over a name whose holder is away', () => {
      const dead = claim('ann', 'dead');
      dead.suspend();
      claim('ann', 'new');
      expect(answererOf()).toBe('new');
      passTime(120_000);
      expect(answererOf()).toBe('new');
      expect(lost).toEqual(['dead SESSION_REPLACED']);
    });

    describe('with a pool', () => {
      const pool = { pool: true };
      const answers = (count: number): string[] => Array.from({ length: count }, () => answererOf());

      it('answers in turn and leaves out who is away or gone', () => {
        const a = claim('ann', 'a', undefined, pool);
        const b = claim('ann', 'b', undefined, pool);
        claim('ann', 'c', undefined, pool);
        expect(answers(6).sort()).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
        a.suspend();
        expect(answers(4).sort()).toEqual(['b', 'b', 'c', 'c']);
        b.release();
        expect(answers(2)).toEqual(['c', 'c']);
        a.restore();
        expect(answers(2).sort()).toEqual(['a', 'c']);
        expect(lost).toEqual([]);
      });

      it('is away only when all are, and freed when the last has gone', () => {
        const a = claim('ann', 'a', undefined, pool);
        const b = claim('ann', 'b', undefined, pool);
        a.suspend();
        passTime(30_000);
        b.suspend();
        expect(answererOf()).toBe('away');
        passTime(30_000);
        expect(lost).toEqual(['a SESSION_LOST']);
        expect(answererOf()).toBe('away');
        passTime(30_000);
        expect(answererOf()).toBe('unknown');
      });

      it('is not joined by other identities, nor beyond its size', () => {
        for (const label of ['a', 'b', 'c']) claim('ann', label, undefined, pool);
        expect(refusalOf('bob', { host: 'shop.example.com' }, pool)).toBe('NAME_TAKEN');
        expect(refusalOf('ann', { host: 'shop.example.com' }, pool)).toBe('TUNNEL_LIMIT');
      });

      it('gives way to a claim that does not share, and is not forced on a holder that does not', () => {
        claim('ann', 'a', undefined, pool);
        claim('ann', 'b', undefined, pool);
        claim('ann', 'alone');
        expect(lost.sort()).toEqual(['a SESSION_REPLACED', 'b SESSION_REPLACED']);
        claim('ann', 'c', undefined, pool);
        expect(lost).toContain('alone SESSION_REPLACED');
        expect(answererOf()).toBe('c');
      });
    });

    it('counts a holder that is about to move once, here or where it moved', () => {
      const limit = { pool: true, maxTunnels: 2 };
      const old = [claim('ann', 'a', 'a.example.com', limit), claim('ann', 'b', 'b.example.com', limit)];
      for (const lease of old) lease.retire();
      claim('ann', 'a2', 'a.example.com', limit);
      claim('ann', 'c', 'c.example.com', limit);
      expect(refusalOf('ann', { host: 'b.example.com' }, limit)).toBe('TUNNEL_LIMIT');
      expect(refusalOf('ann', { host: 'b.example.com' }, { maxTunnels: 2 })).toBe('TUNNEL_LIMIT');
      for (const lease of old) lease.release();
      expect(refusalOf('ann', { host: 'b.example.com' }, limit)).toBe('TUNNEL_LIMIT');
      expect(answererOf('a.example.com')).toBe('a2');
    });

    it('counts an identity’s tunnels against what it may have, but not what it takes over', () => {
      const limit = { maxTunnels: 2 };
      const first = claim('ann', 'a', 'a.example.com', limit);
      claim('ann', 'b', 'b.example.com', limit);
      expect(refusalOf('ann', { host: 'c.example.com' }, limit)).toBe('TUNNEL_LIMIT');
      claim('bob', 'c', 'c.example.com', limit);
      const again = claim('ann', 'a2', 'a.example.com', limit);
      first.release();
      expect(refusalOf('ann', { host: 'd.example.com' }, limit)).toBe('TUNNEL_LIMIT');
      again.release();
      claim('ann', 'd', 'd.example.com', limit);
    });

    it('refuses more leases than it may hold', () => {
      const leases = Array.from({ length: CONTRACT_LIMITS.maxLeases }, (_, index) =>
        claim(`u${index}`, 'x', `n${index}.example.com`),
      );
      expect(refusalOf('late', { host: 'late.example.com' })).toBe('RELAY_FULL');
      leases[0]?.release();
      claim('late', 'late', 'late.example.com');
    });

    describe('for visitors that wait', () => {
      const address = { host: 'shop.example.com' };

      it('ends at once where nothing is held or somebody is ready', async () => {
        expect(await registry.wait(address, 1000)?.done).toEqual({ state: 'unknown' });
        claim('ann', 'a');
        expect(await registry.wait(address, 1000)?.done).toMatchObject({ state: 'ready' });
      });

      it('ends when the holder is back, when another takes over, when the name is freed', async () => {
        const lease = claim('ann', 'a');
        lease.suspend();
        const first = registry.wait(address, 30_000);
        lease.restore();
        expect(await first?.done).toMatchObject({ state: 'ready', target: { label: 'a' } });
        lease.suspend();
        const second = registry.wait(address, 30_000);
        const newer = claim('ann', 'b');
        expect(await second?.done).toMatchObject({ state: 'ready', target: { label: 'b' } });
        newer.suspend();
        const third = registry.wait(address, 300_000);
        passTime(60_000);
        expect(await third?.done).toEqual({ state: 'unknown' });
      });

      it('ends when its time is over', async () => {
        claim('ann', 'a').suspend();
        const waiting = registry.wait(address, 5000);
        passTime(5000);
        expect(await waiting?.done).toEqual({ state: 'away' });
      });

      it('is bounded per address and in all, and a place given back is free again', async () => {
        for (const name of ['a', 'b']) claim('ann', name, `${name}.example.com`).suspend();
        const inA = Array.from({ length: 3 }, () => registry.wait({ host: 'a.example.com' }, 10_000));
        expect(inA.every((waiting) => waiting !== undefined)).toBe(true);
        expect(registry.wait({ host: 'a.example.com' }, 10_000)).toBeUndefined();
        expect(registry.wait({ host: 'b.example.com' }, 10_000)).toBeDefined();
        expect(registry.wait({ host: 'b.example.com' }, 10_000)).toBeDefined();
        expect(registry.wait({ host: 'b.example.com' }, 10_000)).toBeUndefined();
        inA[0]?.cancel();
        inA[0]?.cancel();
        expect(await inA[0]?.done).toEqual({ state: 'away' });
        expect(registry.wait({ host: 'b.example.com' }, 10_000)).toBeDefined();
        passTime(10_000);
        expect(registry.wait({ host: 'a.example.com' }, 10_000)).toBeDefined();
      });
    });
  });
}
