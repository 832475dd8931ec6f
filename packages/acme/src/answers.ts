/** What an authority's JSON must look like (RFC 8555 section 7.1, RFC 9773 section 4.2), checked at the border. */
import { fieldOf } from './json-fields.ts';
import { AcmeError, describeProblem, plainText } from './problem.ts';
import { checkAcmeUrl } from './transport.ts';

export interface Directory {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
  readonly revokeCert?: string;
  readonly keyChange?: string;
  readonly renewalInfo?: string;
  readonly termsOfService?: string;
  readonly externalAccountRequired: boolean;
  /** Name to description. */
  readonly profiles: ReadonlyMap<string, string>;
}

export interface Identifier {
  readonly type: 'dns' | 'ip';
  /** Without `*.` in an authorisation. */
  readonly value: string;
}

export type OrderStatus = 'pending' | 'ready' | 'processing' | 'valid' | 'invalid';

export interface Order {
  readonly url: string;
  readonly status: OrderStatus;
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate?: string;
  /** Why it is invalid, in words. */
  readonly error?: string;
  readonly retryAfterMs?: number | undefined;
}

export interface Challenge {
  readonly type: string;
  readonly url: string;
  readonly token: string;
  readonly status: string;
  readonly error?: string;
}

export interface Authorization {
  readonly url: string;
  readonly identifier: Identifier;
  readonly wildcard: boolean;
  readonly status: 'pending' | 'valid' | 'invalid' | 'deactivated' | 'expired' | 'revoked';
  readonly challenges: readonly Challenge[];
  readonly retryAfterMs?: number | undefined;
}

export interface RenewalInfo {
  readonly windowStartMs: number;
  readonly windowEndMs: number;
  readonly explanationUrl?: string;
  /** When to ask again. */
  readonly retryAfterMs: number;
}

const MAX_ITEMS = 200;
const ORDER_STATUSES = ['pending', 'ready', 'processing', 'valid', 'invalid'] as const;
const AUTHORIZATION_STATUSES = ['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked'] as const;

export function readDirectory(json: unknown): Directory {
  const meta = fieldOf(json, 'meta');
  const optional = (name: string) => (fieldOf(json, name) === undefined ? {} : { [name]: urlField(json, name) });
  const terms = fieldOf(meta, 'termsOfService');
  const profiles = Object.entries(Object(fieldOf(meta, 'profiles')) as object).slice(0, MAX_ITEMS);
  return {
    newNonce: urlField(json, 'newNonce'),
    newAccount: urlField(json, 'newAccount'),
    newOrder: urlField(json, 'newOrder'),
    ...optional('revokeCert'),
    ...optional('keyChange'),
    ...optional('renewalInfo'),
    ...(typeof terms === 'string' ? { termsOfService: plainText(terms, 500) } : {}),
    externalAccountRequired: fieldOf(meta, 'externalAccountRequired') === true,
    profiles: new Map(profiles.map(([name, words]) => [name, plainText(String(words), 500)])),
  };
}

export function readOrder(json: unknown, url: string, retryAfterMs?: number): Order {
  const error = fieldOf(json, 'error');
  return {
    url,
    status: oneOf(json, 'status', ORDER_STATUSES),
    authorizations: arrayField(json, 'authorizations').map((value) => checkAcmeUrl(String(value)).href),
    finalize: urlField(json, 'finalize'),
    ...(fieldOf(json, 'certificate') === undefined ? {} : { certificate: urlField(json, 'certificate') }),
    ...(error === undefined ? {} : { error: describeProblem(error) }),
    retryAfterMs,
  };
}

export function readAuthorization(json: unknown, url: string, retryAfterMs?: number): Authorization {
  const identifier = fieldOf(json, 'identifier');
  return {
    url,
    identifier: {
      type: oneOf(identifier, 'type', ['dns', 'ip'] as const),
      value: stringField(identifier, 'value').toLowerCase(),
    },
    wildcard: fieldOf(json, 'wildcard') === true,
    status: oneOf(json, 'status', AUTHORIZATION_STATUSES),
    challenges: arrayField(json, 'challenges').map(readChallenge),
    retryAfterMs,
  };
}

/** A type we do not know may have any other members, so only what we solve must have a token. */
function readChallenge(json: unknown): Challenge {
  const token = fieldOf(json, 'token');
  const error = fieldOf(json, 'error');
  return {
    type: plainText(stringField(json, 'type'), 60),
    url: urlField(json, 'url'),
    // RFC 8555 section 8.3: base64url; it becomes part of a path, a key and a record.
    token: typeof token === 'string' && /^[A-Za-z0-9_-]{1,256}$/.test(token) ? token : '',
    status: stringField(json, 'status'),
    ...(error === undefined ? {} : { error: describeProblem(error) }),
  };
}

const DEFAULT_RENEWAL_POLL_MS = 6 * 3_600_000;
const RENEWAL_POLL_RANGE_MS = [60_000, 24 * 3_600_000] as const;

/** RFC 9773 section 4.3.2 wants a bound on both sides of Retry-After. */
export function readRenewalInfo(json: unknown, retryAfterMs: number | undefined): RenewalInfo {
  const suggested = fieldOf(json, 'suggestedWindow');
  const windowStartMs = Date.parse(stringField(suggested, 'start'));
  const windowEndMs = Date.parse(stringField(suggested, 'end'));
  if (!(windowStartMs < windowEndMs)) throw bad('a renewal window that does not end after its start');
  const explanation = fieldOf(json, 'explanationURL');
  const [least, most] = RENEWAL_POLL_RANGE_MS;
  return {
    windowStartMs,
    windowEndMs,
    ...(typeof explanation === 'string' ? { explanationUrl: plainText(explanation, 500) } : {}),
    retryAfterMs: Math.min(Math.max(retryAfterMs ?? DEFAULT_RENEWAL_POLL_MS, least), most),
  };
}

function urlField(json: unknown, name: string): string {
  return checkAcmeUrl(stringField(json, name)).href;
}

function stringField(json: unknown, name: string): string {
  const value = fieldOf(json, name);
  if (typeof value !== 'string') throw bad(`no "${name}"`);
  return value;
}

function arrayField(json: unknown, name: string): unknown[] {
  const value = fieldOf(json, name);
  if (!Array.isArray(value) || value.length > MAX_ITEMS) throw bad(`no list "${name}" of at most ${MAX_ITEMS}`);
  return value;
}

function oneOf<T extends string>(json: unknown, name: string, allowed: readonly T[]): T {
  const value = fieldOf(json, name);
  const known = allowed.find((candidate) => candidate === value);
  if (known === undefined) throw bad(`"${name}" is ${plainText(String(value), 40)}`);
  return known;
}

export function bad(what: string): AcmeError {
  return new AcmeError('ACME_BAD_ANSWER', what);
}
