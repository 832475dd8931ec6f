/** `porthole-relay serve`: builds the relay and its admin address, runs until somebody asks it to stop, then drains. */
import { TokenRegistry } from '../access/token-registry.ts';
import { AdminServer } from '../admin/admin-server.ts';
import type { ListenAddress, RelayConfig } from '../config/config.ts';
import { formatPortRanges } from '../config/port-ranges.ts';
import { printListenAddress } from '../config/scalars.ts';
import { createLog, type Log } from '../observe/log.ts';
import { relayMetrics } from '../relay-metrics.ts';
import { relayStatus } from '../relay-status.ts';
import { Relay } from '../relay.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import { type Flags, settle } from './settle.ts';
import type { World } from './world.ts';

export async function serve(flags: Flags, world: World): Promise<number> {
  const { config } = settle(flags, world);
  const log = createLog(config.logLevel, world.logOutput);
  const store = openStore(config.dataDir, { onError: (err) => log.error({ event: 'store failed', err }) });
  const running = new RunningRelay(config, store, log, world);
  try {
    const stop = stopRequests(world);
    await running.start();
    await stop.first;
    // Whoever asks twice does not want to wait.
    await Promise.race([running.drain(), stop.second]);
    return 0;
  } finally {
    await running.close();
    await store.close();
    log.info({ event: 'stopped' });
    await world.logOutput.flush();
  }
}

class RunningRelay {
  readonly #config: RelayConfig;
  readonly #store: Store;
  readonly #log: Log;
  readonly #world: World;
  readonly #relay: Relay;
  readonly #admin: AdminServer | undefined;
  #started = false;

  constructor(config: RelayConfig, store: Store, log: Log, world: World) {
    this.#config = config;
    this.#store = store;
    this.#log = log;
    this.#world = world;
    this.#relay = new Relay(config, { log, store });
    const metrics = relayMetrics(() => this.#relay.insides, world.version);
    metrics.counter({
      name: 'porthole_log_lines_dropped_total',
      help: 'Log lines nobody read in time.',
      read: () => world.logOutput.dropped,
    });
    const sources = {
      notReady: () => (this.#relay.insides.draining ? 'draining' : this.#started ? undefined : 'starting'),
      metrics,
      status: () => relayStatus(this.#relay.insides, world.version, process.uptime()),
      onError: (err: unknown) => log.error({ event: 'admin failed', err }),
    };
    this.#admin = config.admin === undefined ? undefined : new AdminServer(config.admin, sources);
  }

  /** The admin address first: whoever watches sees the start. */
  async start(): Promise<void> {
    const adminPort = await this.#admin?.start();
    const { httpPort, url } = await this.#relay.start();
    this.#started = true;
    const bound = (address: ListenAddress, port: number): string => printListenAddress({ ...address, port });
    const { admin, domains, open, tcp } = this.#config;
    this.#log.info({
      event: 'listening',
      version: this.#world.version,
      http: bound(this.#config.http, httpPort),
      ...(admin === undefined || adminPort === undefined ? {} : { admin: bound(admin, adminPort) }),
      ...(tcp.ports.length === 0 ? {} : { tcp_ports: formatPortRanges(tcp.ports) }),
      domains,
      url,
    });
    if (this.#world.isTty) this.#world.note(`Porthole relay for *.${domains[0]} on ${url} (Ctrl-C stops it)`);
    if (open) this.#log.warn({ event: 'open', detail: 'agents on this machine need no token' });
    else await this.#warnWithoutTokens();
  }

  async drain(): Promise<void> {
    await this.#relay.drain();
  }

  async close(): Promise<void> {
    await this.#relay.close();
    await this.#admin?.close();
  }

  async #warnWithoutTokens(): Promise<void> {
    const tokens = await new TokenRegistry(this.#store).list();
    if (tokens.some((token) => token.revokedAt === undefined)) return;
    this.#log.warn({ event: 'no tokens', detail: 'no agent can come in: porthole-relay token add <user>' });
  }
}

function stopRequests(world: World): { first: Promise<void>; second: Promise<void> } {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let count = 0;
  world.onStop(() => {
    count += 1;
    if (count === 1) first.resolve();
    else second.resolve();
  });
  return { first: first.promise, second: second.promise };
}
