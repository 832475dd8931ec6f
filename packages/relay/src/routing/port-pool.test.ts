import { describe, expect, it } from 'vitest';
import { fakeTarget } from '../../../../test/contracts/registry.contract.ts';
import { type PortClaim, PortPool } from './port-pool.ts';
import { LocalRouteRegistry } from './route-registry.ts';

const all = (): boolean => true;

function claimBy(identity: string): PortClaim {
  return { identity, target: fakeTarget(identity), pool: false, onLost: () => {} };
}

async function portOf(claimed: ReturnType<PortPool['claim']>): Promise<number> {
  const outcome = await claimed;
  if (!outcome.ok || !('port' in outcome.lease.address)) throw new Error('no port');
  return outcome.lease.address.port;
}

describe('PortPool', () => {
  it('gives each port once, then says that there are no more', async () => {
    const pool = new PortPool(
      [
        { first: 7000, last: 7003 },
        { first: 7003, last: 7004 },
      ],
      new LocalRouteRegistry(),
    );
    expect(pool.size).toBe(5);
    const ports = await Promise.all(
      Array.from({ length: 5 }, () => portOf(pool.claim(claimBy('ann'), undefined, all))),
    );
    expect(ports.sort((a, b) => a - b)).toEqual([7000, 7001, 7002, 7003, 7004]);
    expect(await pool.claim(claimBy('ann'), undefined, all)).toMatchObject({ ok: false, code: 'PORTS_EXHAUSTED' });
  });

  it('gives the wanted port or none', async () => {
    const pool = new PortPool([{ first: 7000, last: 7001 }], new LocalRouteRegistry());
    expect(await portOf(pool.claim(claimBy('ann'), 7001, all))).toBe(7001);
    expect(await pool.claim(claimBy('bob'), 7001, all)).toMatchObject({ ok: false, code: 'PORT_TAKEN' });
    expect(await pool.claim(claimBy('bob'), 7002, all)).toMatchObject({ ok: false, code: 'PORT_NOT_ALLOWED' });
    expect(await pool.claim(claimBy('bob'), 7000.5, all)).toMatchObject({ ok: false, code: 'PORT_NOT_ALLOWED' });
    expect(await pool.claim(claimBy('bob'), 7000, (port) => port !== 7000)).toMatchObject({
      ok: false,
      code: 'PORT_NOT_ALLOWED',
    });
    expect(await portOf(pool.claim(claimBy('ann'), 7001, all))).toBe(7001);
  });

  it('never takes over a port of the same identity that only wants any', async () => {
    const registry = new LocalRouteRegistry();
    const pool = new PortPool([{ first: 7000, last: 7001 }], registry);
    const first = await pool.claim(claimBy('ann'), undefined, all);
    if (first.ok) first.lease.suspend();
    const second = await portOf(pool.claim(claimBy('ann'), undefined, all));
    expect(second).not.toBe(await portOf(Promise.resolve(first)));
  });

  it('goes by what the token allows', async () => {
    const pool = new PortPool([{ first: 7000, last: 7009 }], new LocalRouteRegistry());
    expect(await portOf(pool.claim(claimBy('ann'), undefined, (port) => port === 7005))).toBe(7005);
    expect(await pool.claim(claimBy('ann'), undefined, (port) => port === 7005)).toMatchObject({
      code: 'PORTS_EXHAUSTED',
    });
    expect(await pool.claim(claimBy('ann'), undefined, (port) => port === 80)).toMatchObject({
      code: 'PORT_NOT_ALLOWED',
    });
  });

  it('passes over ports another program holds until nothing else is left', async () => {
    const pool = new PortPool([{ first: 7000, last: 7001 }], new LocalRouteRegistry(), () => 0);
    pool.avoid(7000);
    pool.avoid(9999);
    expect(pool.avoided).toBe(1);
    expect(await portOf(pool.claim(claimBy('ann'), undefined, all))).toBe(7001);
    expect(await pool.claim(claimBy('ann'), undefined, all)).toMatchObject({ code: 'PORTS_EXHAUSTED' });
    expect(await portOf(pool.claim(claimBy('ann'), undefined, all))).toBe(7000);
  });

  it('does not hand a port just freed to the next one who asks', async () => {
    const pool = new PortPool([{ first: 7000, last: 7009 }], new LocalRouteRegistry());
    const first = await pool.claim(claimBy('ann'), undefined, all);
    if (first.ok) first.lease.release();
    expect(await portOf(pool.claim(claimBy('bob'), undefined, all))).not.toBe(await portOf(Promise.resolve(first)));
  });

  it('says so where the relay offers no ports', async () => {
    const pool = new PortPool([], new LocalRouteRegistry());
    expect(await pool.claim(claimBy('ann'), undefined, all)).toMatchObject({ ok: false, code: 'TCP_DISABLED' });
    expect(await pool.claim(claimBy('ann'), 7000, all)).toMatchObject({ ok: false, code: 'TCP_DISABLED' });
  });
});
