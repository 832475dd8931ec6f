/**
 * Builds a relay from its parts, starts them in order and stops them in reverse. Nothing else in this package knows
 * all of them.
 */
import { mkdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { CLAIM_FEATURES, MAX_LANES } from '@porthole/protocol';
import { TurnQueue } from '@porthole/protocol/node';
import { ReservedNames } from './access/reserved-names.ts';
import type { Access } from './access/access.ts';
import { CustomDomains, systemDns } from './access/custom-domains.ts';
import { OpenAccess } from './access/open-access.ts';
import { TokenAccess } from './access/token-access.ts';
import { TokenRegistry } from './access/token-registry.ts';
import { type AgentCounters, newAgentCounters } from './agents/agent-counters.ts';
import { AgentDoor } from './agents/agent-door.ts';
import type { AgentParts } from './agents/agent-parts.ts';
import {
  listenOptions,
  type ListenPorts,
  portUrlOf,
  type ProxyProtocolPlace,
  publicUrlOf,
  type RelayConfig,
  type TlsConfig,
} from './config/config.ts';
import { type EdgeCounters, newEdgeCounters } from './edge/counters.ts';
import type { DoorParts } from './edge/door-parts.ts';
import { DEFAULT_TIMEOUTS, type EdgeParts } from './edge/edge-parts.ts';
import { HttpDoor } from './edge/http-door.ts';
import { OwnHosts } from './edge/own-hosts.ts';
import { PortParts } from './edge/port-parts.ts';
import { ProxyArrivals } from './edge/proxy-arrivals.ts';
import { ResponseHeads } from './edge/sound-response.ts';
import { TcpDoor } from './edge/tcp-door.ts';
import { Ticker } from './edge/ticker.ts';
import { newTlsCounters } from './edge/tls-counters.ts';
import { TrustedAddresses } from './edge/trusted-addresses.ts';
import { VisitorLimits } from './edge/visitor-limits.ts';
import { type Log, SILENT_LOG } from './observe/log.ts';
import { ThrottledLog } from './observe/throttled-log.ts';
import type { Peers } from './peers/peers.ts';
import type { TakeCarrier } from './routing/carrier-handover.ts';
import { LeaseJournal } from './routing/lease-journal.ts';
import type { RegistryLimits } from './routing/lease-limits.ts';
import { PortPool } from './routing/port-pool.ts';
import type { PortSource } from './routing/public-ports.ts';
import { LocalRouteRegistry } from './routing/route-registry.ts';
import type { RegistrySizes } from './routing/route-table.ts';
import { LocalSessionPlaces, type SessionPlaces } from './routing/session-places.ts';
import type { SharedRouteRegistry } from './routing/shared-registry.ts';
import { RelayTls, type TlsInsides } from './relay-tls.ts';
import { SqliteStore } from './store/sqlite-store.ts';
import type { Store } from './store/store.ts';

export const SOFTWARE = 'porthole-relay/0.1.0';
const PEER_PATIENCE_MS = 2_000;

export interface RelayAddresses {
  /** Port of the public HTTP address. */
  readonly httpPort: number;
  /** Port of the public HTTPS address, if there is one. */
  readonly httpsPort?: number | undefined;
  /** Where agents dial, and visitors without a tunnel's name arrive. */
  readonly url: string;
}

export interface RelayDeps {
  readonly log?: Log;
  /** Default: SQLite in the configured data folder. */
  readonly store?: Store;
  /** Absent: this process is the whole relay. */
  readonly worker?: WorkerDeps;
}

/** What a worker among several does not do by itself. */
export interface WorkerDeps {
  readonly registry: SharedRouteRegistry;
  readonly places: SessionPlaces;
  readonly ports: PortSource;
  readonly peers: Peers;
  /** Inherited sockets of the public addresses, to listen on instead of binding them. */
  readonly fds: { readonly http?: number; readonly https?: number };
}

export interface DrainOptions {
  /** How long what is under way may take, in milliseconds. Default: as configured. */
  readonly limitMs?: number;
  /** Another generation has taken over: agents are waited for until they have moved there, nobody is hurried. */
  readonly moves?: boolean;
}

/** What the admin address and the metrics read. */
export interface RelayInsides {
  readonly edge: EdgeCounters;
  readonly agents: AgentCounters;
  readonly agentDoor: AgentDoor;
  readonly tls: TlsInsides | undefined;
  readonly registry: { readonly sizes: RegistrySizes };
  readonly draining: boolean;
}

export class Relay {
  readonly #config: RelayConfig;
  readonly #log: Log;
  readonly #throttledLog: ThrottledLog;
  readonly #store: Store;
  readonly #names: ReservedNames;
  readonly #registry: LocalRouteRegistry | SharedRouteRegistry;
  readonly #worker: WorkerDeps | undefined;
  readonly #edgeCounters = newEdgeCounters();
  readonly #agentCounters = newAgentCounters();
  readonly #agentDoor: AgentDoor;
  readonly #httpDoor: HttpDoor;
  readonly #tcpDoor: TcpDoor;
  readonly #portParts: PortParts;
  readonly #tls: RelayTls | undefined;
  readonly #customDomains: CustomDomains | undefined;
  readonly #arrivals: ProxyArrivals | undefined;
  readonly #tlsCounters = newTlsCounters();
  #ports: ListenPorts = { http: 0 };
  #draining = false;
  #closed: Promise<void> | undefined;

  /** Throws STORE_FAILED when the data folder cannot be used. Opens no sockets before `start`. */
  constructor(config: RelayConfig, deps: RelayDeps = {}) {
    this.#config = config;
    this.#log = deps.log ?? SILENT_LOG;
    this.#throttledLog = new ThrottledLog(this.#log);
    this.#store = deps.store ?? openStore(config.dataDir);
    this.#names = new ReservedNames(this.#store);
    this.#worker = deps.worker;
    this.#registry = deps.worker?.registry ?? this.#localRegistry();
    const { customDomains, domains } = config;
    this.#customDomains = customDomains.enabled
      ? new CustomDomains({ store: this.#store, dns: systemDns(customDomains.resolvers), domain: domains[0] })
      : undefined;
    const { from } = config.proxyProtocol;
    if (from.length > 0)
      this.#arrivals = new ProxyArrivals({
        from: new TrustedAddresses(from),
        log: this.#log,
        counters: this.#tlsCounters,
      });
    const edgeParts = this.#edgeParts();
    const acceptHttp = (socket: Socket, port: number): void => this.#acceptAt(port, socket);
    this.#tcpDoor = new TcpDoor(
      config.tcp.address,
      { ...edgeParts, acceptHttp, arrivals: this.#arrivalsAt('tcp') },
      deps.worker?.ports,
    );
    this.#agentDoor = new AgentDoor(this.#agentParts());
    const doorParts = this.#doorParts(edgeParts);
    this.#portParts = new PortParts(doorParts);
    this.#httpDoor = new HttpDoor(doorParts);
    this.#tls = config.tls === undefined ? undefined : this.#relayTls(config.tls, edgeParts);
  }

  get insides(): RelayInsides {
    return {
      edge: this.#edgeCounters,
      agents: this.#agentCounters,
      agentDoor: this.#agentDoor,
      tls: this.#tls?.insides,
      registry: this.#registry,
      draining: this.#draining,
    };
  }

  /**
   * What is durable is read before anybody can come in: who holds which address, and which names are kept for whom.
   * Rejects with ADDRESS_IN_USE, STORE_FAILED.
   */
  async start(): Promise<RelayAddresses> {
    await this.#names.start();
    await this.#registry.start();
    await this.#tls?.prepare();
    // Agents may be waiting at the door, and are told URLs at once.
    const httpsPort = await this.#tls?.start(this.#worker?.fds.https);
    this.#ports = { http: this.#config.http.port, https: httpsPort };
    const fd = this.#worker?.fds.http;
    const door = this.#tls?.redirect ?? this.#httpDoor;
    const address = await door.start(fd === undefined ? listenOptions(this.#config.http) : { fd });
    this.#ports = { http: address.port, https: httpsPort };
    this.#tcpDoor.start();
    const url = publicUrlOf(this.#config, this.#config.domains[0], this.#ports);
    return { httpPort: address.port, httpsPort, url };
  }

  /**
   * Stops in the order in which nobody is cut off: no new visitors and agents, exchanges under way finish (for at most
   * the configured time) while their agents are still here, then the agents, then the store.
   */
  async drain({ limitMs = this.#config.drainMs, moves = false }: DrainOptions = {}): Promise<void> {
    if (this.#draining) return this.#closed;
    this.#draining = true;
    this.#log.info({ event: 'draining', visitors: this.#edgeCounters.visitorsOpen, limit_ms: limitMs });
    this.#agentDoor.drain(limitMs);
    const agentsMoved = moves ? this.#agentDoor.untilMoved(limitMs) : undefined;
    const end = performance.now() + limitMs;
    await Promise.all([
      this.#httpDoor.drain(limitMs, moves),
      this.#tls?.drain(limitMs),
      this.#tcpDoor.drain(limitMs),
      agentsMoved,
    ]);
    // Others' visitors have the same time, and are told by their own worker that it is over.
    await this.#worker?.peers.untilIdle(end - performance.now() + PEER_PATIENCE_MS);
    await this.close();
  }

  /** A carrier that another worker took in for a session of this one. */
  readonly takeCarrier: TakeCarrier = (carrier, heard) => this.#agentDoor.takePassed(carrier, heard);

  /** Nobody holds the port any more. */
  closePort(port: number): void {
    this.#tcpDoor.close(port);
  }

  /** At once. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#draining = true;
    this.#arrivals?.close();
    await Promise.all([this.#httpDoor.close(), this.#tls?.close(), this.#tcpDoor.drain(0)]);
    this.#agentDoor.close();
    this.#worker?.peers.close();
    await this.#registry.close();
    this.#names.close();
    await this.#tls?.closeCertificates();
    await this.#store.close();
  }

  #relayTls(tls: TlsConfig, edge: EdgeParts): RelayTls {
    return new RelayTls({
      config: this.#config,
      tls,
      edge,
      httpDoor: this.#httpDoor,
      partsOf: (port) => this.#partsOf(port),
      store: this.#store,
      names: this.#names,
      customDomains: this.#customDomains,
      holderOf: (host) => this.#registry.ownerOf(host),
      log: this.#log,
      counters: this.#tlsCounters,
      arrivals: this.#arrivalsAt('https'),
      plainArrivals: this.#arrivalsAt('http'),
      secureUrlOf: (host) => publicUrlOf(this.#config, host, this.#ports),
    });
  }

  /** A visitor of a tunnel by port that speaks HTTP. */
  #acceptAt(port: number, socket: Socket): void {
    if (this.#tls === undefined) this.#httpDoor.accept(socket, 'http', undefined, this.#partsOf(port));
    else this.#tls.accept(socket, port);
  }

  #partsOf(port: number | undefined): DoorParts | undefined {
    return port === undefined ? undefined : this.#portParts.of(port);
  }

  #localRegistry(): LocalRouteRegistry {
    const journal = new LeaseJournal(this.#store, (err) => this.#log.error({ event: 'lease journal failed', err }));
    return new LocalRouteRegistry({ journal, limits: registryLimits(this.#config) });
  }

  #edgeParts(): EdgeParts {
    const { limits, trustedProxies, waitMs } = this.#config;
    const trusted = new TrustedAddresses(trustedProxies);
    const reportBug = (err: unknown): void => this.#log.error({ event: 'fault', err });
    return {
      registry: this.#registry,
      turns: new TurnQueue(reportBug),
      heads: new ResponseHeads(),
      ticker: new Ticker(),
      counters: this.#edgeCounters,
      limits: new VisitorLimits(limits.maxVisitors, limits.maxVisitorsPerAddress, trusted),
      trusted,
      reportBug,
      acceptFailed: (err) => {
        this.#edgeCounters.acceptsFailedTotal += 1;
        this.#throttledLog.error('system', { event: 'connection not accepted', err });
      },
      timeouts: {
        ...DEFAULT_TIMEOUTS,
        headMs: limits.headTimeoutMs,
        keepAliveIdleMs: limits.idleTimeoutMs,
        visitorStallMs: limits.stallTimeoutMs,
        responseIdleMs: limits.responseTimeoutMs,
        waitMs,
      },
    };
  }

  #doorParts(parts: EdgeParts): DoorParts {
    const { limits, domains } = this.#config;
    return {
      ...parts,
      headLimits: {
        maxHeadBytes: limits.maxHeadBytes,
        maxFields: limits.maxFields,
        maxTargetBytes: limits.maxTargetBytes,
      },
      ownHosts: new OwnHosts(domains),
      viaName: 'porthole',
      agentUpgrade: this.#agentDoor,
      h2c: this.#config.h2c,
      arrivals: this.#arrivalsAt('http'),
    };
  }

  #arrivalsAt(place: ProxyProtocolPlace): ProxyArrivals | undefined {
    return this.#config.proxyProtocol.at.includes(place) ? this.#arrivals : undefined;
  }

  #agentParts(): AgentParts {
    const { limits, domains, graceMs, heartbeatMs } = this.#config;
    return {
      access: this.#access(),
      registry: this.#registry,
      places: this.#worker?.places ?? new LocalSessionPlaces(limits),
      portPool: new PortPool(this.#config.tcp.ports, this.#registry),
      publicPorts: this.#tcpDoor,
      counters: this.#agentCounters,
      limits,
      log: this.#log,
      throttledLog: this.#throttledLog,
      domains,
      customDomains: this.#customDomains,
      hasTls: this.#config.tls !== undefined,
      asksCertificates: this.#config.tls?.redirectHttp === true,
      portHost: this.#config.publicUrl?.host ?? domains[0],
      software: SOFTWARE,
      heartbeatMs,
      graceMs,
      maxLanes: MAX_LANES,
      handover: this.#worker?.peers,
      urlOf: (host) => publicUrlOf(this.#config, host, this.#ports),
      portUrlOf: (protocol, host, port) => portUrlOf(this.#config, protocol, host, port),
      welcome: (who) => ({
        identity: who.identity,
        graceMs,
        heartbeatMs,
        maxLanes: MAX_LANES,
        features: CLAIM_FEATURES,
      }),
    };
  }

  #access(): Access {
    return this.#config.open ? new OpenAccess() : new TokenAccess(new TokenRegistry(this.#store), this.#names);
  }
}

/** The same for whoever grants leases: this process, or the registrar of several. */
export function registryLimits({ graceMs, limits }: RelayConfig): Partial<RegistryLimits> {
  return {
    graceMs,
    maxLeases: limits.maxTunnels,
    maxWaiting: limits.maxWaiting,
    maxWaitingPerAddress: limits.maxWaitingPerTunnel,
  };
}

function openStore(dataDir: string): Store {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  return SqliteStore.open(join(dataDir, 'porthole.db'));
}
