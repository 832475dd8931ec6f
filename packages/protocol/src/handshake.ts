/**
 * How a carrier begins: what the two ends say before frames of the session flow, and the proofs that let a lane of an
 * old session go on over a new carrier. Pure; `node.ts` of either end carries it out.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { type ErrorCode, ERRORS, PortholeError } from './errors.ts';
import { encodeFrame, FRAME, HEADER_BYTES, MAX_MESSAGE_BYTES, PROTOCOL_VERSION } from './frame.ts';
import { MAX_LANES } from './session.ts';

/** Label of the TLS exporter (RFC 8446 section 7.5) that ties a proof to its carrier. */
export const EXPORTER_LABEL = 'EXPORTER-porthole-resume';
export const EXPORTER_BYTES = 32;
export const SESSION_ID_BYTES = 16;
/** So many bytes in base64url and nothing else: it is a key of maps, and its beginning stands in logs. */
const SESSION_ID = /^[\w-]{22}$/;
export const RANDOM_BYTES = 32;
/** Of a list in the handshake. */
const MAX_TEXTS = 256;

/** Relay to agent, first frame on every carrier. Byte strings are base64url throughout. */
export interface Challenge {
  readonly versions: readonly number[];
  readonly nonce: string;
  /** Software and version, for people. */
  readonly software: string;
}

export interface CreateHello {
  readonly mode: 'create';
  readonly version: number;
  /** Chosen by the agent, so that saying it twice (the answer was lost) is harmless. */
  readonly session: string;
  readonly random: string;
  readonly token?: string;
  readonly software: string;
  /** `proveBinding` of the carrier's exported keying material, when the agent's end is TLS. */
  readonly binding?: string;
}

export interface ResumeHello {
  readonly mode: 'resume';
  readonly version: number;
  readonly session: string;
  readonly lane: number;
  /** Larger than any this lane had before. */
  readonly epoch: number;
  /** Tracked bytes of this lane that the agent has processed. */
  readonly received: number;
  readonly proof: string;
  readonly software: string;
  /** What the relay's WELCOME said: which of its processes has the session. */
  readonly node?: string;
}

export type Hello = CreateHello | ResumeHello;

export interface Welcome {
  readonly lane: number;
  readonly epoch: number;
  /** Tracked bytes of this lane that the relay has processed. */
  readonly received: number;
  /** The relay's part of the session's key; only in answer to `create`. */
  readonly random?: string;
  /** Proves that the relay knows the session's key; only in answer to `resume`. */
  readonly proof?: string;
  /** Whether proofs of this session are bound to TLS carriers. */
  readonly bound: boolean;
  readonly identity: string;
  /** How long the relay keeps a session without a carrier, in milliseconds. */
  readonly graceMs: number;
  /** How often the relay wants a sign of life, in milliseconds. */
  readonly heartbeatMs: number;
  /** Lanes the agent may open in all. */
  readonly maxLanes: number;
  /** What may be asked of the relay in a claim besides what every relay knows; absent: nothing. */
  readonly features?: readonly string[];
  /** Which of the relay's processes has the session; the agent repeats it to resume. Means nothing to the agent. */
  readonly node?: string;
}

export interface Refused {
  readonly code: ErrorCode;
  readonly detail: string;
}

export type HandshakeMessage =
  | { readonly type: 'challenge'; readonly value: Challenge }
  | { readonly type: 'hello'; readonly value: Hello }
  | { readonly type: 'welcome'; readonly value: Welcome }
  | { readonly type: 'refused'; readonly value: Refused };

const FRAME_OF = {
  challenge: FRAME.challenge,
  hello: FRAME.hello,
  welcome: FRAME.welcome,
  refused: FRAME.refused,
} as const;

export function encodeHandshake(message: HandshakeMessage): Buffer {
  const payload = Buffer.from(JSON.stringify(message.value), 'utf8');
  if (payload.length > MAX_MESSAGE_BYTES) throw new PortholeError('PROTOCOL_ERROR', 'handshake message too long');
  return encodeFrame(FRAME_OF[message.type], 0, payload);
}

