/** Resume against those who may not, with hellos and proofs made by hand. The rightful carrier must not even notice. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CertificateFiles, TestAuthority, writeCertificateFiles } from '../../harness/certificates.ts';
import {
  beginSession,
  expectUndisturbed,
  keyingMaterialOf,
  type Owner,
  proofOf,
  type TriedResume,
  tryResume,
  type Wanted,
} from '../../harness/hand-made-session.ts';
import {
  CHALLENGE,
  dialCarrier,
  dialSecureCarrier,
  HELLO,
  type RawCarrier,
  REFUSED,
  WELCOME,
} from '../../harness/raw-carrier.ts';
import { type RelayUnderTest, startRelay } from '../../harness/relay.ts';

const authority = new TestAuthority();
let files: CertificateFiles;
let relay: RelayUnderTest;
let ada: string;
let bob: string;

beforeAll(async () => {
  files = writeCertificateFiles(authority, ['localhost']);
  relay = await startRelay({
    config: {
      https: '127.0.0.1:0',
      // Agents may come without TLS too.
      redirect_http: false,
      tls: { certificates: [{ cert: files.chainFile, key: files.keyFile }] },
    },
  });
  ada = await relay.addToken('ada');
  bob = await relay.addToken('bob');
});
afterAll(async () => {
  await relay?.close();
  files?.remove();
});

const plain = (): Promise<RawCarrier> => dialCarrier(relay.port);
const begin = (token = ada): Promise<Owner> => beginSession(plain, token);
const resume = (owner: Owner, wanted: Wanted = {}): Promise<TriedResume> => tryResume(plain, owner, wanted);

describe('a hello to resume', () => {
  it('of the session’s own agent is welcomed, with the relay’s proof, and fences the old carrier', async () => {
    const owner = await begin();
    const resumed = await resume(owner);
    expect(resumed.type).toBe(WELCOME);
    expect(resumed.answer['proof']).toBe(
      proofOf(owner.key, {
        by: 'relay',
        session: owner.session,
        lane: 0,
        epoch: 1,
        received: Number(resumed.answer['received']),
        nonce: resumed.nonce,
      }),
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
    const tried = await resume(owner, await wantedOf(owner));
    expect(tried.type).toBe(REFUSED);
    expect(tried.answer['code']).toMatch(/^(SESSION_GONE|PROTOCOL_ERROR)$/);
    await tried.carrier.wire.untilEnded();
    await expectUndisturbed(owner);
    await owner.carrier.close();
  });

  it('that was overheard is worth nothing on another carrier, nor its epoch a second time', async () => {
    const owner = await begin();
    const good = await resume(owner);
    expect(good.type).toBe(WELCOME);
    const live = { ...owner, carrier: good.carrier, epoch: 1 };
    const replay = await dialCarrier(relay.port);
    await replay.nextOf(CHALLENGE);
    await replay.send(HELLO, good.hello);
    expect((await replay.next()).type).toBe(REFUSED);
    expect((await resume(live, { epoch: 1 })).type).toBe(REFUSED);
    await expectUndisturbed(live);
    await good.carrier.close();
  });

  it('with a good proof and a position that was never sent ends the session instead of guessing', async () => {
    const owner = await begin();
    const tried = await resume(owner, { received: 1_000_000 });
    expect(tried.type).toBe(REFUSED);
    expect(tried.answer['code']).toBe('SESSION_GONE');
    expect((await resume(owner)).answer['code']).toBe('SESSION_GONE');
  });

  it('says the same about a wrong proof and an unknown session', async () => {
    const owner = await begin();
    const wrong = await resume(owner, { key: randomBytes(32) });
    const unknown = await resume(owner, { session: randomBytes(16).toString('base64url') });
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
    expect((await resume(owner)).type).toBe(WELCOME);
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

describe('over TLS, a hello to resume', () => {
  const secure = (): Promise<RawCarrier> => dialSecureCarrier(relay.httpsPort ?? 0, authority.certificatePem);

  it('bound to its own carrier is welcomed, with a proof bound to the same', async () => {
    const owner = await beginSession(secure, ada);
    expect(owner.bound).toBe(true);
    const resumed = await tryResume(secure, owner);
    expect([resumed.type, resumed.answer['bound']]).toEqual([WELCOME, true]);
    const claim = { by: 'relay', session: owner.session, lane: 0, epoch: 1, nonce: resumed.nonce };
    const received = Number(resumed.answer['received']);
    const keyingMaterial = keyingMaterialOf(resumed.carrier);
    expect(resumed.answer['proof']).toBe(proofOf(owner.key, { ...claim, received, keyingMaterial }));
    await owner.carrier.wire.untilEnded();
    await expectUndisturbed({ ...owner, carrier: resumed.carrier });
    await resumed.carrier.close();
  });

  it.each<[string, (owner: Owner) => Wanted | Promise<Wanted>]>([
    ['with a proof that is bound to nothing', () => ({ keyingMaterial: undefined })],
    ['with a proof made on the live carrier', ({ carrier }) => ({ keyingMaterial: keyingMaterialOf(carrier) })],
    [
      'with a proof made on another TLS connection to the same relay',
      async () => {
        await using elsewhere = await secure();
        return { keyingMaterial: keyingMaterialOf(elsewhere) };
      },
    ],
    ['with a secret that was guessed', () => ({ key: randomBytes(32) })],
    ['with a proof for an earlier nonce', () => ({ nonce: randomBytes(16).toString('base64url') })],
    ['with the secret of another token’s session', async () => ({ key: (await beginSession(secure, bob)).key })],
    ['with another token instead of a proof', () => ({ more: { proof: bob, token: bob } })],
  ])('%s is refused and leaves the live carrier alone', async (_what, wantedOf) => {
    const owner = await beginSession(secure, ada);
    const tried = await tryResume(secure, owner, await wantedOf(owner));
    expect([tried.type, tried.answer['code']]).toEqual([REFUSED, 'SESSION_GONE']);
    await tried.carrier.wire.untilEnded();
    await expectUndisturbed(owner);
    await owner.carrier.close();
  });

  it('that was welcomed once is worth nothing a second time, on whatever carrier', async () => {
    const owner = await beginSession(secure, ada);
    const good = await tryResume(secure, owner);
    expect(good.type).toBe(WELCOME);
    const live = { ...owner, carrier: good.carrier, epoch: 1 };
    for (const dial of [secure, plain]) {
      const replay = await dial();
      await replay.nextOf(CHALLENGE);
      await replay.send(HELLO, good.hello);
      expect((await replay.next()).type).toBe(REFUSED);
    }
    await expectUndisturbed(live);
    await good.carrier.close();
  });

  it('is not to be had without TLS, whatever the proof is bound to', async () => {
    const owner = await beginSession(secure, ada);
    for (const wanted of [{ keyingMaterial: undefined }, { keyingMaterial: keyingMaterialOf(owner.carrier) }])
      expect((await resume(owner, wanted)).type).toBe(REFUSED);
    await expectUndisturbed(owner);
    await owner.carrier.close();
  });

  it('of a session whose TLS ended elsewhere is good over any carrier, as it was begun', async () => {
    const owner = await beginSession(secure, ada, false);
    expect(owner.bound).toBe(false);
    const resumed = await tryResume(secure, owner);
    expect([resumed.type, resumed.answer['bound']]).toEqual([WELCOME, false]);
    await resumed.carrier.close();
  });
});
