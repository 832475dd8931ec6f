import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeStore } from '../../../../test/contracts/store.contract-fake.ts';
import { FakeAcme, problem } from '../../../../test/harness/fake-acme.ts';
import { AcmeAccount } from './acme-account.ts';
import { createTransport } from '@porthole/acme';
import { CertificateBudget } from './certificate-budget.ts';
import { CertificateIndex } from './certificate-index.ts';
import { CertificateKeeper, type CertificateKeeperOptions } from './certificate-keeper.ts';
import type { CertificateEvent } from './certificate-order.ts';
import { CertificateStore } from './certificate-store.ts';
import { Challenges } from './challenges.ts';

const day = 86_400_000;
const hour = 3_600_000;
const start = Date.UTC(2030, 0, 1);

let now: number;
let fake: FakeAcme;
let store: FakeStore;
let events: CertificateEvent[];
const keepers: CertificateKeeper[] = [];
const patient = createTransport();
const hasty = createTransport({ timeoutMs: 500 });
let transport = patient;

beforeEach(async () => {
  now = start;
  events = [];
  transport = patient;
  store = new FakeStore();
  fake = await new FakeAcme({ now: () => now, profiles: { shortlived: '' } }).start();
});
afterEach(async () => {
  for (const keeper of keepers.splice(0)) await keeper.close();
  await fake.close();
});

/** One process of a relay. */
function process(options: Partial<CertificateKeeperOptions> = {}) {
  const index = new CertificateIndex();
  const clock = (): number => now;
  const challenges = new Challenges({ store, now: clock });
  const keeper = new CertificateKeeper({
    store,
    index,
    certificates: new CertificateStore(store),
    account: new AcmeAccount({
      store,
      directoryUrl: fake.directoryUrl,
      request: { termsOfServiceAgreed: true },
      transport,
      now: clock,
      sleep: async () => undefined,
    }),
    solvers: [challenges.httpSolver(), challenges.dnsSolver((name) => `${name}.zone.example`)],
    budget: new CertificateBudget({ store, now: clock }),
    permit: async (name) => (name.endsWith('.customer.example') ? 'customer' : undefined),
    holder: `process ${keepers.length}`,
    now: clock,
    onEvent: (event) => events.push(event),
    ...options,
  });
  keepers.push(keeper);
  return { keeper, index };
}

const types = (): string[] => events.map(({ type }) => type);

