/**
 * How a certificate is obtained: one order from beginning to end, with whatever challenges can be solved here, within
 * a time, cancellable, and leaving nothing behind. When to order is the keeper's decision.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { PortholeError } from '@porthole/protocol';
import { normalHostName } from './host-name.ts';
import { checkCertificate } from './certificate-check.ts';
import { createKeyPair, keyToPem } from './x509.ts';
import { addressFromBytes, addressToBytes } from './address-bytes.ts';
import type { Authorization, Challenge, Identifier, Order } from './answers.ts';
import type { AcmeApi } from './api.ts';
import { createCsr } from './csr.ts';
import { keyAuthorization } from './jws.ts';
import { AcmeError } from './problem.ts';
import { cancelled } from './transport.ts';

export type ChallengeType = 'http-01' | 'dns-01' | 'tls-alpn-01';

export interface ChallengeTask {
  readonly identifier: Identifier;
  readonly wildcard: boolean;
  readonly token: string;
  readonly keyAuthorization: string;
}

/** Puts the answer of one type of challenge where the authority will look for it. */
export interface ChallengeSolver {
  readonly type: ChallengeType;
  /** Whether it can work for this name at all (a wildcard only by dns-01, an address never by it). */
  solves(identifier: Identifier, wildcard: boolean): boolean;
  /** Resolves when every process that may be asked knows the answer. */
  present(task: ChallengeTask): Promise<void>;
  withdraw(task: ChallengeTask): Promise<void>;
}

export interface OrderOptions {
  /** Host names, `*.` names and addresses; the certificate has exactly these. At most 100. */
  readonly names: readonly string[];
  /** In order of preference. */
  readonly solvers: readonly ChallengeSolver[];
  /** Default: a new P-256 key. */
  readonly privateKey?: KeyObject | undefined;
  readonly profile?: string | undefined;
  /** `renewalIdentifier` of the certificate that this one replaces. */
  readonly replaces?: string | undefined;
  /** Common name of the root wanted, where the authority offers several chains. */
  readonly preferredChain?: string | undefined;
  /** For the whole of it. Default 300,000. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface IssuedCertificate {
  readonly names: readonly string[];
  readonly keyPem: string;
  /** The leaf first. */
  readonly chainPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const MAX_NAMES = 100;
const MAX_ROUNDS = 3;
const DEFAULT_TIMEOUT_MS = 300_000;

/** Orders one certificate. Rejects with the authority's reason, CERTIFICATE_TIMEOUT or CANCELLED. */
export async function obtainCertificate(api: AcmeApi, options: OrderOptions): Promise<IssuedCertificate> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  try {
    return await new OrderRun(api, options, signal).run();
  } catch (error) {
    if (options.signal?.aborted === true) throw cancelled();
    if (timeout.aborted)
      throw new PortholeError('CERTIFICATE_TIMEOUT', `${options.names.join(', ')}: not within ${timeoutMs} ms`, {
        cause: error,
      });
    throw error;
  }
}

/** Normalised and without duplicates. Throws CERTIFICATE_INVALID for what no certificate can be for. */
export function identifiersOf(names: readonly string[]): Identifier[] {
  if (names.length === 0 || names.length > MAX_NAMES)
    throw new PortholeError('CERTIFICATE_INVALID', `1 to ${MAX_NAMES} names, not ${names.length}`);
  const values = new Map<string, Identifier>();
  for (const name of names) {
    const address = addressToBytes(name);
    const host = normalHostName(name.startsWith('*.') ? name.slice(2) : name);
    if (address === undefined && host === undefined)
      throw new PortholeError('CERTIFICATE_INVALID', `"${name}" is no host name or address`);
    const value = address === undefined ? `${name.startsWith('*.') ? '*.' : ''}${host}` : addressFromBytes(address);
    values.set(value, { type: address === undefined ? 'dns' : 'ip', value });
  }
  return [...values.values()];
}

interface Pending {
  readonly authorization: Authorization;
  readonly challenge: Challenge;
  readonly solver: ChallengeSolver;
  readonly task: ChallengeTask;
}

class OrderRun {
  readonly #api: AcmeApi;
  readonly #options: OrderOptions;
  readonly #signal: AbortSignal;
  readonly #identifiers: readonly Identifier[];
  /** Types that failed in an earlier round, per name. */
  readonly #failed = new Set<string>();

