import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeAcme, problem } from '../../../test/harness/fake-acme.ts';
import { createKeyPair } from './x509.ts';
import { AcmeApi } from './api.ts';
import { AcmeHttp } from './http.ts';
import {
  type ChallengeSolver,
  type ChallengeTask,
  type ChallengeType,
  identifiersOf,
  obtainCertificate,
  type OrderOptions,
} from './order.ts';
import { createTransport } from './transport.ts';

let fake: FakeAcme;
let slept: number[];
let presented: Map<string, ChallengeTask>;
let withdrawn: number;
const patient = createTransport();
const hasty = createTransport({ timeoutMs: 200 });
let transport = patient;

beforeEach(async () => {
  fake = await new FakeAcme({ profiles: { classic: 'as ever', shortlived: 'six days' } }).start();
  slept = [];
  presented = new Map();
  withdrawn = 0;
  transport = patient;
});
afterEach(async () => await fake.close());

function solver(type: ChallengeType): ChallengeSolver {
  return {
    type,
    solves: (_identifier, wildcard) => !wildcard || type === 'dns-01',
    present: async (task) => void presented.set(`${task.identifier.value} ${type} ${task.wildcard}`, task),
    withdraw: async () => void withdrawn++,
  };
}

async function account(): Promise<AcmeApi> {
  const sleep = async (ms: number): Promise<void> => void slept.push(ms);
  const api = new AcmeApi(
    new AcmeHttp({ directoryUrl: fake.directoryUrl, transport, sleep }),
    createKeyPair().privateKey,
  );
  await api.register({ termsOfServiceAgreed: true });
  return api;
}

const solvers = [solver('http-01'), solver('dns-01')];
const obtain = async (options: Partial<OrderOptions> = {}) =>
  await obtainCertificate(await account(), { names: ['a.example'], solvers, ...options });

