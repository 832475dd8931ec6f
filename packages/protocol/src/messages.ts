/**
 * Control messages of a session: what agent and relay say to each other outside streams. JSON in MESSAGE frames;
 * rare, so clarity wins. `docs/protocol.md` is normative. Nothing internal or trust-related travels in a message.
 */
import { type ErrorCode, ERRORS, PortholeError } from './errors.ts';

export type TunnelProtocol = 'http' | 'tcp' | 'tls';

/** Agent to relay: bind a public address to this session. Answered by `claimed` or `refused` with the same `id`. */
export interface ClaimMessage {
  readonly type: 'claim';
  /** Chosen by the agent, unique in the session, 1 to 2^31-1; streams of the tunnel carry it. */
  readonly id: number;
  readonly protocol: TunnelProtocol;
  /** Wanted name (http, tls); absent: the relay makes one up. Given exactly or refused, never replaced. */
  readonly name?: string;
  /** Wanted domain, one of the relay's; absent: its first. */
  readonly domain?: string;
  /** Wanted public port (tcp, http); absent: any free one (tcp, and http where the relay has no domain), or none (http). */
  readonly port?: number;
  /** Share the name with other agents of the identity instead of taking it over. */
  readonly pool?: boolean;
  /** PEM of the authorities whose certificates visitors must show (http); the relay refuses others in the handshake. */
  readonly clientCa?: string;
}

/**
 * What came into claims after their first form. A relay says in its WELCOME which of it it knows; one that does not would
 * pass over the member and open a tunnel that is not what was asked for.
 */
export const CLAIM_FEATURES = ['client-ca', 'http-port'] as const;
export type ClaimFeature = (typeof CLAIM_FEATURES)[number];

/** What a relay must know for this claim to mean what it says. */
export function featuresOf({ protocol, port, clientCa }: Omit<ClaimMessage, 'type' | 'id'>): readonly ClaimFeature[] {
  return CLAIM_FEATURES.filter((feature) =>
    feature === 'client-ca' ? clientCa !== undefined : protocol === 'http' && port !== undefined,
  );
}

/** Agent to relay: the tunnel is closed; its address is free at once. */
export interface ReleaseMessage {
  readonly type: 'release';
  readonly id: number;
}

/** Relay to agent. */
export interface ClaimedMessage {
  readonly type: 'claimed';
  readonly id: number;
  readonly name: string;
  readonly url: string;
  /** Public port, of a tunnel that has one. */
  readonly port?: number;
}

/** Relay to agent: a claim is refused, or a tunnel that stood is taken away (taken over, revoked, released). */
export interface RefusedMessage {
  readonly type: 'refused';
  readonly id: number;
  readonly code: ErrorCode;
  readonly detail: string;
}

export type AgentMessage = ClaimMessage | ReleaseMessage;
export type RelayMessage = ClaimedMessage | RefusedMessage;
export type Message = AgentMessage | RelayMessage;

const SHAPES: Record<Message['type'], Record<string, 'string' | 'number' | 'boolean'>> = {
  claim: { id: 'number', protocol: 'string' },
  release: { id: 'number' },
  claimed: { id: 'number', name: 'string', url: 'string' },
  refused: { id: 'number', code: 'string', detail: 'string' },
};

const OPTIONAL: Record<string, 'string' | 'number' | 'boolean'> = {
  name: 'string',
  domain: 'string',
  port: 'number',
  pool: 'boolean',
  clientCa: 'string',
};

/** Undefined for a message type of a later release, which is to be ignored. Throws PROTOCOL_ERROR for a malformed one. */
export function parseMessage(text: string): Message | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PortholeError('PROTOCOL_ERROR', 'a message is not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null)
    throw new PortholeError('PROTOCOL_ERROR', 'a message is not an object');
  const record = value as Record<string, unknown>;
  if (typeof record['type'] !== 'string') throw new PortholeError('PROTOCOL_ERROR', 'a message has no type');
  if (!Object.hasOwn(SHAPES, record['type'])) return undefined;
  const shape = SHAPES[record['type'] as Message['type']];
  for (const [key, type] of Object.entries(shape)) check(record, key, type);
  for (const [key, type] of Object.entries(OPTIONAL)) if (record[key] !== undefined) check(record, key, type);
  const id = record['id'] as number;
  if (!Number.isInteger(id) || id < 1 || id > 0x7fff_ffff)
    throw new PortholeError('PROTOCOL_ERROR', 'a tunnel id is out of range');
  // A code of a later release, which its own table has a sentence for and this one has not.
  if (record['type'] === 'refused' && !Object.hasOwn(ERRORS, record['code'] as string)) record['code'] = 'INTERNAL';
  return value as Message;
}

function check(record: Record<string, unknown>, key: string, type: string): void {
  if (typeof record[key] !== type)
    throw new PortholeError('PROTOCOL_ERROR', `message ${String(record['type'])}: ${key} must be a ${type}`);
}
