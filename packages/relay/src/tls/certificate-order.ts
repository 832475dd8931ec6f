/** One order of the keeper: alone in the cluster, fenced, its outcome written down whatever it is. */
import { isIP } from 'node:net';
import { PortholeError } from '@porthole/protocol';
import type { Store } from '../store/store.ts';
import type { AcmeAccount } from './acme-account.ts';
import { AcmeError, type ChallengeSolver, factsOf, obtainCertificate, renewalIdentifier } from '@porthole/acme';
import { type CertificateStore, freshState, type StoredCertificate } from './certificate-store.ts';
import { nameKey } from './name-key.ts';
import { restAfterFailure } from './renewal-time.ts';
import { withLease } from './store-lease.ts';

/** Names that get one certificate together. */
export interface WantedCertificate {
  /** The first is the certificate's id. */
  readonly names: readonly string[];
  readonly owner?: string | undefined;
  readonly profile?: string | undefined;
}

export type CertificateEvent =
  | {
      readonly type: 'issued';
      readonly id: string;
      readonly names: readonly string[];
      readonly notAfterMs: number;
      readonly isRenewal: boolean;
    }
  | {
      readonly type: 'failed';
      readonly id: string;
      readonly names: readonly string[];
      readonly error: PortholeError;
      readonly nextTryAtMs: number;
    }
  /** Once a day per certificate. `notAfterMs` may be past. */
  | {
      readonly type: 'expiring';
      readonly id: string;
      readonly names: readonly string[];
      readonly notAfterMs: number;
      readonly lastError: string | undefined;
    };

export interface CertificateOrderContext {
  readonly store: Store;
  readonly certificates: CertificateStore;
  readonly account: AcmeAccount;
  readonly solvers: readonly ChallengeSolver[];
  /** This process, for leases. */
  readonly holder: string;
  readonly preferredChain?: string | undefined;
  readonly orderTimeoutMs?: number | undefined;
  readonly now: () => number;
  readonly onEvent: (event: CertificateEvent) => void;
}

export type OrderOutcome = 'issued' | 'failed' | 'not needed' | 'held elsewhere';

export interface OrderTask {
  readonly wanted: WantedCertificate;
  readonly signal: AbortSignal;
  /** Asked again under the lease: another process may have been faster. */
  readonly isDue: (standing: StoredCertificate | undefined) => Promise<boolean>;
  /** Before the authority is asked; what it throws is not counted as a failed order. */
  readonly beforeOrder?: (standing: StoredCertificate | undefined) => Promise<void>;
}

/** Rejects only with what `beforeOrder` throws, with STORE_FAILED, and with CANCELLED. */
export async function orderCertificate(context: CertificateOrderContext, task: OrderTask): Promise<OrderOutcome> {
  const id = task.wanted.names[0] ?? '';
  const { store, holder, now } = context;
  const done = await withLease({ store, holder, now, key: `tls/lease/${nameKey(id)}` }, async (lost) => {
    const { value: standing, revision } = await context.certificates.get(id);
    if (!(await task.isDue(standing))) return 'not needed';
    await task.beforeOrder?.(standing);
    const signal = AbortSignal.any([task.signal, lost]);
    try {
      const issued = await obtain(context, task.wanted, standing, signal);
      return await keep(context, issued, revision, standing !== undefined);
    } catch (error) {
      if (task.signal.aborted) throw error;
      if (lost.aborted) return 'held elsewhere';
      return await remember(context, task.wanted, error);
    }
  });
  return done?.value ?? 'held elsewhere';
}

async function obtain(
  context: CertificateOrderContext,
  wanted: WantedCertificate,
  standing: StoredCertificate | undefined,
  signal: AbortSignal,
): Promise<StoredCertificate> {
  const { names, owner, profile } = wanted;
  const api = await context.account.api(signal);
  const { renewalInfo, profiles } = await api.directory(signal);
  const replaces =
    standing !== undefined && renewalInfo !== undefined
      ? renewalIdentifier(factsOf(standing.chainPem).leaf)
      : undefined;
  const { solvers, preferredChain, orderTimeoutMs } = context;
  const issued = await obtainCertificate(api, {
    names,
    solvers,
    profile: profile ?? profileFor(names, profiles),
    replaces,
    preferredChain,
    timeoutMs: orderTimeoutMs,
    signal,
  });
  return { ...issued, names: issued.names, id: names[0] ?? '', ...(owner === undefined ? {} : { owner }) };
}

/** Authorities that have certificates for addresses at all may give them a short life only, under this profile. */
function profileFor(names: readonly string[], profiles: ReadonlyMap<string, string>): string | undefined {
  return profiles.has('shortlived') && names.some((name) => isIP(name) !== 0) ? 'shortlived' : undefined;
}

/** The revision from before the order fences: if somebody stored one meanwhile, that one stands and ours is dropped. */
async function keep(
  context: CertificateOrderContext,
  issued: StoredCertificate,
  expected: number,
  isRenewal: boolean,
): Promise<OrderOutcome> {
  const { id, names, notAfterMs } = issued;
  const isStored = await context.certificates.put(issued, expected);
  await context.certificates.putState(id, freshState);
  if (!isStored) return 'not needed';
  context.onEvent({ type: 'issued', id, names, notAfterMs, isRenewal });
  return 'issued';
}

async function remember(
  context: CertificateOrderContext,
  wanted: WantedCertificate,
  thrown: unknown,
): Promise<OrderOutcome> {
  const error = thrown instanceof PortholeError ? thrown : new PortholeError('INTERNAL', '', { cause: thrown });
  const problem = error instanceof AcmeError ? error.problem : undefined;
  if (problem === 'accountDoesNotExist') await context.account.forgetAddress();
  const id = wanted.names[0] ?? '';
  const state = await context.certificates.state(id);
  const failures = state.failures + 1;
  const retryAfterMs = error instanceof AcmeError ? error.retryAfterMs : undefined;
  // An account that has to be made again is the authority's doing, not the name's.
  const code = problem === 'accountDoesNotExist' ? 'ACME_UNREACHABLE' : error.code;
  const nextTryAtMs = context.now() + restAfterFailure(code, failures, retryAfterMs, Math.random());
  await context.certificates.putState(id, { ...state, failures, nextTryAtMs, lastError: error.message });
  context.onEvent({ type: 'failed', id, names: wanted.names, error, nextTryAtMs });
  return 'failed';
}