  constructor(api: AcmeApi, options: OrderOptions, signal: AbortSignal) {
    this.#api = api;
    this.#options = options;
    this.#signal = signal;
    this.#identifiers = identifiersOf(options.names);
  }

  async run(): Promise<IssuedCertificate> {
    // A failed challenge ends its order, so another type needs another round. Each round must have taught something.
    let challengeError: unknown;
    for (let rounds = 1; ; rounds++) {
      const failedBefore = this.#failed.size;
      try {
        return await this.#round();
      } catch (error) {
        const hasLearned = this.#failed.size > failedBefore;
        if (hasLearned) challengeError = error;
        if (this.#signal.aborted || !hasLearned || rounds >= MAX_ROUNDS || !this.#hasAlternative())
          throw challengeError ?? error;
      }
    }
  }

  async #round(): Promise<IssuedCertificate> {
    const order = await this.#newOrder();
    const pending = await this.#choose(order);
    try {
      for (const { solver, task } of pending) await solver.present(task);
      for (const { challenge } of pending) await this.#api.answerChallenge(challenge, this.#signal);
      for (const one of pending) await this.#untilValid(one);
    } catch (error) {
      await this.#giveUp(pending);
      throw error;
    } finally {
      for (const { solver, task } of pending) await solver.withdraw(task).catch(() => undefined);
    }
    return await this.#collect(order.url);
  }