/** Throws PROTOCOL_ERROR for anything that is not a handshake message of this shape. */
export function decodeHandshake(frameType: number, payload: Buffer): HandshakeMessage {
  let value: unknown;
  try {
    value = JSON.parse(payload.toString('utf8'));
  } catch (cause) {
    throw new PortholeError('PROTOCOL_ERROR', 'handshake is not JSON', { cause });
  }
  const record = new MemberReader(value);
  switch (frameType) {
    case FRAME.challenge:
      return {
        type: 'challenge',
        value: { versions: record.numbers('versions'), nonce: record.text('nonce'), software: record.text('software') },
      };
    case FRAME.hello:
      return { type: 'hello', value: decodeHello(record) };
    case FRAME.welcome:
      return { type: 'welcome', value: decodeWelcome(record) };
    case FRAME.refused: {
      const code = record.text('code');
      return {
        type: 'refused',
        value: { code: Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'INTERNAL', detail: record.text('detail') },
      };
    }
    default:
      throw new PortholeError('PROTOCOL_ERROR', `frame type ${frameType} in the handshake`);
  }
}

function decodeHello(record: MemberReader): Hello {
  const version = record.integer('version', 0);
  const session = record.text('session');
  if (!SESSION_ID.test(session)) throw new PortholeError('PROTOCOL_ERROR', 'session id');
  const software = record.text('software');
  if (record.text('mode') === 'create') {
    const token = record.optionalText('token');
    const binding = record.optionalText('binding');
    return {
      mode: 'create',
      version,
      session,
      random: record.text('random'),
      software,
      ...(token === undefined ? {} : { token }),
      ...(binding === undefined ? {} : { binding }),
    };
  }
  if (record.text('mode') !== 'resume') throw new PortholeError('PROTOCOL_ERROR', 'hello mode');
  const lane = record.integer('lane', 0);
  if (lane >= MAX_LANES) throw new PortholeError('PROTOCOL_ERROR', 'lane out of range');
  const node = record.optionalText('node');
  return {
    mode: 'resume',
    version,
    session,
    lane,
    epoch: record.integer('epoch', 1),
    received: record.integer('received', 0),
    proof: record.text('proof'),
    software,
    ...(node === undefined ? {} : { node }),
  };
}

function decodeWelcome(record: MemberReader): Welcome {
  const random = record.optionalText('random');
  const proof = record.optionalText('proof');
  const node = record.optionalText('node');
  const features = record.optionalTexts('features');
  return {
    lane: record.integer('lane', 0),
    epoch: record.integer('epoch', 0),
    received: record.integer('received', 0),
    bound: record.truth('bound'),
    identity: record.text('identity'),
    graceMs: record.integer('graceMs', 0),
    heartbeatMs: record.integer('heartbeatMs', 1),
    maxLanes: record.integer('maxLanes', 1),
    ...(random === undefined ? {} : { random }),
    ...(proof === undefined ? {} : { proof }),
    ...(features === undefined ? {} : { features }),
    ...(node === undefined ? {} : { node }),
  };
}

/** Version both ends speak; undefined when there is none. */
export function commonVersion(offered: readonly number[]): number | undefined {
  return offered.includes(PROTOCOL_VERSION) ? PROTOCOL_VERSION : undefined;
}

/** The key of a session, known to its two ends only: from randomness of both and, on TLS, the first carrier's secrets. */
export function deriveSessionKey(
  session: string,
  agentRandom: string,
  relayRandom: string,
  keyingMaterial: Buffer | undefined,
): Buffer {
  const secret = Buffer.concat([
    Buffer.from(agentRandom, 'base64url'),
    Buffer.from(relayRandom, 'base64url'),
    keyingMaterial ?? Buffer.alloc(0),
  ]);
  return Buffer.from(hkdfSync('sha256', secret, Buffer.from(session, 'base64url'), 'porthole session 1', 32));
}

