/**
 * Resume against those who may not: every hello is written by hand here, proofs included, so that nothing of the code
 * under test decides what a good one is. The rightful carrier must not even notice.
 */
import { createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CHALLENGE,
  HELLO,
  PING,
  PONG,
  REFUSED,
  type RawCarrier,
  WELCOME,
  dialCarrier,
} from '../../harness/raw-carrier.ts';
import { type RelayUnderTest, startRelay } from '../../harness/relay.ts';

let relay: RelayUnderTest;
let ada: string;
let bob: string;

beforeAll(async () => {
  relay = await startRelay();
  ada = await relay.addToken('ada');
  bob = await relay.addToken('bob');
});
afterAll(() => relay?.close());

interface Owner {
  readonly carrier: RawCarrier;
  readonly key: Buffer;
  readonly session: string;
  /** Bytes of tracked frames the relay has had from us. */
  sent: number;
  epoch: number;
}

/** A session of ada with one tunnel. */
async function begin(token = ada): Promise<Owner> {
  const carrier = await dialCarrier(relay.port);
  await carrier.nextOf(CHALLENGE);
  const hello = carrier.hello(token);
  await carrier.send(HELLO, JSON.stringify(hello));
  const welcome = JSON.parse((await carrier.nextOf(WELCOME)).payload.toString()) as { random: string };
  const secret = Buffer.concat([
    Buffer.from(String(hello['random']), 'base64url'),
    Buffer.from(welcome.random, 'base64url'),
  ]);
  const salt = Buffer.from(carrier.session, 'base64url');
  const key = Buffer.from(hkdfSync('sha256', secret, salt, 'porthole session 1', 32));
  return { carrier, key, session: carrier.session, sent: 0, epoch: 0 };
}

const proofOf = (
  key: Buffer,
  by: string,
  session: string,
  lane: number,
  epoch: number,
  received: number,
  nonce: string,
): string =>
  createHmac('sha256', key)
    .update(`porthole resume 1 ${by}\0${session}\0${lane}\0${epoch}\0${received}\0${nonce}\0`)
    .digest('base64url');

interface Wanted {
  readonly lane?: number;
  readonly epoch?: number;
  readonly received?: number;
  readonly key?: Buffer;
  readonly session?: string;
  readonly more?: Record<string, unknown>;
  readonly by?: string;
  readonly nonce?: string;
}

/** Dials, and sends a hello that is right except for what is `wanted`. */
async function tryResume(
  owner: Owner,
  wanted: Wanted = {},
): Promise<{ carrier: RawCarrier; answer: Record<string, unknown>; type: number; hello: string; nonce: string }> {
  const carrier = await dialCarrier(relay.port);
  const challenge = JSON.parse((await carrier.nextOf(CHALLENGE)).payload.toString()) as { nonce: string };
  const session = wanted.session ?? owner.session;
  const { lane = 0, epoch = owner.epoch + 1, received = 0, by = 'agent', nonce = challenge.nonce } = wanted;
  const proof = proofOf(wanted.key ?? owner.key, by, session, lane, epoch, received, nonce);
  const hello = JSON.stringify({
    mode: 'resume',
    version: 1,
    session,
    lane,
    epoch,
    received,
    proof,
    software: 'by hand',
    ...wanted.more,
  });
  await carrier.send(HELLO, hello);
  const { type, payload } = await carrier.next();
  return {
    carrier,
    type,
    answer: JSON.parse(payload.toString()) as Record<string, unknown>,
    hello,
    nonce: challenge.nonce,
  };
}

/** The rightful carrier answers a ping, in order: it is neither cut nor confused. */
async function expectUndisturbed(owner: Owner): Promise<void> {
  const mark = randomBytes(8);
  await owner.carrier.send(PING, mark);
  expect((await owner.carrier.nextOf(PONG)).payload).toEqual(mark);
}

