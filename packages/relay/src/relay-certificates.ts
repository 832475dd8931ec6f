/**
 * The certificates of one process of the relay: brought as files, made by itself, or ordered from an authority; what is
 * needed to prove names (validations, the DNS zone); and what operators are told about all of it.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { isIP } from 'node:net';
import { PortholeError } from '@porthole/protocol';
import type { ListenAddress, RelayConfig, TlsConfig } from './config/config.ts';
import type { Log } from './observe/log.ts';
import type { Store } from './store/store.ts';
import { type AcmeTransport, type ChallengeSolver, createTransport, type ExternalAccount } from '@porthole/acme';
import { AcmeAccount } from './tls/acme-account.ts';
import { CertificateBudget } from './tls/certificate-budget.ts';
import { CertificateFiles } from './tls/certificate-files.ts';
import { CertificateIndex, type ServedCertificate } from './tls/certificate-index.ts';
import { CertificateKeeper, type CertificateStatus } from './tls/certificate-keeper.ts';
import type { CertificateEvent } from './tls/certificate-order.ts';
import { CertificateStore } from './tls/certificate-store.ts';
import { Challenges } from './tls/challenges.ts';
import { challengeRecordOf, delegationOf } from './tls/dns-delegation.ts';
import { DnsListener } from './tls/dns-listener.ts';
import { DnsResponder } from './tls/dns-responder.ts';
import { keptSelfSigned } from './tls/self-signed.ts';
import { ServingCertificates } from './tls/serving-certificates.ts';
import { SessionTickets } from './tls/session-tickets.ts';

export interface CertificateDeps {
  readonly config: RelayConfig;
  readonly tls: TlsConfig;
  readonly store: Store;
  readonly log: Log;
  /** Whose a name is that may have a certificate on first use; undefined for every other name. */
  readonly permit: (name: string) => Promise<string | undefined>;
}

const SWEEP_EVERY_MS = 10 * 60_000;
const STATUS_EVERY_MS = 30_000;
const DNS_RETRY_MS = 5_000;

export class RelayCertificates {
  readonly serving: ServingCertificates;
  readonly challenges: Challenges;
  readonly #deps: CertificateDeps;
  readonly #index = new CertificateIndex();
  readonly #files: CertificateFiles;
  readonly #tickets: SessionTickets;
  readonly #keeper: CertificateKeeper | undefined;
  readonly #transport: AcmeTransport | undefined;
  readonly #timers: NodeJS.Timeout[] = [];
  #dns: DnsListener | undefined;
  #dnsTimer: NodeJS.Timeout | undefined;
  #status: readonly CertificateStatus[] = [];
  #closed = false;

