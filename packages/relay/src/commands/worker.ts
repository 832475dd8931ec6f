/** `porthole-relay worker`: one of the processes under a supervisor. Nobody but the supervisor calls it. */
import { PortholeError } from '@porthole/protocol';
import { createLog, type Log } from '../observe/log.ts';
import { Peers } from '../peers/peers.ts';
import { registryLimits } from '../relay.ts';
import { SharedSessionPlaces } from '../routing/session-places.ts';
import { SharedRouteRegistry } from '../routing/shared-registry.ts';
import { openStore } from '../store/open-store.ts';
import type { StartMessage } from '../supervisor/channel-messages.ts';
import { WorkerChannel } from '../supervisor/worker-channel.ts';
import { MAX_REPORT_CHARS, type ReportKind } from '../supervisor/worker-reports.ts';
import { RunningRelay } from './running-relay.ts';
import type { Serving } from './serving.ts';
import { type Flags, settle } from './settle.ts';
import { type StopRequests, stopRequests } from './stop-requests.ts';
import type { ServeWorld } from './world.ts';

/** Without a supervisor a worker finishes what is under way, but makes room for the next relay soon. */
const ORPHAN_DRAIN_MS = 30_000;

export async function work(flags: Flags, world: ServeWorld): Promise<number> {
  const { parent } = world;
  if (parent === undefined) throw new PortholeError('USAGE', 'only `porthole-relay serve` starts workers');
  const stop = stopRequests(world);
  // The supervisor decides what a SIGHUP to the whole group means.
  world.onHangUp(() => {});
  const channel = new WorkerChannel(parent);
  try {
    // The supervisor has warned.
    const { config } = settle(flags, world, false);
    const start = await Promise.race([channel.begin(), channel.orphaned]);
    if (start === undefined) return 1;
    const log = withNode(createLog(config.logLevel, world.logOutput), start.node);
    const store = openStore(config.dataDir, { onError: (err) => log.error({ event: 'store failed', err }) });
    try {
      await run({ config, store, log, world }, channel, start, stop);
    } finally {
      await store.close();
      await world.logOutput.flush();
    }
    return 0;
  } catch (error) {
    if (!(error instanceof PortholeError)) throw error;
    // The supervisor says it, once and where somebody looks.
    channel.failed(error);
    return 1;
  }
}

async function run(
  { config, store, log, world }: Omit<Serving, 'pidFile'>,
  channel: WorkerChannel,
  start: StartMessage,
  stop: StopRequests,
): Promise<void> {
  const reportBug = (err: unknown): void => log.error({ event: 'fault', err });
  const peers = new Peers({
    node: start.node,
    folder: start.folder,
    ownTarget: (lease) => registry.ownTarget(lease),
    takeCarrier: (carrier, heard) => running.relay.takeCarrier(carrier, heard),
    reportBug,
  });
  const registry = new SharedRouteRegistry({
    node: start.node,
    link: channel,
    limits: registryLimits(config),
    peerTarget: (holder, onDoubt) => peers.targetOf(holder, onDoubt),
    onPortFreed: (port) => running.relay.closePort(port),
  });
  const running = new RunningRelay(config, store, log, world, {
    registry,
    places: new SharedSessionPlaces(channel, config.limits),
    ports: channel,
    peers,
    fds: start.fds,
  });
  for (const update of start.routes) registry.apply(update);
  channel.connect(registry);
  channel.answer((kind, maxChars) => reportOf(running, kind, maxChars));
  try {
    await peers.start();
    channel.ready(await running.start());
    log.debug({ event: 'worker ready', generation: start.generation });
    const order = await Promise.race([channel.drain, channel.orphaned, stop.first]);
    const limitMs = order?.limitMs ?? Math.min(config.drainMs, ORPHAN_DRAIN_MS);
    await Promise.race([running.drain({ limitMs, moves: order?.moves === true }), stop.second]);
  } finally {
    peers.close();
    await running.close();
    // What was counted since it was last asked is part of what the relay counted.
    channel.report('metrics', MAX_REPORT_CHARS);
  }
}

function reportOf(running: RunningRelay, kind: ReportKind, maxChars: number): string {
  switch (kind) {
    case 'pulse':
      return '';
    case 'metrics':
      return JSON.stringify(running.metrics.read());
    case 'status':
      return JSON.stringify(running.status(maxChars));
  }
}

/** Every line says which process it comes from. */
function withNode(log: Log, node: string): Log {
  return {
    isDebug: log.isDebug,
    debug: (fields) => log.debug({ ...fields, node }),
    info: (fields) => log.info({ ...fields, node }),
    warn: (fields) => log.warn({ ...fields, node }),
    error: (fields) => log.error({ ...fields, node }),
  };
}
