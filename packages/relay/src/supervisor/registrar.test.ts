import type { ErrorCode } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { fakeTarget } from '../../../../test/contracts/registry.contract.ts';
import { FakeClock } from '../../../../test/contracts/registry.contract-clock.ts';
import type { ToWorker } from './channel-messages.ts';
import { Registrar } from './registrar.ts';
import type { ClaimReply, RegistrarLink } from '../routing/registrar-link.ts';
import type { Claim, Lease } from '../routing/registry.ts';
import { SharedRouteRegistry } from '../routing/shared-registry.ts';

const SHOP = 'shop.example.com';

/** Workers and their registrar in one process; messages arrive in order, and later. */
class Stage {
  readonly freedPorts: number[] = [];
  readonly lost: string[] = [];
  readonly clock = new FakeClock();
  readonly registrar = new Registrar({
    limits: { graceMs: 60_000 },
    onPortFreed: (port) => this.freedPorts.push(port),
  });
  readonly doubts = new Map<string, () => void>();

  worker(node: string): SharedRouteRegistry {
    const pending = new Map<number, { done: (reply: ClaimReply) => void; onGranted: (lease: number) => void }>();
    let ref = 0;
    const link: RegistrarLink = {
      claim: (request, onGranted) =>
        new Promise((done) => {
          ref += 1;
          pending.set(ref, { done, onGranted });
          this.registrar.claim(node, ref, request);
        }),
      change: (lease, change) => this.registrar.change(lease, change),
    };
    const registry = new SharedRouteRegistry({
      node,
      link,
      peerTarget: (holder, onDoubt) => {
        this.doubts.set(`${holder.node} ${holder.lease}`, onDoubt);
        return fakeTarget(`by ${holder.node}`);
      },
      onPortFreed: () => {},
      schedule: this.clock.schedule,
    });
    const receive = (message: ToWorker): void => {
      if (message.type === 'claimed') {
        const asked = pending.get(message.ref);
        if (message.reply.ok) asked?.onGranted(message.reply.lease);
        asked?.done(message.reply);
      } else if (message.type === 'lost') registry.lost(message.lease, message.code, message.detail);
      else if (message.type === 'routes') for (const update of message.updates) registry.apply(update);
    };
    for (const update of this.registrar.enter(node, receive)) registry.apply(update);
    return registry;
  }

  claimOf(identity: string, label: string, more: Partial<Claim> = {}): Claim {
    const onLost = (code: ErrorCode): void => void this.lost.push(`${label} ${code}`);
    return { address: { host: SHOP }, identity, target: fakeTarget(label), pool: false, onLost, ...more };
  }

