import { beforeEach, describe, expect, it } from 'vitest';
import { FakeStore } from '../../../../test/contracts/store.contract-fake.ts';
import type { Authenticated } from './access.ts';
import { OpenAccess } from './open-access.ts';
import { ReservedNames } from './reserved-names.ts';
import { allowsName, fitName, parseNamePatterns, type Scope } from './scope.ts';
import { TokenAccess } from './token-access.ts';
import { checkUser, TokenRegistry } from './token-registry.ts';

let store: FakeStore;
let tokens: TokenRegistry;
let names: ReservedNames;
let access: TokenAccess;

beforeEach(async () => {
  store = new FakeStore();
  tokens = new TokenRegistry(store);
  names = new ReservedNames(store);
  await names.start();
  access = new TokenAccess(tokens, names);
});

async function enter(user: string, scope: Scope = {}): Promise<Authenticated> {
  const { printed } = await tokens.create(user, scope);
  const outcome = await access.authenticate(printed);
  if (!outcome.ok) throw new Error(outcome.code);
  return outcome;
}

describe('tokens', () => {
  it('let their user in, with the scope they were made with', async () => {
    const scope = { names: ['a', 'b-*'], ports: [{ first: 7000, last: 7010 }], maxTunnels: 3 };
    const { printed, record } = await tokens.create('ann', scope);
    expect(printed).toMatch(/^ph_[a-z2-7]{12}_[A-Za-z0-9_-]{43}$/);
    expect(await access.authenticate(` ${printed}\n`)).toEqual({
      ok: true,
      identity: 'ann',
      tokenId: record.id,
      scope,
    });
  });

  it('let nobody else in', async () => {
    const { printed } = await tokens.create('ann', {});
    const other = await tokens.create('bob', {});
    const flipped = printed.slice(0, -2) + (printed.at(-2) === 'A' ? 'B' : 'A') + printed.slice(-1);
    const mixed = printed.slice(0, 16) + other.printed.slice(16);
    expect(await access.authenticate(undefined)).toMatchObject({ code: 'TOKEN_MISSING' });
    expect(await access.authenticate(' ')).toMatchObject({ code: 'TOKEN_MISSING' });
    for (const wrong of [
      flipped,
      mixed,
      printed.slice(0, -1),
      `${printed}x`,
      printed.toUpperCase(),
      'ph_',
      'ph_a_b',
      '../tokens/x',
      'x'.repeat(100_000),
    ]) {
      expect(await access.authenticate(wrong)).toMatchObject({ ok: false, code: 'TOKEN_INVALID' });
    }
  });

  it('are nowhere in the store', async () => {
    const { printed } = await tokens.create('ann', {});
    const secret = printed.slice(16);
    const everything = JSON.stringify(await store.list('tokens/'));
    expect(everything).not.toContain(secret);
    expect(everything).not.toContain(Buffer.from(secret, 'base64url').toString('hex'));
  });

  it('are revoked one by one, with word to who listens, and others stay', async () => {
    const revoked: string[] = [];
    access.onRevoked((id) => revoked.push(id));
    const ann = await tokens.create('ann', {});
    const bob = await tokens.create('bob', {});
    expect(await tokens.revoke(ann.record.id)).toMatchObject({ user: 'ann', revokedAt: expect.any(String) });
    expect(revoked).toEqual([ann.record.id]);
    expect(await access.authenticate(ann.printed)).toMatchObject({ ok: false, code: 'TOKEN_REVOKED' });
    expect(await access.authenticate(bob.printed)).toMatchObject({ ok: true });
    await tokens.revoke(ann.record.id);
    expect(revoked).toHaveLength(1);
    expect(await tokens.revoke('nothere')).toBeUndefined();
    expect(await tokens.revoke('../x')).toBeUndefined();
  });

  it('do not say that they are revoked to somebody who only knows the id', async () => {
    const { printed, record } = await tokens.create('ann', {});
    await tokens.revoke(record.id);
    expect(await access.authenticate(`${printed.slice(0, 16)}${'A'.repeat(43)}`)).toMatchObject({
      code: 'TOKEN_INVALID',
    });
  });

  it('vouch for nobody when their record is damaged', async () => {
    const { printed, record } = await tokens.create('ann', {});
    const revoked: string[] = [];
    access.onRevoked((id) => revoked.push(id));
    await store.put(`tokens/${record.id}`, { user: 'ann', hash: '' });
    expect(await access.authenticate(printed)).toMatchObject({ code: 'TOKEN_INVALID' });
    await store.delete(`tokens/${record.id}`);
    expect(revoked).toEqual([record.id, record.id]);
  });

  it('are listed oldest first', async () => {
    let second = 0;
    const dated = new TokenRegistry(store, () => new Date(Date.UTC(2026, 0, 1, 0, 0, 59 - second++)));
    for (const user of ['c', 'b', 'a']) await dated.create(user, {});
    expect((await dated.list()).map((token) => token.user)).toEqual(['a', 'b', 'c']);
  });

  it('belong to users with sensible names', () => {
    for (const user of ['ann', 'ann.b@example.com', 'team-7', 'A_b+c']) expect(checkUser(user)).toBe(user);
    for (const user of ['', '-ann', 'a b', 'a/b', 'ä', 'x'.repeat(65)])
      expect(() => checkUser(user)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('names', () => {
  it('reserved for a user are for that user only, from now on, in every process', async () => {
    const ann = await enter('ann');
    const bob = await enter('bob');
    expect(access.mayUseName(bob, 'shop')).toEqual({ ok: true });
    expect(await new ReservedNames(store).reserve('shop', 'ann')).toEqual({ ok: true, user: 'ann' });
    expect(access.mayUseName(bob, 'shop')).toMatchObject({ ok: false, code: 'NAME_RESERVED' });
    expect(access.mayUseName(ann, 'shop')).toEqual({ ok: true });
    expect(await names.reserve('shop', 'bob')).toEqual({ ok: false, user: 'ann' });
    expect(await names.reserve('shop', 'ann')).toEqual({ ok: true, user: 'ann' });
    expect(await names.list()).toMatchObject([{ name: 'shop', user: 'ann' }]);
    expect(await names.release('shop')).toBe(true);
    expect(await names.release('shop')).toBe(false);
    expect(access.mayUseName(bob, 'shop')).toEqual({ ok: true });
  });

  it('that look like the operator’s are nobody’s, unless reserved for somebody', async () => {
    const ann = await enter('ann');
    for (const name of ['www', 'api', 'admin', 'mail', 'autodiscover', 'wpad', 'localhost', 'ns1']) {
      expect(access.mayUseName(ann, name)).toMatchObject({ code: 'NAME_RESERVED' });
    }
    await names.reserve('www', 'ann');
    expect(access.mayUseName(ann, 'www')).toEqual({ ok: true });
    expect(access.mayUseName(await enter('bob'), 'www')).toMatchObject({ code: 'NAME_RESERVED' });
  });

  it('outside the token’s scope are refused, reserved or not', async () => {
    const ann = await enter('ann', { names: ['shop', 'dev-*'] });
    expect(access.mayUseName(ann, 'shop')).toEqual({ ok: true });
    expect(access.mayUseName(ann, 'dev-1')).toEqual({ ok: true });
    for (const name of ['dev-', 'devx', 'xdev-1', 'shop2', 'xshop']) {
      expect(access.mayUseName(ann, name)).toMatchObject({ code: 'NAME_NOT_ALLOWED' });
    }
    await names.reserve('other', 'ann');
    expect(access.mayUseName(ann, 'other')).toMatchObject({ code: 'NAME_NOT_ALLOWED' });
  });

  it('are matched by patterns with one star', () => {
    expect(parseNamePatterns('a, B-*,*-c,*')).toEqual(['a', 'b-*', '*-c', '*']);
    for (const text of ['', 'a,,b', 'a b', 'a.b', '**', 'a*b*', 'ä', 'x'.repeat(64)])
      expect(parseNamePatterns(text)).toBeUndefined();
    const allowed = (pattern: string, name: string): boolean => allowsName({ names: [pattern] }, name);
    expect(allowed('a*a', 'a')).toBe(false);
    expect(allowed('a*a', 'aa')).toBe(false);
    expect(allowed('a*a', 'aba')).toBe(true);
    expect(allowed('*-c', 'x-c')).toBe(true);
    expect(allowed('*', 'anything')).toBe(true);
  });

  it('made up are fitted into what the token allows', () => {
    expect(fitName({}, 'brave-otter')).toBe('brave-otter');
    expect(fitName({ names: ['*-otter'] }, 'brave-otter')).toBe('brave-otter');
    expect(fitName({ names: ['shop', 'dev-*'] }, 'brave-otter')).toBe('dev-brave-otter');
    expect(fitName({ names: ['shop'] }, 'brave-otter')).toBe('shop');
    expect(fitName({ names: [`${'x'.repeat(60)}*`] }, 'brave-otter')).toBeUndefined();
  });
});

describe('ports', () => {
  it('are allowed by range', async () => {
    const ann = await enter('ann', {
      ports: [
        { first: 7000, last: 7001 },
        { first: 9000, last: 9000 },
      ],
    });
    expect([6999, 7000, 7001, 7002, 9000].map((port) => access.mayUsePort(ann, port).ok)).toEqual([
      false,
      true,
      true,
      false,
      true,
    ]);
    expect(access.mayUsePort(await enter('bob'), 1)).toEqual({ ok: true });
  });
});

describe('OpenAccess', () => {
  it('lets everybody in as the same identity, but gives nobody the operator’s names', async () => {
    const open = new OpenAccess();
    const who = await open.authenticate();
    expect(who).toMatchObject({ ok: true, identity: 'local' });
    expect(open.mayUseName(who, 'shop')).toEqual({ ok: true });
    expect(open.mayUseName(who, 'admin')).toMatchObject({ code: 'NAME_RESERVED' });
  });
});