/** Shows, without telling it, that one end of a TLS carrier has the same keying material as the other. */
export function proveBinding(keyingMaterial: Buffer, nonce: string): string {
  return createHmac('sha256', keyingMaterial).update('porthole binding 1\0').update(nonce).digest('base64url');
}

export interface ResumeClaim {
  readonly session: string;
  readonly lane: number;
  readonly epoch: number;
  readonly received: number;
  /** The relay's nonce of this carrier: what makes a recorded proof worthless. */
  readonly nonce: string;
  /** Of this carrier, when the session is bound. */
  readonly keyingMaterial: Buffer | undefined;
}

/** `by`: which end proves that it knows the key; the two never look alike. */
export function proveResume(key: Buffer, by: 'agent' | 'relay', claim: ResumeClaim): string {
  return createHmac('sha256', key)
    .update(
      `porthole resume 1 ${by}\0${claim.session}\0${claim.lane}\0${claim.epoch}\0${claim.received}\0${claim.nonce}\0`,
    )
    .update(claim.keyingMaterial ?? Buffer.alloc(0))
    .digest('base64url');
}

/** Compares two proofs in a time that says nothing about where they differ. */
export function sameProof(left: string, right: string): boolean {
  const a = Buffer.from(left, 'utf8');
  const b = Buffer.from(right, 'utf8');
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Reads members of a JSON object of unknown shape; throws PROTOCOL_ERROR naming the one that is off. */
class MemberReader {
  readonly #members: Record<string, unknown>;

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new PortholeError('PROTOCOL_ERROR', 'handshake is not an object');
    this.#members = value as Record<string, unknown>;
  }

  text(name: string): string {
    const value = this.#members[name];
    if (typeof value !== 'string' || value.length > 4_096) throw fault(name);
    return value;
  }

  optionalText(name: string): string | undefined {
    return this.#members[name] === undefined ? undefined : this.text(name);
  }

  optionalTexts(name: string): string[] | undefined {
    const value = this.#members[name];
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length > MAX_TEXTS || !value.every((entry) => typeof entry === 'string'))
      throw fault(name);
    return value;
  }

  integer(name: string, least: number): number {
    const value = this.#members[name];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) throw fault(name);
    return value;
  }

  numbers(name: string): number[] {
    const value = this.#members[name];
    if (!Array.isArray(value) || value.length > 16 || !value.every((entry) => typeof entry === 'number'))
      throw fault(name);
    return value;
  }

  truth(name: string): boolean {
    const value = this.#members[name];
    if (typeof value !== 'boolean') throw fault(name);
    return value;
  }
}

function fault(name: string): PortholeError {
  return new PortholeError('PROTOCOL_ERROR', `handshake: ${name}`);
}

/** Collects the one frame that an end of a carrier waits for in the handshake; bytes behind it are handed back. */
export class HandshakeReader {
  #bytes: Buffer = Buffer.alloc(0);

  /** Undefined: more bytes are needed. Throws PROTOCOL_ERROR when they are no handshake frame. */
  feed(chunk: Buffer): { readonly message: HandshakeMessage; readonly rest: Buffer } | undefined {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes.length < HEADER_BYTES) return undefined;
    const type = this.#bytes[0] as number;
    const length = this.#bytes.readUInt16BE(2);
    const known = type === FRAME.challenge || type === FRAME.hello || type === FRAME.welcome || type === FRAME.refused;
    if (!known || length > MAX_MESSAGE_BYTES)
      throw new PortholeError('PROTOCOL_ERROR', `frame type ${type} in the handshake`);
    const end = HEADER_BYTES + length;
    if (this.#bytes.length < end) return undefined;
    const message = decodeHandshake(type, this.#bytes.subarray(HEADER_BYTES, end));
    const rest = this.#bytes.subarray(end);
    this.#bytes = Buffer.alloc(0);
    return { message, rest };
  }
}
