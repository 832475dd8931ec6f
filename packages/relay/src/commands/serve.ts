/** `porthole-relay serve`: runs a relay until somebody asks it to stop, then drains; alone or as workers under a supervisor. */
import { TokenRegistry } from '../access/token-registry.ts';
import type { RelayConfig } from '../config/config.ts';
import { createLog, type Log } from '../observe/log.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import { PidFile } from '../supervisor/pid-file.ts';
import { type Listening, RunningRelay } from './running-relay.ts';
import { type Flags, settle } from './settle.ts';
import type { Serving } from './serving.ts';
import { stopRequests } from './stop-requests.ts';
import { supervise } from './supervise.ts';
import type { ServeWorld } from './world.ts';

export async function serve(flags: Flags, world: ServeWorld): Promise<number> {
  const { config } = settle(flags, world);
  const log = createLog(config.logLevel, world.logOutput);
  const store = openStore(config.dataDir, { onError: (err) => log.error({ event: 'store failed', err }) });
  const pidFile = new PidFile(config.dataDir);
  let isStopped = false;
  try {
    pidFile.claim(world.pid);
    const announce = (listening: Listening): Promise<void> => sayWhere(listening, config, store, log, world);
    if (config.workers === 0) await serveAlone({ config, store, log, pidFile, world }, announce);
    else await supervise({ config, store, log, pidFile, world }, () => settle(flags, world).config, announce);
    isStopped = true;
    return 0;
  } finally {
    await store.close();
    pidFile.release();
    // What did not start has not stopped.
    if (isStopped) log.info({ event: 'stopped' });
    await world.logOutput.flush();
  }
}

async function serveAlone(
  { config, store, log, world }: Serving,
  announce: (listening: Listening) => Promise<void>,
): Promise<void> {
  const running = new RunningRelay(config, store, log, world);
  try {
    const stop = stopRequests(world);
    world.onHangUp(stop.ask);
    await announce(await running.start());
    await stop.first;
    // Whoever asks twice does not want to wait.
    await Promise.race([running.drain(), stop.second]);
  } finally {
    await running.close();
  }
}

async function sayWhere(
  listening: Listening,
  config: RelayConfig,
  store: Store,
  log: Log,
  world: ServeWorld,
): Promise<void> {
  log.info({ event: 'listening', ...listening });
  if (world.isTty) world.note(`Porthole relay for *.${config.domains[0]} on ${listening.url} (Ctrl-C stops it)`);
  if (config.open) {
    log.warn({ event: 'open', detail: 'agents on this machine need no token' });
    return;
  }
  const tokens = await new TokenRegistry(store).list();
  if (tokens.some((token) => token.revokedAt === undefined)) return;
  log.warn({ event: 'no tokens', detail: 'no agent can come in: porthole-relay token add <user>' });
}
