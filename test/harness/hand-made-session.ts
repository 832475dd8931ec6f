/**
 * Sessions and resumes written by hand, proofs included, so that nothing of the code under test decides what a good one
 * is. Layouts as in docs/protocol.md section 4.
 */
import { createHmac, hkdfSync, randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { CHALLENGE, HELLO, PING, PONG, type RawCarrier, WELCOME } from './raw-carrier.ts';

export type Dial = () => Promise<RawCarrier>;

/** Whoever began a session, and what only he and the relay know. */
export interface Owner {
  readonly carrier: RawCarrier;
  readonly key: Buffer;
  readonly session: string;
  readonly epoch: number;
  /** What the relay said: proofs are bound to the TLS carrier they come over. */
  readonly bound: boolean;
}

const NOTHING = Buffer.alloc(0);

/** What both ends of a TLS carrier can export; undefined on a plain one. */
export function keyingMaterialOf({ wire }: RawCarrier): Buffer | undefined {
  const tls = wire.socket as Partial<TLSSocket>;
  return tls.exportKeyingMaterial?.(32, 'EXPORTER-porthole-resume', NOTHING);
}

/** Over TLS the session is bound, unless `mayBind` is false. */
export async function beginSession(dial: Dial, token: string, mayBind = true): Promise<Owner> {
  const carrier = await dial();
  const { nonce } = JSON.parse((await carrier.nextOf(CHALLENGE)).payload.toString()) as { nonce: string };
  const material = mayBind ? keyingMaterialOf(carrier) : undefined;
  const binding =
    material === undefined
      ? {}
      : { binding: createHmac('sha256', material).update(`porthole binding 1\0${nonce}`).digest('base64url') };
  const hello = carrier.hello(token, binding);
  await carrier.send(HELLO, JSON.stringify(hello));
  const welcome = JSON.parse((await carrier.nextOf(WELCOME)).payload.toString()) as { random: string; bound: boolean };
  const secret = Buffer.concat([
    Buffer.from(String(hello['random']), 'base64url'),
    Buffer.from(welcome.random, 'base64url'),
    material ?? NOTHING,
  ]);
  const salt = Buffer.from(carrier.session, 'base64url');
  const key = Buffer.from(hkdfSync('sha256', secret, salt, 'porthole session 1', 32));
  return { carrier, key, session: carrier.session, epoch: 0, bound: welcome.bound };
}

export interface ProofParts {
  readonly by: string;
  readonly session: string;
  readonly lane: number;
  readonly epoch: number;
  readonly received: number;
  readonly nonce: string;
  readonly keyingMaterial?: Buffer | undefined;
}

export function proofOf(key: Buffer, parts: ProofParts): string {
  const { by, session, lane, epoch, received, nonce, keyingMaterial } = parts;
  return createHmac('sha256', key)
    .update(`porthole resume 1 ${by}\0${session}\0${lane}\0${epoch}\0${received}\0${nonce}\0`)
    .update(keyingMaterial ?? NOTHING)
    .digest('base64url');
}

/** What is not as it should be in a resume. */
export interface Wanted {
  readonly lane?: number;
  readonly epoch?: number;
  readonly received?: number;
  readonly key?: Buffer;
  readonly session?: string;
  readonly by?: string;
  readonly nonce?: string;
  /** What the proof is bound to. Default: the carrier it is sent on. */
  readonly keyingMaterial?: Buffer | undefined;
  /** Fields of the hello after the proof was made. */
  readonly more?: Record<string, unknown>;
}

export interface TriedResume {
  readonly carrier: RawCarrier;
  readonly type: number;
  readonly answer: Record<string, unknown>;
  readonly hello: string;
  readonly nonce: string;
}

/** Dials, and sends a hello that is right except for what is `wanted`. */
export async function tryResume(dial: Dial, owner: Owner, wanted: Wanted = {}): Promise<TriedResume> {
  const carrier = await dial();
  const challenge = JSON.parse((await carrier.nextOf(CHALLENGE)).payload.toString()) as { nonce: string };
  const { lane = 0, epoch = owner.epoch + 1, received = 0, by = 'agent', nonce = challenge.nonce } = wanted;
  const session = wanted.session ?? owner.session;
  const own = owner.bound ? keyingMaterialOf(carrier) : undefined;
  const keyingMaterial = 'keyingMaterial' in wanted ? wanted.keyingMaterial : own;
  const proof = proofOf(wanted.key ?? owner.key, { by, session, lane, epoch, received, nonce, keyingMaterial });
  const claim = { mode: 'resume', version: 1, session, lane, epoch, received, proof, software: 'by hand' };
  const hello = JSON.stringify({ ...claim, ...wanted.more });
  await carrier.send(HELLO, hello);
  const { type, payload } = await carrier.next();
  const answer = JSON.parse(payload.toString()) as Record<string, unknown>;
  return { carrier, type, answer, hello, nonce: challenge.nonce };
}

/** Fails unless the rightful carrier answers a ping, in order: it is neither cut nor confused. */
export async function expectUndisturbed({ carrier }: Owner): Promise<void> {
  const mark = randomBytes(8);
  await carrier.send(PING, mark);
  const { payload } = await carrier.nextOf(PONG);
  if (!payload.equals(mark)) throw new Error(`pinged ${mark.toString('hex')}, got ${payload.toString('hex')}`);
}