describe('a certificate that the configuration wants', () => {
  it('is ordered once, served by name and wildcard, and kept in the store', async () => {
    const { keeper, index } = process();
    keeper.want({ names: ['Tun.Example', '*.tun.example'] });
    await keeper.follow();
    await keeper.check();
    await keeper.check();
    expect(fake.orders).toHaveLength(1);
    expect(events).toMatchObject([{ type: 'issued', id: 'tun.example', isRenewal: false }]);
    expect(index.choose('tun.example')).toBe(index.choose('brave-otter.tun.example'));
    expect(index.choose('a.b.tun.example')).toBeUndefined();
    const other = process();
    await other.keeper.follow();
    expect(other.index.find('x.tun.example')?.names).toEqual(['tun.example', '*.tun.example']);
  });

  it('is renewed at a third of life left, replacing the old one, and served without a gap', async () => {
    const { keeper, index } = process();
    keeper.want({ names: ['tun.example'] });
    await keeper.follow();
    await keeper.check();
    const before = index.choose('tun.example');
    now = start + 55 * day;
    await keeper.check();
    expect(fake.orders).toHaveLength(1);
    now = start + 60 * day;
    await keeper.check();
    expect(fake.orders).toHaveLength(2);
    expect(events.at(-1)).toMatchObject({ type: 'issued', isRenewal: true, notAfterMs: now + 90 * day });
    expect(index.choose('tun.example')).not.toBe(before);
    expect(index.size).toBe(1);
  });

  it('is ordered again when it shall have other names', async () => {
    const { keeper } = process();
    keeper.want({ names: ['tun.example'] });
    await keeper.check();
    keeper.want({ names: ['tun.example', '*.tun.example'] });
    await keeper.check();
    expect(fake.orders.map(({ identifiers }) => identifiers.length)).toEqual([1, 2]);
  });

  it('is renewed when the authority suggests it, saying what is replaced', async () => {
    fake.renewal = {
      start: new Date(start + 80 * day).toISOString(),
      end: new Date(start + 81 * day).toISOString(),
      retryAfterSeconds: 3600,
    };
    const { keeper } = process();
    keeper.want({ names: ['tun.example'], profile: 'shortlived' });
    await keeper.check();
    await keeper.check();
    now += 2 * hour;
    fake.renewal = {
      start: new Date(start).toISOString(),
      end: new Date(start + hour).toISOString(),
      retryAfterSeconds: 3600,
    };
    await keeper.check();
    await keeper.check();
    expect(fake.orders.map(({ replaces }) => typeof replaces)).toEqual(['undefined', 'string']);
    expect(fake.orders[1]).toMatchObject({
      profile: 'shortlived',
      replaces: expect.stringMatching(/^[\w-]+\.[\w-]+$/),
    });
    expect(fake.counts.get('renewalInfo')).toBeLessThanOrEqual(4);
  });

  it('stays served while renewals fail; each rests longer, and the operator is warned daily from 14 days on', async () => {
    const { keeper, index } = process();
    keeper.want({ names: ['tun.example'] });
    await keeper.follow();
    await keeper.check();
    fake.failing.set('http-01', { type: 'urn:ietf:params:acme:error:connection', detail: 'refused' });
    fake.failing.set('dns-01', {});
    const tries: number[] = [];
    for (now = start + 60 * day; now < start + 92 * day; now += 2 * hour) {
      const before = events.length;
      await keeper.check();
      if (events.slice(before).some(({ type }) => type === 'failed')) tries.push(now);
    }
    expect(tries.length).toBeGreaterThan(25);
    expect(tries.length).toBeLessThan(50);
    const warnings = events.filter((event) => event.type === 'expiring');
    expect(warnings.length).toBeGreaterThanOrEqual(15);
    expect(warnings.length).toBeLessThanOrEqual(17);
    expect(warnings[0]).toMatchObject({
      id: 'tun.example',
      notAfterMs: start + 90 * day,
      lastError: expect.stringContaining('tun.example'),
    });
    expect(index.choose('tun.example')).toBeDefined();
    fake.failing.clear();
    now += day * 2;
    await keeper.check();
    expect(events.at(-1)).toMatchObject({ type: 'issued' });
    expect(await keeper.status()).toMatchObject([{ id: 'tun.example', failures: 0, lastError: undefined }]);
  });

  it('waits as long as the authority says after a rate limit', async () => {
    fake.inject('newOrder', {
      status: 429,
      headers: { 'retry-after': String(3 * 86_400) },
      body: { type: 'urn:ietf:params:acme:error:rateLimited', detail: 'too many' },
    });
    const { keeper } = process();
    keeper.want({ names: ['tun.example'] });
    await keeper.check();
    expect(events).toMatchObject([
      {
        type: 'failed',
        error: { code: 'ACME_RATE_LIMITED', detail: expect.stringContaining('too many') },
        nextTryAtMs: start + 3 * day,
      },
    ]);
    now = start + 3 * day - 1;
    await keeper.check();
    expect(fake.counts.get('newOrder')).toBe(1);
    now += 1;
    await keeper.check();
    expect(types()).toEqual(['failed', 'issued']);
  });

  it('is ordered by one of several processes, and served by all', async () => {
    const processes = [process(), process(), process()];
    for (const { keeper } of processes) {
      keeper.want({ names: ['tun.example'] });
      await keeper.follow();
    }
    await Promise.all(processes.map(async ({ keeper }) => await keeper.check()));
    expect(fake.orders).toHaveLength(1);
    expect(fake.counts.get('newAccount')).toBeLessThanOrEqual(3);
    const chains = processes.map(({ index }) => index.find('tun.example')?.chainPem);
    expect(new Set(chains).size).toBe(1);
    expect(chains[0]).toBeDefined();
    expect((await store.list('tls/lease/')).length).toBe(0);
  });

  it('is not stored by a process that was too slow: the newer one stands', async () => {
    const { keeper } = process();
    keeper.want({ names: ['tun.example'] });
    const certificates = new CertificateStore(store);
    const newer = {
      id: 'tun.example',
      names: ['tun.example'],
      keyPem: 'k',
      chainPem: 'c',
      notBeforeMs: start,
      notAfterMs: start + day,
    };
    const put = vi.spyOn(CertificateStore.prototype, 'put').mockImplementationOnce(async function (
      this: CertificateStore,
      certificate,
      expected,
    ) {
      await certificates.put(newer, 0);
      return await CertificateStore.prototype.put.call(this, certificate, expected);
    });
    await keeper.check();
    put.mockRestore();
    expect((await certificates.get('tun.example')).value).toEqual(newer);
    expect(events).toEqual([]);
  });

  it('gets a new account when the authority has forgotten the old one', async () => {
    const { keeper } = process();
    keeper.want({ names: ['a.example'] });
    await keeper.check();
    fake.inject('newOrder', problem('accountDoesNotExist'));
    keeper.want({ names: ['b.example'] });
    await keeper.check();
    now += 5 * 60_000;
    await keeper.check();
    expect(types()).toEqual(['issued', 'failed', 'issued']);
    expect(fake.counts.get('newAccount')).toBe(2);
  });

  it('is refused at once when it can be for nobody', () => {
    expect(() => process().keeper.want({ names: ['not a name'] })).toThrow(
      expect.objectContaining({ code: 'CERTIFICATE_INVALID' }),
    );
  });
});

