/**
 * Keeps certificates: orders those that are wanted, renews them in time, warns before one ends, and orders on demand
 * for names somebody has proven, within budgets. Several processes do this over one store without getting in each
 * other's way. What is served is in the `CertificateIndex` that it feeds.
 */
import { PortholeError } from '@porthole/protocol';
import { factsOf, identifiersOf, normalHostName } from '@porthole/acme';
import type { CertificateBudget } from './certificate-budget.ts';
import type { CertificateIndex } from './certificate-index.ts';
import {
  type CertificateOrderContext,
  orderCertificate,
  type OrderOutcome,
  type WantedCertificate,
} from './certificate-order.ts';
import type { CertificateState, StoredCertificate } from './certificate-store.ts';
import { HandshakeHolds } from './handshake-holds.ts';
import { renewalTime, warningTime } from './renewal-time.ts';

export interface CertificateKeeperOptions extends CertificateOrderContext {
  readonly index: CertificateIndex;
  readonly budget: CertificateBudget;
  /** The owner of a custom domain that is proven to be his and leads here; undefined for every other name. */
  readonly permit: (name: string) => Promise<string | undefined>;
  /** Profile of what is ordered on demand. */
  readonly profile?: string | undefined;
  /** Orders of this process at one time. Default 4. */
  readonly maxOrders?: number;
  /** Names being ordered on demand at one time. Default 20. */
  readonly maxPending?: number;
  /** Handshakes waiting for an order. Default 50; the others get the default certificate. */
  readonly maxHolds?: number;
  /** How long one waits. Default 10,000. */
  readonly holdMs?: number;
  /** How often everything is looked through. Default 60,000. */
  readonly checkEveryMs?: number;
}

const DAY_MS = 86_400_000;
/** How long a name that may not have a certificate, or whose budget is used up, is not looked at again. Short: its tunnel may open next. */
const REFUSAL_MS = 5_000;

export interface CertificateStatus {
  readonly id: string;
  readonly names: readonly string[];
  /** Undefined while there is none yet. */
  readonly notAfterMs: number | undefined;
  readonly renewAtMs: number | undefined;
  readonly failures: number;
  readonly nextTryAtMs: number;
  readonly lastError: string | undefined;
}

export class CertificateKeeper {
  readonly #options: CertificateKeeperOptions;
  readonly #holds: HandshakeHolds;
  /** What the configuration wants, by id. */
  readonly #wanted = new Map<string, WantedCertificate>();
  readonly #orders = new Map<string, Promise<OrderOutcome>>();
  readonly #waitingForTurn: (() => void)[] = [];
  readonly #warnedAt = new Map<string, number>();
  readonly #stop = new AbortController();
  #running = 0;
  #stopFollowing: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #checking: Promise<void> | undefined;