describe('a hello to resume', () => {
  it('of the session’s own agent is welcomed, with the relay’s proof, and fences the old carrier', async () => {
    const owner = await begin();
    const resumed = await tryResume(owner);
    expect(resumed.type).toBe(WELCOME);
    expect(resumed.answer['proof']).toBe(
      proofOf(owner.key, 'relay', owner.session, 0, 1, Number(resumed.answer['received']), resumed.nonce),
    );
    await owner.carrier.wire.untilEnded();
    await expectUndisturbed({ ...owner, carrier: resumed.carrier });
    await resumed.carrier.close();
  });

  it.each<[string, (owner: Owner) => Wanted | Promise<Wanted>]>([
    ['with a key that was guessed', () => ({ key: randomBytes(32) })],
    ['with the proof of the other end', () => ({ by: 'relay' })],
    ['with a proof for an earlier nonce', () => ({ nonce: randomBytes(16).toString('base64url') })],
    ['with an empty proof', () => ({ more: { proof: '' } })],
    ['with a position that was changed on the way', () => ({ more: { received: 10 } })],
    ['with a lane that was changed on the way', () => ({ more: { lane: 1 } })],
    ['with an epoch that was changed on the way', () => ({ more: { epoch: 99 } })],
    ['with an epoch that the lane has had', () => ({ epoch: 0, more: { epoch: 0 } })],
    ['for a lane that leaves one out', () => ({ lane: 3 })],
    ['for a lane beyond the last', () => ({ lane: 4 })],
    ['for a session that is unknown', () => ({ session: randomBytes(16).toString('base64url') })],
    ['for a session whose id is no id', () => ({ session: 'x' })],
    ['with the key of another session, of another token', async () => ({ key: (await begin(bob)).key })],
    ['with a token instead of a proof', () => ({ more: { proof: ada, token: ada } })],
    ['with a position that is no number', () => ({ more: { received: '0' } })],
    ['with a negative position', () => ({ received: -1 })],
  ])('%s is refused and leaves the live carrier alone', async (_what, wantedOf) => {
    const owner = await begin();
    const tried = await tryResume(owner, await wantedOf(owner));
    expect(tried.type).toBe(REFUSED);
    expect(tried.answer['code']).toMatch(/^(SESSION_GONE|PROTOCOL_ERROR)$/);
    await tried.carrier.wire.untilEnded();
    await expectUndisturbed(owner);
    await owner.carrier.close();
  });

  it('that was overheard is worth nothing on another carrier, nor its epoch a second time', async () => {
    const owner = await begin();
    const good = await tryResume(owner);
    expect(good.type).toBe(WELCOME);
    const live = { ...owner, carrier: good.carrier, epoch: 1 };
    const replay = await dialCarrier(relay.port);
    await replay.nextOf(CHALLENGE);
    await replay.send(HELLO, good.hello);
    expect((await replay.next()).type).toBe(REFUSED);
    expect((await tryResume(live, { epoch: 1 })).type).toBe(REFUSED);
    await expectUndisturbed(live);
    await good.carrier.close();
  });

  it('with a good proof and a position that was never sent ends the session instead of guessing', async () => {
    const owner = await begin();
    const tried = await tryResume(owner, { received: 1_000_000 });
    expect(tried.type).toBe(REFUSED);
    expect(tried.answer['code']).toBe('SESSION_GONE');
    expect((await tryResume(owner)).answer['code']).toBe('SESSION_GONE');
  });

  it('says the same about a wrong proof and an unknown session', async () => {
    const owner = await begin();
    const wrong = await tryResume(owner, { key: randomBytes(32) });
    const unknown = await tryResume(owner, { session: randomBytes(16).toString('base64url') });
    expect(wrong.answer['code']).toBe(unknown.answer['code']);
    await expectUndisturbed(owner);
    await owner.carrier.close();
  });
});

describe('a carrier without a hello', () => {
  it('touches nobody, however many there are', async () => {
    const owner = await begin();
    const idle = await Promise.all(Array.from({ length: 50 }, () => dialCarrier(relay.port)));
    for (const carrier of idle) await carrier.nextOf(CHALLENGE);
    await expectUndisturbed(owner);
    expect((await tryResume(owner)).type).toBe(WELCOME);
    await Promise.all(idle.map((carrier) => carrier.close()));
  });
});

describe('a hello to create', () => {
  it('with the id of a session of somebody else does not take that session’s place', async () => {
    const owner = await begin();
    const thief = await dialCarrier(relay.port);
    await thief.nextOf(CHALLENGE);
    await thief.send(HELLO, JSON.stringify({ ...thief.hello(bob), session: owner.session }));
    expect((await thief.nextOf(REFUSED)).payload.toString()).toContain('PROTOCOL_ERROR');
    await expectUndisturbed(owner);
    await owner.carrier.close();
  });
});