  async claim(
    registry: SharedRouteRegistry,
    identity: string,
    label: string,
    more: Partial<Claim> = {},
  ): Promise<Lease> {
    const outcome = await registry.claim(this.claimOf(identity, label, more));
    if (!outcome.ok) throw new Error(`${label}: ${outcome.code}`);
    await tick();
    return outcome.lease;
  }
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function answerer(registry: SharedRouteRegistry, host = SHOP): string {
  const found = registry.resolveHost(host);
  return found.state === 'ready' ? found.target.label : found.state;
}

describe('the route registries of several workers', () => {
  it('lead to the holder from everywhere, and know what stood before they began', async () => {
    const stage = new Stage();
    const one = stage.worker('g1.1');
    const two = stage.worker('g1.2');
    await stage.claim(one, 'ann', 'a');
    expect([answerer(one), answerer(two)]).toEqual(['a', 'by g1.1']);
    expect(answerer(stage.worker('g2.3'))).toBe('by g1.1');
  });

  it('are known to the other workers before the holder hears of its lease, and to its own after that', () => {
    const said: string[] = [];
    const registrar = new Registrar({ onPortFreed: () => {} });
    registrar.enter('one', (message) => said.push(`one ${message.type}`));
    registrar.enter('two', (message) => said.push(`two ${message.type}`));
    registrar.claim('one', 1, {
      address: { host: SHOP },
      identity: 'ann',
      label: 'a',
      pool: false,
      vacant: false,
      raw: false,
    });
    expect(said).toEqual(['two routes', 'one claimed', 'one routes']);
  });

  it('give a name to one identity, and to its newest session wherever that is', async () => {
    const stage = new Stage();
    const one = stage.worker('g1.1');
    const two = stage.worker('g2.2');
    const first = await stage.claim(one, 'ann', 'old');
    expect(await two.claim(stage.claimOf('bob', 'b'))).toMatchObject({ ok: false, code: 'NAME_TAKEN' });
    await stage.claim(two, 'ann', 'new');
    expect(stage.lost).toEqual(['old SESSION_REPLACED']);
    expect([answerer(one), answerer(two)]).toEqual(['by g2.2', 'new']);
    first.release();
    first.suspend();
    await tick();
    expect(answerer(one)).toBe('by g2.2');
    expect(one.ownTarget(first.epoch)).toBeUndefined();
  });

  it('still serve a lost lease to those who had not heard of it, for a while', async () => {
    const stage = new Stage();
    const one = stage.worker('g1.1');
    const first = await stage.claim(one, 'ann', 'old');
    await stage.claim(stage.worker('g2.2'), 'ann', 'new');
    expect(one.ownTarget(first.epoch)?.label).toBe('old');
    stage.clock.pass(30_000);
    expect(one.ownTarget(first.epoch)).toBeUndefined();
  });

  it('refuse a name that was made up when anybody holds it, the identity itself included', async () => {
    const stage = new Stage();
    await stage.claim(stage.worker('g1.1'), 'ann', 'a');
    expect(await stage.worker('g1.2').claim(stage.claimOf('ann', 'b', { vacant: true }))).toMatchObject({
      ok: false,
      code: 'NAME_TAKEN',
    });
  });

  it('let visitors of every worker wait for a holder that is away', async () => {
    const stage = new Stage();
    const one = stage.worker('g1.1');
    const two = stage.worker('g1.2');
    const lease = await stage.claim(one, 'ann', 'a');
    lease.suspend();
    await tick();
    expect([answerer(one), answerer(two)]).toEqual(['away', 'away']);
    const waiting = two.wait({ host: SHOP }, 10_000);
    lease.restore();
    expect(await waiting?.done).toMatchObject({ state: 'ready' });
  });

  it('keep the names of a worker that ended for their identities', async () => {
    const stage = new Stage();
    const one = stage.worker('g1.1');
    const two = stage.worker('g1.2');
    await stage.claim(one, 'ann', 'a');
    stage.registrar.leave('g1.1');
    expect(answerer(two)).toBe('away');
    expect(await two.claim(stage.claimOf('bob', 'b'))).toMatchObject({ ok: false, code: 'NAME_TAKEN' });
    const waiting = two.wait({ host: SHOP }, 10_000);
    await stage.claim(two, 'ann', 'again');
    expect(await waiting?.done).toMatchObject({ state: 'ready' });
    expect(answerer(two)).toBe('again');
  });

  it('go first to those who stay when an address is shared', async () => {
    const stage = new Stage();
    const one = stage.worker('g1.1');
    const two = stage.worker('g2.2');
    const old = await stage.claim(one, 'ann', 'old', { pool: true });
    old.retire();
    await tick();
    expect(answerer(two)).toBe('by g1.1');
    await stage.claim(two, 'ann', 'new', { pool: true });
    expect([answerer(two), answerer(two), answerer(one)]).toEqual(['new', 'new', 'by g2.2']);
  });

  it('leave a holder out whose session seems lost, until the registrar has spoken or a second has passed', async () => {
    const stage = new Stage();
    const one = stage.worker('g1.1');
    const two = stage.worker('g1.2');
    const lease = await stage.claim(one, 'ann', 'a');
    stage.doubts.get(`g1.1 ${lease.epoch}`)?.();
    expect(answerer(two)).toBe('away');
    stage.clock.pass(1_000);
    expect(answerer(two)).toBe('by g1.1');
  });

  it('count what an identity holds over all workers', async () => {
    const stage = new Stage();
    const one = stage.worker('g1.1');
    const two = stage.worker('g1.2');
    await stage.claim(one, 'ann', 'a', { maxTunnels: 1 });
    const more = { address: { host: 'more.example.com' }, maxTunnels: 1 };
    expect(await two.claim(stage.claimOf('ann', 'b', more))).toMatchObject({ ok: false, code: 'TUNNEL_LIMIT' });
    expect((await two.claim(stage.claimOf('bob', 'b', more))).ok).toBe(true);
  });

  it('go by the limits of a reload', async () => {
    const stage = new Stage();
    const one = stage.worker('g1.1');
    stage.registrar.adopt({ maxLeases: 1 });
    await stage.claim(one, 'ann', 'a');
    const more = { address: { host: 'more.example.com' } };
    expect(await one.claim(stage.claimOf('bob', 'b', more))).toMatchObject({ ok: false, code: 'RELAY_FULL' });
  });

  it('free an address for good when its holder releases it', async () => {
    const stage = new Stage();
    const one = stage.worker('g1.1');
    const two = stage.worker('g1.2');
    const lease = await stage.claim(one, 'ann', 'a', { address: { port: 7000 } });
    expect(two.resolvePort(7000).state).toBe('ready');
    lease.release();
    await tick();
    expect([one.resolvePort(7000).state, two.resolvePort(7000).state]).toEqual(['unknown', 'unknown']);
    expect(stage.freedPorts).toEqual([7000]);
  });
});
