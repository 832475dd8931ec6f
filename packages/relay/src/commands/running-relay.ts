/** A relay and its admin address in one process. */
import { AdminServer } from '../admin/admin-server.ts';
import type { ListenAddress, RelayConfig } from '../config/config.ts';
import { formatPortRanges } from '../config/port-ranges.ts';
import { printListenAddress } from '../config/scalars.ts';
import type { Log } from '../observe/log.ts';
import { relayMetrics } from '../relay-metrics.ts';
import { relayStatus } from '../relay-status.ts';
import { type DrainOptions, Relay, type WorkerDeps } from '../relay.ts';
import type { Store } from '../store/store.ts';
import type { World } from './world.ts';

/** Where a relay can be reached, in the words of its log. */
export type Listening = Readonly<Record<string, unknown>> & { readonly url: string };

/** One process that takes visitors and agents: the whole relay, or a worker of one. */
export class RunningRelay {
  readonly #config: RelayConfig;
  readonly #world: World;
  readonly #adminFd: number | undefined;
  readonly relay: Relay;
  readonly #admin: AdminServer | undefined;
  #started = false;

  constructor(config: RelayConfig, store: Store, log: Log, world: World, worker?: WorkerDeps) {
    this.#config = config;
    this.#world = world;
    this.#adminFd = worker?.fds.admin;
    this.relay = new Relay(config, { log, store, ...(worker === undefined ? {} : { worker }) });
    const metrics = relayMetrics(() => this.relay.insides, world.version);
    metrics.counter({
      name: 'porthole_log_lines_dropped_total',
      help: 'Log lines nobody read in time.',
      read: () => world.logOutput.dropped,
    });
    const sources = {
      notReady: () => (this.relay.insides.draining ? 'draining' : this.#started ? undefined : 'starting'),
      metrics,
      status: () => relayStatus(this.relay.insides, world.version, process.uptime()),
      onError: (err: unknown) => log.error({ event: 'admin failed', err }),
    };
    this.#admin =
      config.admin === undefined || (worker !== undefined && worker.fds.admin === undefined)
        ? undefined
        : new AdminServer(config.admin, sources);
  }

  /** The admin address first: whoever watches sees the start. Resolves with what the log is to say of it. */
  async start(): Promise<Listening> {
    const adminPort = await this.#admin?.start(this.#adminFd);
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
    // Another worker answers there by now.
    if (options?.moves === true) await this.#admin?.close();
    await this.relay.drain(options);
  }

  async close(): Promise<void> {
    await this.relay.close();
    await this.#admin?.close();
  }
}
