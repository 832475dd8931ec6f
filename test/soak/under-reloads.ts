/** The part of the soak in which the relay is reloaded again and again: whoever visits meanwhile must see nothing of it. */
import { readFileSync } from 'node:fs';
import { startAgent } from '../harness/agent.ts';
import { startOrigin } from '../harness/origin.ts';
import { openFiles, residentBytes } from '../harness/process-usage.ts';
import { startRawOrigin } from '../harness/raw-origin.ts';
import { startRelay } from '../harness/relay.ts';
import { ReloadLoad, slowRoute } from '../harness/reload-load.ts';
import { until } from '../harness/until.ts';
import { type Print, tableRow } from './table.ts';

export interface ReloadSoak {
  readonly seconds: number;
  readonly reloads: number;
  readonly workers: number;
}

const MIB = 1024 * 1024;
/** The longest a generation may take to be empty when nobody visits any more. */
const EMPTY_MS = 30_000;

/** Resolves to whether no visitor saw an error and nothing of the old generations is left. */
export async function soakUnderReloads(print: Print, { seconds, reloads, workers }: ReloadSoak): Promise<boolean> {
  const origin = await startOrigin({ route: slowRoute });
  const echo = await startRawOrigin();
  echo.server.on('connection', (socket) => socket.pipe(socket));
  const relay = await startRelay({ tcpPorts: 2, config: { workers } });
  const token = await relay.addToken('soak');
  const web = await startAgent({ relayUrl: relay.url, token, target: origin.port });
  const tcp = await startAgent({ relayUrl: relay.url, token, target: echo.port, kind: 'tcp' });
  const load = new ReloadLoad({
    url: (await web.url()).replace(/\/$/, ''),
    tcpPort: Number(new URL(await tcp.url()).port),
    connections: 8,
    slowMs: (seconds * 1000) / 2,
  });
  const pids = (): Record<string, readonly number[]> => ({
    relay: [relay.pid, ...childrenOf(relay.pid)],
    agents: [web.pid, tcp.pid],
  });

  const before = usageOf(pids());
  print(`\n${reloads} reloads in ${seconds} s, workers: ${workers}`);
  await load.start();
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / (reloads + 1)));
  for (let round = 0; round < reloads; round += 1) {
    await pause();
    await relay.command('reload');
  }
  await pause();
  const messages = await load.stop();
  const isEmpty = await until(
    'the old generations have ended',
    () => childrenOf(relay.pid).length === workers,
    EMPTY_MS,
  ).then(
    () => true,
    () => false,
  );
  const after = usageOf(pids());

  tableRow(print, 'small requests', load.requests);
  tableRow(print, 'slow downloads', load.downloads);
  tableRow(print, 'messages in long streams', messages);
  tableRow(print, 'connections asked to close', load.asked);
  tableRow(print, '', 'at the start', 'at the end');
  for (const [what, was] of before) tableRow(print, what, was, after.get(what) ?? '');
  tableRow(print, 'errors seen by visitors', load.errors.length);
  for (const error of load.errors) print(`    ${error}`);
  const died = [relay.program, web.program, tcp.program].filter((program) => program.exit !== undefined);
  for (const program of died) print(`FAILED ${program.name} ended on its own`);
  if (!isEmpty) print('FAILED an old generation is still there');
  for (const part of [web, tcp, relay, echo, origin]) await part.close();
  return load.errors.length === 0 && isEmpty && died.length === 0;
}

function usageOf(groups: Record<string, readonly number[]>): Map<string, number> {
  const usage = new Map<string, number>();
  for (const [who, pids] of Object.entries(groups)) {
    usage.set(`${who}: processes`, pids.length);
    usage.set(`${who}: resident MiB`, Math.round(pids.reduce((sum, pid) => sum + residentBytes(pid), 0) / MIB));
    usage.set(
      `${who}: open files`,
      pids.reduce((sum, pid) => sum + openFiles(pid), 0),
    );
  }
  return usage;
}

/** The relay's workers: the supervisor's own children. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);
}