  constructor(options: CertificateKeeperOptions) {
    this.#options = options;
    this.#holds = new HandshakeHolds({
      max: options.maxHolds ?? 50,
      waitMs: options.holdMs ?? 10_000,
      refusalMs: REFUSAL_MS,
      now: options.now,
    });
  }

  /**
   * From now on there is a certificate for these names, if the authority agrees. Takes effect at the next check.
   * Throws CERTIFICATE_INVALID for what no certificate can be for.
   */
  want(certificate: WantedCertificate): void {
    const names = identifiersOf(certificate.names).map(({ value }) => value);
    this.#wanted.set(names[0] ?? '', { ...certificate, names });
  }

  /** Fills the index, then checks in the background for as long as it lives. */
  async start(): Promise<void> {
    await this.follow();
    void this.check();
    this.#timer = setInterval(() => void this.check(), this.#options.checkEveryMs ?? 60_000);
    this.#timer.unref();
  }

  /** Only fills the index and keeps it up to date: for processes that order nothing. */
  async follow(): Promise<void> {
    const { index, certificates } = this.#options;
    this.#stopFollowing = await certificates.follow({
      stored: (certificate) => {
        index.set(certificate);
        for (const name of certificate.names) this.#holds.arrived(name);
      },
      removed: (id) => index.remove(id),
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    this.#stopFollowing?.();
    this.#holds.close();
    for (const next of this.#waitingForTurn.splice(0)) next();
    await Promise.allSettled([...this.#orders.values(), this.#checking]);
  }

  /** Looks through all certificates once and waits for the orders that were due. Never rejects. */
  async check(): Promise<void> {
    this.#checking ??= this.#checkAll().finally(() => {
      this.#checking = undefined;
    });
    await this.#checking;
  }

  /**
   * A visitor asks for a name without certificate: true once there is one. False, at once or after `holdMs`, when the
   * name is not permitted, failed lately, is over budget, or takes longer; the order then goes on behind. Never rejects.
   */
  async request(serverName: string): Promise<boolean> {
    const name = normalHostName(serverName);
    if (name === undefined || this.#stop.signal.aborted) return false;
    if (this.#options.index.find(name) !== undefined) return true;
    return await this.#holds.wait(name, () => this.#orderOnDemand(name));
  }

  /** For metrics, the dashboard and `doctor`. */
  async status(): Promise<CertificateStatus[]> {
    const stored = new Map(
      (await this.#options.certificates.list()).map((certificate) => [certificate.id, certificate]),
    );
    const ids = new Set([...this.#wanted.keys(), ...stored.keys()]);
    return await Promise.all(
      [...ids].map(async (id) => {
        const certificate = stored.get(id);
        const state = await this.#options.certificates.state(id);
        return {
          id,
          names: certificate?.names ?? this.#wanted.get(id)?.names ?? [],
          notAfterMs: certificate?.notAfterMs,
          renewAtMs: certificate && renewalTime(certificate, state.renewal),
          failures: state.failures,
          nextTryAtMs: state.nextTryAtMs,
          lastError: state.lastError,
        };
      }),
    );
  }

  async #checkAll(): Promise<void> {
    const stored = await this.#options.certificates.list().catch(() => []);
    const byId = new Map(stored.map((certificate) => [certificate.id, certificate]));
    const ids = new Set([...this.#wanted.keys(), ...byId.keys()]);
    // A store that fails is met again at the next check. Orders wait for their turn by themselves.
    const orders = Promise.allSettled([...ids].map(async (id) => await this.#checkOne(id, byId.get(id))));
    // One after the other: there may be thousands, and none is urgent.
    for (const certificate of stored) if (!(await this.#askRenewalInfo(certificate).catch(() => false))) break;
    await orders;
    for (const id of this.#warnedAt.keys()) if (!ids.has(id)) this.#warnedAt.delete(id);
  }

  async #checkOne(id: string, standing: StoredCertificate | undefined): Promise<void> {
    if (standing !== undefined) this.#warn(standing, await this.#options.certificates.state(id));
    const wanted = this.#wanted.get(id) ?? (standing && (await this.#stillWanted(standing)));
    if (wanted === undefined) {
      // Nobody wants it any more; it is served until it ends.
      if (standing !== undefined && standing.notAfterMs < this.#options.now())
        await this.#options.certificates.remove(id);
      return;
    }
    if (await this.#isDue(wanted, standing)) await this.#order(wanted);
  }

  /** What was ordered on demand is renewed while its owner still may have it. */
  async #stillWanted({ id, names, owner }: StoredCertificate): Promise<WantedCertificate | undefined> {
    if (owner === undefined || (await this.#options.permit(id)) !== owner) return undefined;
    return { names, owner, profile: this.#options.profile };
  }

  async #isDue(wanted: WantedCertificate, standing: StoredCertificate | undefined): Promise<boolean> {
    const now = this.#options.now();
    const state = await this.#options.certificates.state(wanted.names[0] ?? '');
    if (state.nextTryAtMs > now) return false;
    if (standing === undefined || wanted.names.some((name) => !standing.names.includes(name))) return true;
    return renewalTime(standing, state.renewal) <= now;
  }

  async #orderOnDemand(name: string): Promise<boolean> {
    const owner = await this.#options.permit(name);
    if (owner === undefined) return false;
    const wanted: WantedCertificate = { names: [name], owner, profile: this.#options.profile };
    const isKnown = this.#orders.has(name);
    if (!isKnown && this.#orders.size >= (this.#options.maxPending ?? 20)) return false;
    if (!isKnown && !(await this.#isDue(wanted, undefined))) return false;
    // Held by another process: its certificate arrives through the store.
    const outcome = await this.#order(wanted, async (standing) => {
      if (standing === undefined) await this.#options.budget.spend(owner);
    });
    return outcome !== 'failed';
  }

  /** One per id at a time in this process; the lease sees to the others. */
  async #order(
    wanted: WantedCertificate,
    beforeOrder?: (standing: StoredCertificate | undefined) => Promise<void>,
  ): Promise<OrderOutcome> {
    const id = wanted.names[0] ?? '';
    const known = this.#orders.get(id);
    if (known !== undefined) return await known;
    const order = this.#inTurn(async () => {
      const isDue = async (standing: StoredCertificate | undefined): Promise<boolean> =>
        await this.#isDue(wanted, standing);
      return await orderCertificate(this.#options, {
        wanted,
        signal: this.#stop.signal,
        isDue,
        ...(beforeOrder === undefined ? {} : { beforeOrder }),
      });
    }).finally(() => this.#orders.delete(id));
    this.#orders.set(id, order);
    return await order;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    while (this.#running >= (this.#options.maxOrders ?? 4) && !this.#stop.signal.aborted) {
      await new Promise<void>((resolve) => this.#waitingForTurn.push(resolve));
    }
    if (this.#stop.signal.aborted) throw new PortholeError('CANCELLED');
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      this.#waitingForTurn.shift()?.();
    }
  }

  #warn({ id, names, notAfterMs, notBeforeMs }: StoredCertificate, state: CertificateState): void {
    const now = this.#options.now();
    if (
      now < warningTime({ id, notAfterMs, notBeforeMs }) ||
      now - (this.#warnedAt.get(id) ?? Number.NEGATIVE_INFINITY) < DAY_MS
    )
      return;
    this.#warnedAt.set(id, now);
    this.#options.onEvent({ type: 'expiring', id, names, notAfterMs, lastError: state.lastError });
  }

  /**
   * RFC 9773: the authority may want a renewal earlier, or in a moved window. Its silence changes nothing; false then,
   * so that the others are not asked about either.
   */
  async #askRenewalInfo({ id, chainPem }: StoredCertificate): Promise<boolean> {
    const { certificates, account, now } = this.#options;
    if (((await certificates.state(id)).renewal?.askAgainAtMs ?? 0) > now()) return true;
    const api = await account.api(this.#stop.signal);
    const info = await api.renewalInfo(factsOf(chainPem).leaf, this.#stop.signal);
    if (info === undefined) return false;
    const { windowStartMs, windowEndMs, retryAfterMs } = info;
    // Read again: an order may have failed while the authority was asked.
    const state = await certificates.state(id);
    await certificates.putState(id, {
      ...state,
      renewal: { windowStartMs, windowEndMs, askAgainAtMs: now() + retryAfterMs },
    });
    return true;
  }
}