  async #newOrder(): Promise<Order> {
    const { profile, replaces } = this.#options;
    const identifiers = this.#identifiers;
    try {
      return await this.#api.newOrder({ identifiers, profile, replaces }, this.#signal);
    } catch (error) {
      // Replaced already, or unknown to a new authority: then it is an ordinary order (RFC 9773 section 5).
      const retry =
        replaces !== undefined &&
        error instanceof AcmeError &&
        error.code === 'ACME_REFUSED' &&
        error.problem !== 'invalidProfile';
      if (!retry) throw error;
      return await this.#api.newOrder({ identifiers, profile }, this.#signal);
    }
  }

  async #choose(order: Order): Promise<Pending[]> {
    const pending: Pending[] = [];
    for (const url of order.authorizations) {
      const authorization = await this.#api.authorization(url, this.#signal);
      if (authorization.status === 'valid') continue;
      if (authorization.status !== 'pending')
        throw challengeFailed(authorization, `the authorisation is ${authorization.status}`);
      this.#checkAsked(authorization);
      pending.push(this.#chooseChallenge(authorization));
    }
    return pending;
  }

  /** An authority that asks for proof of another name than was ordered is not answered. */
  #checkAsked({ identifier, wildcard }: Authorization): void {
    const value = `${wildcard ? '*.' : ''}${identifier.value}`;
    if (!this.#identifiers.some((wanted) => wanted.type === identifier.type && wanted.value === value)) {
      throw new AcmeError('ACME_BAD_ANSWER', `an authorisation for ${value.slice(0, 260)}, which was not ordered`);
    }
  }

  #chooseChallenge(authorization: Authorization): Pending {
    const { identifier, wildcard, challenges } = authorization;
    for (const solver of this.#options.solvers) {
      if (this.#failed.has(failureKey(authorization, solver.type)) || !solver.solves(identifier, wildcard)) continue;
      const challenge = challenges.find(({ type, token }) => type === solver.type && token !== '');
      if (challenge === undefined) continue;
      const { token } = challenge;
      const task = { identifier, wildcard, token, keyAuthorization: keyAuthorization(token, this.#api.accountKey) };
      return { authorization, challenge, solver, task };
    }
    const offered = challenges.map(({ type }) => type).join(', ');
    throw challengeFailed(authorization, `none of its challenges (${offered}) can be solved here`);
  }

  async #untilValid({ authorization, challenge, solver }: Pending): Promise<void> {
    for (let round = 0; ; round++) {
      const now = await this.#api.authorization(authorization.url, this.#signal);
      if (now.status === 'valid') return;
      if (now.status !== 'pending') {
        this.#failed.add(failureKey(authorization, solver.type));
        const why =
          now.challenges.find(({ url }) => url === challenge.url)?.error ?? `the authorisation is ${now.status}`;
        throw challengeFailed(authorization, `${solver.type}: ${why}`);
      }
      await this.#pause(round, now.retryAfterMs);
    }
  }

  #hasAlternative(): boolean {
    return this.#identifiers.every(({ type, value }) => {
      const wildcard = value.startsWith('*.');
      const identifier = { type, value: wildcard ? value.slice(2) : value };
      return this.#options.solvers.some(
        (solver) =>
          solver.solves(identifier, wildcard) && !this.#failed.has(failureKey({ identifier, wildcard }, solver.type)),
      );
    });
  }

  /** Pending authorisations count against the account, so they are ended even when the order was cancelled. */
  async #giveUp(pending: readonly Pending[]): Promise<void> {
    const signal = AbortSignal.timeout(5000);
    for (const { authorization } of pending) {
      try {
        const { status } = await this.#api.authorization(authorization.url, signal);
        if (status === 'pending') await this.#api.deactivateAuthorization(authorization.url, signal);
      } catch {
        return;
      }
    }
  }

  async #collect(url: string): Promise<IssuedCertificate> {
    const privateKey = this.#options.privateKey ?? createKeyPair().privateKey;
    const csr = createCsr(
      privateKey,
      this.#identifiers.map(({ value }) => value),
    );
    let finalized = false;
    for (let round = 0; ; round++) {
      let order = await this.#api.order(url, this.#signal);
      if (order.status === 'ready' && !finalized) {
        order = await this.#api.finalize(order, csr, this.#signal);
        finalized = true;
      }
      if (order.status === 'invalid')
        throw new AcmeError('ACME_REFUSED', `the order failed: ${order.error ?? 'no reason given'}`);
      if (order.status === 'valid') return await this.#download(order, privateKey);
      await this.#pause(round, order.retryAfterMs);
    }
  }

  async #download(order: Order, privateKey: KeyObject): Promise<IssuedCertificate> {
    if (order.certificate === undefined) throw new AcmeError('ACME_BAD_ANSWER', 'a valid order without a certificate');
    const chainPem = await this.#chooseChain(order.certificate);
    const keyPem = keyToPem(privateKey);
    const names = this.#identifiers.map(({ value }) => value);
    try {
      const { notBeforeMs, notAfterMs } = checkCertificate({
        chainPem,
        privateKey: createPrivateKey(keyPem),
        names,
        nowMs: this.#api.http.now(),
      });
      return { names, keyPem, chainPem, notBeforeMs, notAfterMs };
    } catch (error) {
      if (!(error instanceof PortholeError)) throw error;
      throw new AcmeError('ACME_BAD_ANSWER', `the certificate it issued is not usable: ${error.detail}`, {
        cause: error,
      });
    }
  }

  async #chooseChain(url: string): Promise<string> {
    const first = await this.#api.certificate(url, this.#signal);
    const { preferredChain } = this.#options;
    if (preferredChain === undefined || endsAt(first.pem, preferredChain)) return first.pem;
    for (const alternate of first.alternates) {
      const { pem } = await this.#api.certificate(alternate, this.#signal);
      if (endsAt(pem, preferredChain)) return pem;
    }
    return first.pem;
  }

  async #pause(round: number, retryAfterMs: number | undefined): Promise<void> {
    await this.#api.http.sleep(Math.max(retryAfterMs ?? 0, Math.min(250 * 2 ** round, 10_000)), this.#signal);
  }
}

/** Whether the last certificate of a chain was issued by (or is) the root of that name. */
function endsAt(pem: string, rootName: string): boolean {
  const last = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)?.at(-1);
  try {
    return last !== undefined && new X509Certificate(last).issuer.split('\n').includes(`CN=${rootName}`);
  } catch {
    return false;
  }
}

function failureKey(
  { identifier, wildcard }: { readonly identifier: Identifier; readonly wildcard: boolean },
  type: ChallengeType,
): string {
  return `${wildcard ? '*.' : ''}${identifier.value} ${type}`;
}

function challengeFailed({ identifier, wildcard }: Authorization, why: string): AcmeError {
  return new AcmeError('ACME_CHALLENGE_FAILED', `${wildcard ? '*.' : ''}${identifier.value}: ${why}`);
}