  /** Throws FILE_UNREADABLE for a key or CA file of the authority that cannot be read. */
  constructor(deps: CertificateDeps) {
    this.#deps = deps;
    const { store, tls, log } = deps;
    this.challenges = new Challenges({ store });
    this.#files = new CertificateFiles({
      pairs: tls.certificates.map(({ cert, key }) => ({ certificateFile: cert, keyFile: key })),
      onLoaded: (certificate) => this.#brought(certificate),
      onProblem: ({ certificateFile }, error) =>
        log.error({ event: 'certificate file', file: certificateFile, code: error.code, detail: error.detail }),
    });
    this.#tickets = new SessionTickets({
      store,
      onKeys: (keys) => this.serving.setTicketKeys(keys),
      onError: (err) => log.error({ event: 'session tickets', err }),
    });
    this.#transport = tls.acme === undefined ? undefined : createTransport({ ca: readOptional(tls.acme.caFile) });
    this.#keeper = this.#makeKeeper();
    this.serving = new ServingCertificates({
      index: this.#index,
      request: (name) => this.#keeper?.request(name) ?? Promise.resolve(false),
      challengeContext: (name) => this.challenges.alpnContext(name),
    });
  }

  /** Of every certificate ordered or wanted, and of those brought; not older than half a minute. */
  get status(): readonly CertificateStatus[] {
    return this.#status;
  }

  /** Rejects with FILE_UNREADABLE, CERTIFICATE_INVALID, STORE_FAILED. What is ordered comes later, by itself. */
  async start(): Promise<void> {
    const { config, tls, store } = this.#deps;
    await this.#tickets.start();
    const stopgap = await keptSelfSigned(store, namesOf(config), Date.now());
    if (tls.selfSigned) this.#index.set({ ...stopgap, priority: -1 });
    this.serving.setDefault({ key: stopgap.keyPem, cert: stopgap.chainPem });
    await this.#files.start();
    this.#want();
    await this.#startDns();
    await this.#keeper?.start();
    this.#chooseDefault();
    await this.#look();
    this.#every(SWEEP_EVERY_MS, async () => void (await this.challenges.sweep()));
    this.#every(STATUS_EVERY_MS, () => this.#look());
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#dnsTimer);
    this.#files.close();
    this.#tickets.close();
    await this.#keeper?.close();
    await this.#dns?.close();
    this.#transport?.close();
  }

  #makeKeeper(): CertificateKeeper | undefined {
    const { tls, store, config, permit } = this.#deps;
    const { acme } = tls;
    if (acme === undefined || this.#transport === undefined) return undefined;
    return new CertificateKeeper({
      store,
      index: this.#index,
      certificates: new CertificateStore(store),
      account: new AcmeAccount({
        store,
        directoryUrl: acme.directoryUrl,
        transport: this.#transport,
        request: {
          termsOfServiceAgreed: true,
          ...(acme.email === undefined ? {} : { emails: [acme.email] }),
          externalAccount: readExternalAccount(acme.externalAccount),
        },
      }),
      solvers: this.#solvers(),
      budget: new CertificateBudget({
        store,
        perOwnerPerDay: config.customDomains.perOwnerPerDay,
        perHour: config.customDomains.perHour,
      }),
      permit,
      profile: acme.profile,
      holder: `${hostname()} ${process.pid}`,
      now: Date.now,
      onEvent: (event) => this.#onEvent(event),
    });
  }

  #solvers(): ChallengeSolver[] {
    const { acme, dns, redirectHttp } = this.#deps.tls;
    const all = [
      this.challenges.tlsAlpnSolver(),
      // Otherwise port 80 belongs to the tunnels.
      ...(redirectHttp ? [this.challenges.httpSolver()] : []),
      ...(dns === undefined ? [] : [this.challenges.dnsSolver((name) => this.#recordOf(name))]),
    ];
    const choice = acme?.challenge ?? 'auto';
    // With a zone of its own, the relay's names are proven there first: that works behind any load balancer.
    if (choice === 'auto') return dns === undefined ? all : all.toReversed();
    return all.filter(({ type }) => type === choice);
  }

  /** Only our own domains have a record in the zone by which they can be proven. */
  #recordOf(name: string): string | undefined {
    const { tls, config } = this.#deps;
    return tls.dns !== undefined && config.domains.includes(name) ? challengeRecordOf(tls.dns.zone, name) : undefined;
  }

  #want(): void {
    const { config, tls } = this.#deps;
    const profile = tls.acme?.profile;
    for (const domain of config.domains) {
      if (isBrought(this.#index, domain)) continue;
      const hasWildcard = tls.dns !== undefined && isIP(domain) === 0;
      this.#keeper?.want({ names: hasWildcard ? [domain, `*.${domain}`] : [domain], profile });
    }
  }

  /** Where several processes serve, one of them has the port; another takes it when that ends. */
  async #startDns(): Promise<void> {
    const { tls, log, config } = this.#deps;
    if (tls.dns === undefined || this.#closed) return;
    const { zone, nameServer, listen } = tls.dns;
    const responder = new DnsResponder({
      zone,
      nameServers: [nameServer],
      txtValues: (name) => this.challenges.txtValues(name),
    });
    try {
      const listener = await listenForDns(responder, listen);
      this.#dns = listener;
      const records = config.domains
        .filter((name) => isIP(name) === 0)
        .map((name) => delegationOf(zone, name, nameServer));
      log.info({
        event: 'dns listening',
        zone,
        port: listener.port,
        records: records.map(({ name, type, value }) => `${name}. ${type} ${value}.`),
      });
    } catch (err) {
      const detail = err instanceof Error ? err.message : String(err);
      if (this.#dnsTimer === undefined) log.warn({ event: 'dns not listening', zone, detail });
      this.#dnsTimer = setTimeout(() => void this.#startDns(), DNS_RETRY_MS);
      this.#dnsTimer.unref();
    }
  }

  #brought(certificate: ServedCertificate): void {
    this.#index.set(certificate);
    this.#deps.log.info({
      event: 'certificate loaded',
      names: certificate.names,
      until: new Date(certificate.notAfterMs).toISOString(),
    });
    this.#chooseDefault();
  }

  /** For visitors without SNI: they came by address, if the relay has one, or else to the first domain with a certificate. */
  #chooseDefault(): void {
    const { domains } = this.#deps.config;
    const addresses = domains.filter((domain) => isIP(domain) !== 0);
    for (const domain of [...addresses, ...domains]) {
      const found = this.#index.find(domain) ?? this.#index.find(`any.${domain}`);
      if (found === undefined) continue;
      this.serving.setDefault({ key: found.keyPem, cert: found.chainPem });
      return;
    }
  }

  #onEvent(event: CertificateEvent): void {
    const { log } = this.#deps;
    const { names } = event;
    if (event.type === 'issued') {
      const until = new Date(event.notAfterMs).toISOString();
      log.info({ event: event.isRenewal ? 'certificate renewed' : 'certificate issued', names, until });
    } else if (event.type === 'failed') {
      const { code, message, hint } = event.error;
      const next = new Date(event.nextTryAtMs).toISOString();
      log.error({ event: 'certificate order failed', names, code, detail: message, hint, next_try: next });
    } else {
      const until = new Date(event.notAfterMs).toISOString();
      log.warn({ event: 'certificate about to expire', names, until, last_error: event.lastError });
    }
    // Once what the event tells is stored.
    setImmediate(() => this.#lookNow());
  }

  #lookNow(): void {
    this.#look().catch((err: unknown) => this.#deps.log.error({ event: 'certificates', err }));
  }

  async #look(): Promise<void> {
    this.#chooseDefault();
    this.#status = (await this.#keeper?.status()) ?? [];
  }

  #every(ms: number, work: () => Promise<void>): void {
    const timer = setInterval(() => {
      work().catch((err: unknown) => this.#deps.log.error({ event: 'certificates', err }));
    }, ms);
    timer.unref();
    this.#timers.push(timer);
  }
}

