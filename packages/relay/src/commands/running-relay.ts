/** A relay and its admin address in one process. */
import { type AdminSources, AdminServer } from '../admin/admin-server.ts';
import type { ListenAddress, RelayConfig } from '../config/config.ts';
import { formatPortRanges } from '../config/port-ranges.ts';
import { printListenAddress } from '../config/scalars.ts';
import type { Log } from '../observe/log.ts';
import { droppedLinesRow, relayMetrics } from '../relay-metrics.ts';
import type { Metrics } from '../observe/metrics.ts';
import { type RelayStatus, relayStatus } from '../relay-status.ts';
import { type DrainOptions, Relay, type WorkerDeps } from '../relay.ts';
import type { Store } from '../store/store.ts';
import type { World } from './world.ts';

/** Where a relay can be reached, in the words of its log. */
export type Listening = Readonly<Record<string, unknown>> & { readonly url: string };

/** One process that takes visitors and agents: the whole relay with its admin address, or a worker of one. */
export class RunningRelay {
  readonly #config: RelayConfig;
  readonly #world: World;
  readonly relay: Relay;
  readonly metrics: Metrics;
  readonly #admin: AdminServer | undefined;
  #started = false;

  constructor(config: RelayConfig, store: Store, log: Log, world: World, worker?: WorkerDeps) {
    this.#config = config;
    this.#world = world;
    this.relay = new Relay(config, { log, store, ...(worker === undefined ? {} : { worker }) });
    this.metrics = relayMetrics(() => this.relay.insides, world.version);
    this.metrics.add([droppedLinesRow(world)]);
    const sources: AdminSources = {
      notAlive: async () => undefined,
      notReady: async () => (this.relay.insides.draining ? 'draining' : this.#started ? undefined : 'starting'),
      metrics: () => this.metrics.render(),
      status: async () => this.status(),
    };
    this.#admin =
      config.admin === undefined || worker !== undefined
        ? undefined
        : new AdminServer(config.admin, { sources, onError: (err) => log.error({ event: 'admin failed', err }) });
  }

  status(maxChars?: number): RelayStatus {
    const options = { version: this.#world.version, uptimeSeconds: process.uptime() };
    return relayStatus(this.relay.insides, maxChars === undefined ? options : { ...options, maxChars });
  }

  /** The admin address first: whoever watches sees the start. Resolves with what the log is to say of it. */
  async start(): Promise<Listening> {
    const adminPort = await this.#admin?.start();
    const { httpPort, httpsPort, url } = await this.relay.start();
    this.#started = true;
    const bound = (address: ListenAddress, port: number): string => printListenAddress({ ...address, port });
    const { admin, domains, tcp, tls } = this.#config;
    return {
      version: this.#world.version,
      http: bound(this.#config.http, httpPort),
      ...(tls === undefined || httpsPort === undefined ? {} : { https: bound(tls.listen, httpsPort) }),
      ...(admin === undefined || adminPort === undefined ? {} : { admin: bound(admin, adminPort) }),
      ...(tcp.ports.length === 0 ? {} : { tcp_ports: formatPortRanges(tcp.ports) }),
      domains,
      url,
    };
  }

  async drain(options?: DrainOptions): Promise<void> {
    await this.relay.drain(options);
  }

  async close(): Promise<void> {
    await this.relay.close();
    await this.#admin?.close();
  }
}