describe('a certificate on demand', () => {
  async function ready(options: Partial<CertificateKeeperOptions> = {}) {
    const both = process(options);
    await both.keeper.follow();
    return both;
  }

  it('is ordered for a proven name, once however many visitors ask', async () => {
    const { keeper, index } = await ready();
    const asked = await Promise.all(
      Array.from({ length: 20 }, async () => await keeper.request('App.customer.example')),
    );
    expect(asked).toEqual(Array.from({ length: 20 }, () => true));
    expect(fake.orders).toHaveLength(1);
    expect(index.choose('app.customer.example')).toBeDefined();
  });

  it('is not ordered for any other name, and the proof is not looked up for each visitor', async () => {
    const permit = vi.fn(async () => undefined);
    const { keeper } = await ready({ permit });
    for (let i = 0; i < 50; i++) expect(await keeper.request('evil.example')).toBe(false);
    expect(await keeper.request('no name')).toBe(false);
    expect(permit).toHaveBeenCalledTimes(1);
    expect(fake.orders).toHaveLength(0);
    now += 61_000;
    await keeper.request('evil.example');
    expect(permit).toHaveBeenCalledTimes(2);
  });

  it('rests after a failure, in every process', async () => {
    fake.failing.set('http-01', {});
    fake.failing.set('dns-01', {});
    const [one, two] = [await ready(), await ready()];
    expect(await one.keeper.request('app.customer.example')).toBe(false);
    const orders = fake.orders.length;
    now += 30 * 60_000;
    expect(await one.keeper.request('app.customer.example')).toBe(false);
    expect(await two.keeper.request('app.customer.example')).toBe(false);
    expect(fake.orders).toHaveLength(orders);
    fake.failing.clear();
    now += hour;
    expect(await two.keeper.request('app.customer.example')).toBe(true);
  });

  it('keeps to the budget of an owner, and of the relay', async () => {
    const { keeper } = await ready();
    const outcomes: boolean[] = [];
    for (let i = 0; i < 8; i++) outcomes.push(await keeper.request(`app${i}.customer.example`));
    expect(outcomes).toEqual([true, true, true, true, true, false, false, false]);
    expect(fake.orders).toHaveLength(5);
    now += day;
    expect(await keeper.request('app7.customer.example')).toBe(true);
    const narrow = await ready({
      budget: new CertificateBudget({ store, perHour: 2, now: () => now }),
      permit: async (name) => name,
    });
    expect([await narrow.keeper.request('x.example'), await narrow.keeper.request('y.example')]).toEqual([true, false]);
    expect(events.filter(({ type }) => type === 'failed')).toEqual([]);
  });

  it('lets few handshakes wait, and not for long; the order goes on behind', async () => {
    transport = hasty;
    fake.inject('newOrder', 'hang');
    const { keeper, index } = await ready({ maxHolds: 3, holdMs: 100, permit: async () => 'customer' });
    const asked = Array.from({ length: 5 }, async (_, i) => await keeper.request(`app${i % 2}.customer.example`));
    expect(await Promise.all(asked.slice(3))).toEqual([false, false]);
    await Promise.all(asked);
    await keeper.check();
    await vi.waitFor(() => expect(index.size).toBe(2), 10_000);
  });

  it('is renewed while its owner may have it, and gone after its end when not', async () => {
    let owner: string | undefined = 'customer';
    const { keeper, index } = await ready({ permit: async () => owner });
    await keeper.request('app.customer.example');
    await keeper.check();
    now = start + 61 * day;
    await keeper.check();
    expect(fake.orders).toHaveLength(2);
    owner = undefined;
    now = start + 130 * day;
    await keeper.check();
    expect(fake.orders).toHaveLength(2);
    expect(index.size).toBe(1);
    now = start + 152 * day;
    await keeper.check();
    expect(index.size).toBe(0);
    expect(await store.list('tls/certificate/')).toEqual([]);
  });
});

describe('CertificateKeeper', () => {
  it('stops in the middle of an order and leaves no lease, no challenge and no failure behind', async () => {
    fake.inject('challenge', 'hang');
    const { keeper } = process();
    keeper.want({ names: ['tun.example'] });
    const checking = keeper.check();
    await vi.waitFor(() => expect(fake.counts.get('challenge')).toBe(1));
    await keeper.close();
    await checking;
    expect(await keeper.request('app.customer.example')).toBe(false);
    expect((await store.list('tls/')).map(({ key }) => key.split('/')[1])).toEqual(['account']);
    expect(events).toEqual([]);
  });

  it('goes on when the store refuses, at the next check', async () => {
    const { keeper } = process();
    keeper.want({ names: ['tun.example'] });
    store.full = true;
    await keeper.check();
    expect(await keeper.request('app.customer.example')).toBe(false);
    store.full = false;
    await keeper.check();
    expect(types()).toEqual(['issued']);
  });

  it('takes over from a killed process when its lease is over', async () => {
    await store.put('tls/lease/tun.example', { holder: 'killed', untilMs: now + 120_000 });
    const { keeper } = process();
    keeper.want({ names: ['tun.example'] });
    await keeper.check();
    expect(fake.orders).toHaveLength(0);
    now += 120_000;
    await keeper.check();
    expect(types()).toEqual(['issued']);
  });
});