async function listenForDns(responder: DnsResponder, { host, port }: ListenAddress): Promise<DnsListener> {
  const listener = new DnsListener({ responder, host: host ?? '::', port });
  try {
    await listener.start();
    return listener;
  } catch (error) {
    const isWithoutSix = error instanceof Error && 'code' in error && error.code === 'EAFNOSUPPORT';
    if (host !== undefined || !isWithoutSix) throw error;
    return await listenForDns(responder, { host: '0.0.0.0', port });
  }
}

/** Whether the operator brought one for it and its subdomains. */
function isBrought(index: CertificateIndex, domain: string): boolean {
  return [domain, `any.${domain}`].every((name) => (index.find(name)?.priority ?? 0) > 0);
}

function namesOf(config: RelayConfig): string[] {
  return config.domains.flatMap((domain) => (isIP(domain) === 0 ? [domain, `*.${domain}`] : [domain]));
}

function readOptional(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readText(file);
}

function readExternalAccount(
  account: { readonly kid: string; readonly hmacKeyFile: string } | undefined,
): ExternalAccount | undefined {
  return account === undefined ? undefined : { kid: account.kid, hmacKey: readText(account.hmacKeyFile).trim() };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new PortholeError('FILE_UNREADABLE', `${file}: ${code}`, { cause });
  }
}
