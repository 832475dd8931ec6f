/**
 * Answers to an authority's validations. They live in the store and are looked up there each time, so that whichever
 * process is asked can answer; nothing secret is in them.
 */
import { createHash } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { JsonValue, Store } from '../store/store.ts';
import {
  addressToBytes,
  type ChallengeSolver,
  type ChallengeTask,
  type ChallengeType,
  createChallengeCertificate,
  type Identifier,
  numberOf,
  stringOf,
} from '@porthole/acme';
import { nameKey } from './name-key.ts';

export const CHALLENGE_PATH_PREFIX = '/.well-known/acme-challenge/';
const KEY_PREFIX = 'tls/challenge/';
/** Longer than any order; what a killed process left behind is swept after it. */
const LIFE_MS = 3_600_000;
/** `tun.example` and `*.tun.example` share a record and need one value each. */
const MAX_TXT_VALUES = 2;
const MAX_TOKEN_LENGTH = 256;

export interface ChallengesOptions {
  readonly store: Store;
  readonly now?: () => number;
}

export class Challenges {
  readonly #store: Store;
  readonly #now: () => number;

  constructor(options: ChallengesOptions) {
    this.#store = options.store;
    this.#now = options.now ?? Date.now;
  }

  /** For port 80: the body to answer this path with (200, `application/octet-stream`), or undefined (RFC 8555 section 8.3). */
  async httpAnswer(path: string): Promise<string | undefined> {
    if (!path.startsWith(CHALLENGE_PATH_PREFIX)) return undefined;
    const token = path.slice(CHALLENGE_PATH_PREFIX.length);
    if (!/^[A-Za-z0-9_-]+$/.test(token) || token.length > MAX_TOKEN_LENGTH) return undefined;
    return this.#current((await this.#store.get(httpKey(token)))?.value);
  }

  /** For a ClientHello that offers `acme-tls/1` alone: what to end TLS with, or undefined (RFC 8737 section 3). */
  async alpnContext(serverName: string): Promise<SecureContext | undefined> {
    const document = await this.#store.get(alpnKey(serverName));
    const keyAuthorization = this.#current(document?.value);
    const identifier = stringOf(document?.value, 'identifier');
    if (keyAuthorization === undefined || identifier === undefined) return undefined;
    const { keyPem, certificatePem } = createChallengeCertificate(identifier, keyAuthorization, this.#now());
    return createSecureContext({ key: keyPem, cert: certificatePem, minVersion: 'TLSv1.2' });
  }

  /** For the DNS responder: values of a record, the newest two. */
  async txtValues(recordName: string): Promise<string[]> {
    const documents = await this.#store.list(dnsPrefix(recordName));
    const values = documents.map(({ value, revision }) => ({ text: this.#current(value), revision }));
    const current = values.filter(({ text }) => text !== undefined).sort((a, b) => b.revision - a.revision);
    return current.slice(0, MAX_TXT_VALUES).map(({ text }) => text ?? '');
  }

  /** Removes what was left behind. Returns how many. */
  async sweep(): Promise<number> {
    const stale = (await this.#store.list(KEY_PREFIX)).filter(({ value }) => this.#current(value) === undefined);
    for (const { key, revision } of stale) await this.#store.delete(key, revision);
    return stale.length;
  }

  httpSolver(): ChallengeSolver {
    return this.#solver(
      'http-01',
      (_identifier, wildcard) => !wildcard,
      (task) => [httpKey(task.token), task.keyAuthorization],
    );
  }

  tlsAlpnSolver(): ChallengeSolver {
    return this.#solver(
      'tls-alpn-01',
      (_identifier, wildcard) => !wildcard,
      (task) => [alpnKey(sniOf(task.identifier)), task.keyAuthorization],
    );
  }

  /** `recordOf` says under which record of the delegated zone the value for a name is looked up; undefined when nowhere. */
  dnsSolver(recordOf: (name: string) => string | undefined): ChallengeSolver {
    return this.#solver(
      'dns-01',
      (identifier) => identifier.type === 'dns' && recordOf(identifier.value) !== undefined,
      (task) => {
        // RFC 8555 section 8.4.
        const value = createHash('sha256').update(task.keyAuthorization).digest('base64url');
        return [`${dnsPrefix(recordOf(task.identifier.value) ?? '')}${value}`, value];
      },
    );
  }

  #solver(
    type: ChallengeType,
    solves: ChallengeSolver['solves'],
    place: (task: ChallengeTask) => readonly [key: string, answer: string],
  ): ChallengeSolver {
    return {
      type,
      solves,
      present: async (task) => {
        const [key, answer] = place(task);
        const value: JsonValue = { answer, identifier: task.identifier.value, expiresAtMs: this.#now() + LIFE_MS };
        await this.#store.put(key, value);
      },
      withdraw: async (task) => {
        await this.#store.delete(place(task)[0]);
      },
    };
  }

  #current(value: JsonValue | undefined): string | undefined {
    return (numberOf(value, 'expiresAtMs') ?? 0) > this.#now() ? stringOf(value, 'answer') : undefined;
  }
}

function httpKey(token: string): string {
  // A token may be longer than a key.
  return `${KEY_PREFIX}http/${createHash('sha256').update(token).digest('base64url')}`;
}

function alpnKey(serverName: string): string {
  return `${KEY_PREFIX}alpn/${nameKey(serverName)}`;
}

function dnsPrefix(recordName: string): string {
  return `${KEY_PREFIX}dns/${nameKey(recordName)}/`;
}

/** What a validator puts into SNI: the name, or the reverse name of an address (RFC 8738 section 6). */
function sniOf(identifier: Identifier): string {
  const bytes = identifier.type === 'ip' ? addressToBytes(identifier.value) : undefined;
  if (bytes === undefined) return identifier.value;
  if (bytes.length === 4) return `${[...bytes].reverse().join('.')}.in-addr.arpa`;
  return `${bytes.toString('hex').split('').reverse().join('.')}.ip6.arpa`;
}