describe('obtainCertificate', () => {
  it('orders names, a wildcard and an address, each with a challenge that can prove it', async () => {
    const issued = await obtain({ names: ['A.example.', '*.a.example', '192.0.2.1', 'a.example'] });
    expect(issued.names).toEqual(['a.example', '*.a.example', '192.0.2.1']);
    expect([...presented.keys()]).toEqual([
      'a.example http-01 false',
      'a.example dns-01 true',
      '192.0.2.1 http-01 false',
    ]);
    expect(withdrawn).toBe(3);
    expect([...presented.values()][0]?.keyAuthorization).toMatch(/^token-0-http-01\.[A-Za-z0-9_-]{43}$/);
  });

  it('asks for a profile the authority has, and says which there are otherwise', async () => {
    await obtain({ profile: 'shortlived' });
    expect(fake.orders[0]?.profile).toBe('shortlived');
    await expect(obtain({ profile: 'tlsserver' })).rejects.toMatchObject({
      code: 'ACME_REFUSED',
      detail: expect.stringContaining('classic, shortlived'),
    });
  });

  it('says what it replaces, and orders plainly when the authority will not hear of it', async () => {
    fake.inject('newOrder', problem('alreadyReplaced', 'done before', 409));
    await obtain({ replaces: 'a.b' });
    expect(fake.orders.map(({ replaces }) => replaces)).toEqual([undefined]);
    await obtain({ replaces: 'a.b' });
    expect(fake.orders[1]?.replaces).toBe('a.b');
  });

  it('takes a new nonce for each that is refused', async () => {
    fake.inject('newOrder', problem('badNonce'), problem('badNonce'), problem('badNonce'));
    fake.inject('finalize', problem('badNonce'));
    await obtain();
    expect(slept.every((ms) => ms <= 250)).toBe(true);
  });

  it('does not go on for ever when every nonce is refused', async () => {
    fake.inject('newOrder', ...Array.from({ length: 100 }, () => problem('badNonce')));
    await expect(obtain()).rejects.toMatchObject({ code: 'ACME_REFUSED', problem: 'badNonce' });
  });

  it('goes on after torn sockets, silence, 5xx and Retry-After, with growing pauses', async () => {
    transport = hasty;
    fake.inject('newOrder', 'reset', { status: 500 }, 'hang');
    fake.inject('authorization', { status: 503, headers: { 'retry-after': '7' } });
    fake.inject('directory', 'reset');
    await obtain();
    expect(slept).toEqual(expect.arrayContaining([200, 1000, 4000, 7000]));
  });

  it('gives up on an authority that stays away, naming it', async () => {
    fake.inject('newOrder', 'reset', 'reset', 'reset', 'reset');
    await expect(obtain()).rejects.toMatchObject({
      code: 'ACME_UNREACHABLE',
      detail: expect.stringContaining('127.0.0.1'),
    });
    fake.inject('newOrder', { status: 503, headers: { 'retry-after': '3600' } });
    await expect(obtain()).rejects.toMatchObject({ code: 'ACME_UNREACHABLE', retryAfterMs: 3_600_000 });
  });

  it('tells of a rate limit at once, with its time and words, and does not ask again', async () => {
    fake.inject('newOrder', {
      status: 429,
      headers: { 'retry-after': '86400' },
      body: { type: 'urn:ietf:params:acme:error:rateLimited', detail: 'too many certificates (50) already issued' },
    });
    await expect(obtain()).rejects.toMatchObject({
      code: 'ACME_RATE_LIMITED',
      problem: 'rateLimited',
      retryAfterMs: 86_400_000,
      detail: expect.stringContaining('too many certificates (50)'),
    });
    expect(fake.counts.get('newOrder')).toBe(1);
    const date = new Date(Date.now() + 7_200_000).toUTCString();
    fake.inject('newOrder', { status: 429, headers: { 'retry-after': date } });
    const error = await obtain().catch((reason: { retryAfterMs: number }) => reason);
    expect((error as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(7_100_000);
  });

  it('names what was refused, with all subproblems, on one line and without control characters', async () => {
    fake.inject('newOrder', {
      status: 400,
      body: {
        type: 'urn:ietf:params:acme:error:rejectedIdentifier',
        detail: 'some names\r\n\u001b[31mare bad',
        subproblems: [
          {
            type: 'urn:ietf:params:acme:error:caa',
            detail: 'CAA forbids it',
            identifier: { type: 'dns', value: 'a.example' },
          },
        ],
      },
    });
    await expect(obtain()).rejects.toMatchObject({
      detail: '400 rejectedIdentifier: some names [31mare bad; a.example: caa: CAA forbids it',
    });
  });

  it('tries the next type with a new order when one fails, and ends what it began', async () => {
    fake.failing.set('http-01', { type: 'urn:ietf:params:acme:error:connection', detail: 'timeout' });
    expect((await obtain()).names).toEqual(['a.example']);
    expect(fake.orders).toHaveLength(2);
    fake.failing.set('dns-01', { type: 'urn:ietf:params:acme:error:dns', detail: 'no record' });
    await expect(obtain()).rejects.toMatchObject({
      code: 'ACME_CHALLENGE_FAILED',
      detail: 'a.example: dns-01: dns: no record',
    });
    await expect(obtain({ solvers: [solver('http-01')] })).rejects.toMatchObject({
      detail: 'a.example: http-01: connection: timeout',
    });
  });

  it('ends the authorisations of an order that it gives up', async () => {
    const broken = { ...solver('dns-01'), present: () => Promise.reject(new Error('no store')) };
    await expect(obtain({ names: ['a.example', '*.b.example'], solvers: [solver('http-01'), broken] })).rejects.toThrow(
      'no store',
    );
    expect([...(fake.orders[0]?.authorizations.values() ?? [])].map(({ status }) => status)).toEqual([
      'deactivated',
      'deactivated',
    ]);
  });

  it.each([
    ['no JSON', { status: 200, raw: '{"status":' }],
    ['no order', { status: 201, body: { hello: 1 } }],
    [
      'a status that is none',
      {
        status: 201,
        headers: { location: 'http://127.0.0.1/o' },
        body: { status: 'odd', authorizations: [], finalize: 'http://127.0.0.1/f' },
      },
    ],
    [
      'an address that is not https',
      {
        status: 201,
        headers: { location: 'http://127.0.0.1/o' },
        body: { status: 'pending', authorizations: ['http://internal.example/'], finalize: 'http://127.0.0.1/f' },
      },
    ],
    [
      'no place for the order',
      { status: 201, body: { status: 'pending', authorizations: [], finalize: 'http://127.0.0.1/f' } },
    ],
    ['2 MiB', { status: 200, raw: JSON.stringify('x'.repeat(2 * 1024 * 1024)) }],
  ])('does not believe an answer with %s', async (_what, fault) => {
    fake.inject('newOrder', fault);
    await expect(obtain()).rejects.toMatchObject({ code: 'ACME_BAD_ANSWER' });
  });

  it.each([
    ['for other names', { names: ['b.example'] }],
    ['for another key', { publicKey: createKeyPair().publicKey }],
    ['that is none', { chainPem: 'hello' }],
  ])('does not take a certificate %s', async (_what, lie) => {
    fake.lie = lie;
    await expect(obtain()).rejects.toMatchObject({ code: 'ACME_BAD_ANSWER' });
  });

  it('proves no name that it did not order', async () => {
    fake.lie = { identifier: 'bank.example' };
    await expect(obtain()).rejects.toMatchObject({
      code: 'ACME_BAD_ANSWER',
      detail: expect.stringContaining('bank.example'),
    });
    expect(presented.size).toBe(0);
  });

  it('withdraws the answer when it cannot be presented, times out or is cancelled', async () => {
    const broken = { ...solver('http-01'), present: () => Promise.reject(new Error('no store')) };
    await expect(obtain({ solvers: [broken] })).rejects.toThrow('no store');
    expect(withdrawn).toBe(1);
    fake.inject('challenge', 'hang', 'hang', 'hang', 'hang');
    await expect(obtain({ timeoutMs: 300 })).rejects.toMatchObject({ code: 'CERTIFICATE_TIMEOUT' });
    expect(withdrawn).toBe(2);
    await expect(obtain({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('identifiersOf', () => {
  it('normalises, and refuses what no certificate can be for', () => {
    expect(identifiersOf(['A.b.', '2001:DB8::0:1', '*.c'])).toEqual([
      { type: 'dns', value: 'a.b' },
      { type: 'ip', value: '2001:db8::1' },
      { type: 'dns', value: '*.c' },
    ]);
    for (const names of [[], ['a b'], ['*.*.c'], ['*'], [''], Array.from({ length: 101 }, (_, i) => `n${i}.example`)]) {
      expect(() => identifiersOf(names)).toThrow(expect.objectContaining({ code: 'CERTIFICATE_INVALID' }));
    }
  });
});

describe('renewal information', () => {
  it('is asked by the name of the certificate, and absent where the authority has none', async () => {
    const issued = await obtain();
    const { factsOf } = await import('./certificate-check.ts');
    const { leaf } = factsOf(issued.chainPem);
    expect(await (await account()).renewalInfo(leaf)).toBeUndefined();
    fake.renewal = { start: '2030-01-01T00:00:00Z', end: '2030-01-02T00:00:00Z', retryAfterSeconds: 21_600 };
    expect(await (await account()).renewalInfo(leaf)).toEqual({
      windowStartMs: Date.UTC(2030, 0, 1),
      windowEndMs: Date.UTC(2030, 0, 2),
      retryAfterMs: 21_600_000,
    });
    fake.renewal = { start: '2030-01-02T00:00:00Z', end: '2030-01-01T00:00:00Z', retryAfterSeconds: 1 };
    await expect((await account()).renewalInfo(leaf)).rejects.toMatchObject({ code: 'ACME_BAD_ANSWER' });
  });
});
