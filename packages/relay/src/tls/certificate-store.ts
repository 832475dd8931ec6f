/**
 * Certificates, their keys and what is known about failures, as documents in the store, so that every process serves
 * the same. The store's file is readable by its owner only; nothing here is ever logged.
 */
import type { JsonValue, Store } from '../store/store.ts';
import { numberOf, stringOf, stringsOf } from '@porthole/acme';
import { nameKey } from './name-key.ts';

const CERTIFICATE_PREFIX = 'tls/certificate/';
const STATE_PREFIX = 'tls/state/';

export interface StoredCertificate {
  /** One per set of names that is renewed together: the first name. */
  readonly id: string;
  readonly names: readonly string[];
  readonly keyPem: string;
  /** The leaf first. */
  readonly chainPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Whose name it is, for budgets; absent for the relay's own. */
  readonly owner?: string;
}

/** What happened to the orders of one certificate, and what the authority would like. */
export interface CertificateState {
  readonly failures: number;
  /** No order before. */
  readonly nextTryAtMs: number;
  readonly lastError?: string;
  /** RFC 9773. */
  readonly renewal?: { readonly windowStartMs: number; readonly windowEndMs: number; readonly askAgainAtMs: number };
}

export const freshState: CertificateState = { failures: 0, nextTryAtMs: 0 };

export interface Revised<T> {
  readonly value: T;
  /** For `expected`; 0 when there is no document. */
  readonly revision: number;
}

export interface CertificateFollower {
  readonly stored: (certificate: StoredCertificate) => void;
  /** With the part of the key that `nameKey` makes of the id. */
  readonly removed: (idKey: string) => void;
}

export class CertificateStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async get(id: string): Promise<Revised<StoredCertificate | undefined>> {
    const document = await this.#store.get(certificateKey(id));
    return { value: readCertificate(document?.value), revision: document?.revision ?? 0 };
  }

  async list(): Promise<StoredCertificate[]> {
    const documents = await this.#store.list(CERTIFICATE_PREFIX);
    return documents.map(({ value }) => readCertificate(value)).filter((certificate) => certificate !== undefined);
  }

  /** False when another process stored one since `expected`: then that one stands. */
  async put(certificate: StoredCertificate, expected: number): Promise<boolean> {
    const { owner, ...rest } = certificate;
    const value: JsonValue = { ...rest, ...(owner === undefined ? {} : { owner }) };
    return (await this.#store.put(certificateKey(certificate.id), value, expected)).ok;
  }

  async remove(id: string): Promise<void> {
    await this.#store.delete(certificateKey(id));
    await this.#store.delete(stateKey(id));
  }

  async state(id: string): Promise<CertificateState> {
    return readState((await this.#store.get(stateKey(id)))?.value);
  }

  async putState(id: string, state: CertificateState): Promise<void> {
    const { lastError, renewal, ...rest } = state;
    const value: JsonValue = {
      id,
      ...rest,
      ...(lastError === undefined ? {} : { lastError }),
      ...(renewal === undefined ? {} : { renewal: { ...renewal } }),
    };
    await this.#store.put(stateKey(id), value);
  }

  /** Tells of every certificate there is, then of every change, in this and other processes. Resolves after the first part. */
  async follow(follower: CertificateFollower): Promise<() => void> {
    // Watching begins first, so that nothing falls between the two.
    const stop = this.#store.watch(CERTIFICATE_PREFIX, (change) => {
      if (change.type === 'deleted') {
        follower.removed(change.key.slice(CERTIFICATE_PREFIX.length));
        return;
      }
      const certificate = readCertificate(change.document.value);
      if (certificate !== undefined) follower.stored(certificate);
    });
    for (const certificate of await this.list()) follower.stored(certificate);
    return stop;
  }
}

function certificateKey(id: string): string {
  return `${CERTIFICATE_PREFIX}${nameKey(id)}`;
}

function stateKey(id: string): string {
  return `${STATE_PREFIX}${nameKey(id)}`;
}

function readCertificate(value: JsonValue | undefined): StoredCertificate | undefined {
  const [id, keyPem, chainPem, owner] = ['id', 'keyPem', 'chainPem', 'owner'].map((name) => stringOf(value, name));
  const names = stringsOf(value, 'names');
  const notBeforeMs = numberOf(value, 'notBeforeMs');
  const notAfterMs = numberOf(value, 'notAfterMs');
  const isWhole = id !== undefined && keyPem !== undefined && chainPem !== undefined && names !== undefined;
  if (!isWhole || notBeforeMs === undefined || notAfterMs === undefined) return undefined;
  return { id, names, keyPem, chainPem, notBeforeMs, notAfterMs, ...(owner === undefined ? {} : { owner }) };
}

function readState(value: JsonValue | undefined): CertificateState {
  const lastError = stringOf(value, 'lastError');
  const renewal = readRenewal(value);
  return {
    failures: numberOf(value, 'failures') ?? 0,
    nextTryAtMs: numberOf(value, 'nextTryAtMs') ?? 0,
    ...(lastError === undefined ? {} : { lastError }),
    ...(renewal === undefined ? {} : { renewal }),
  };
}

function readRenewal(value: JsonValue | undefined): CertificateState['renewal'] {
  const renewal = typeof value === 'object' && value !== null && 'renewal' in value ? value.renewal : undefined;
  const windowStartMs = numberOf(renewal, 'windowStartMs');
  const windowEndMs = numberOf(renewal, 'windowEndMs');
  const askAgainAtMs = numberOf(renewal, 'askAgainAtMs');
  if (windowStartMs === undefined || windowEndMs === undefined || askAgainAtMs === undefined) return undefined;
  return { windowStartMs, windowEndMs, askAgainAtMs };
}
