/**
 * `npm run soak -- [seconds] [seed]`: a mixed load over a tunnel whose carrier is damaged all the time. Ends with a table
 * and with exit code 1 when a visitor saw an error or something did not come back to where it was.
 */
import { startAgent } from '../harness/agent.ts';
import { startCarrierCutter } from '../harness/carrier-cutter.ts';
import { startOrigin } from '../harness/origin.ts';
import { openFiles, residentBytes } from '../harness/process-usage.ts';
import { startRawOrigin } from '../harness/raw-origin.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { until } from '../harness/until.ts';
import { dealFaults } from './faults.ts';
import { Load } from './load.ts';

const MIB = 1024 * 1024;
const seconds = Number(process.argv[2] ?? process.env['PORTHOLE_SOAK_SECONDS'] ?? 600);
const seed = Number(process.argv[3] ?? 1);
if (!(seconds > 0) || !Number.isInteger(seed)) {
  process.stderr.write('usage: npm run soak -- [seconds] [seed]\n');
  process.exit(2);
}

interface Usage {
  readonly relayMib: number;
  readonly agentMib: number;
  readonly relayFiles: number;
  readonly agentFiles: number;
  readonly streams: number;
}

async function usage(relay: RelayUnderTest, agentPid: number): Promise<Usage> {
  return {
    relayMib: Math.round(residentBytes(relay.pid) / MIB),
    agentMib: Math.round(residentBytes(agentPid) / MIB),
    relayFiles: openFiles(relay.pid),
    agentFiles: openFiles(agentPid),
    streams: (await relay.metric('porthole_streams')) ?? 0,
  };
}

const print = (line = ''): void => void process.stdout.write(`${line}\n`);

async function soak(): Promise<number> {
  const origin = await startOrigin({ keepAliveTimeoutMs: 2_000 });
  const echo = await startRawOrigin();
  echo.server.on('connection', (socket) => socket.pipe(socket));
  const relay = await startRelay({ tcpPorts: 2, config: { heartbeat: '1s', wait: '30s', grace: '60s' } });
  const token = await relay.addToken('soak');
  const cutter = await startCarrierCutter({ port: () => relay.port });
  const http = await startAgent({ relayUrl: cutter.url, token, target: origin.port, name: 'soak' });
  const tcp = await startAgent({ relayUrl: cutter.url, token, target: echo.port, kind: 'tcp' });
  const load = new Load({ url: await http.url(), tcpPort: Number(new URL(await tcp.url()).port), origin });

  const before = await usage(relay, http.pid);
  const stop = new AbortController();
  print(`soak: ${seconds} s, seed ${seed}`);
  load.start();
  const dealt = dealFaults({ cutter, agents: [http, tcp], relay }, seed, stop.signal);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  stop.abort();
  const faults = await dealt;
  await load.stop();
  // Visitors are gone: everything of theirs has to be, too.
  let after = await usage(relay, http.pid);
  const settled = await until(
    'streams and files are back',
    async () => {
      after = await usage(relay, http.pid);
      return (
        after.streams <= before.streams &&
        after.relayFiles <= before.relayFiles + 4 &&
        after.agentFiles <= before.agentFiles + 4
      );
    },
    30_000,
  ).catch(() => false);

  const { counts } = load;
  print('\nload');
  print(`  requests         ${counts.requests}`);
  print(`  transfers        ${counts.transfers}`);
  print(`  bytes            ${Math.round(counts.bytes / MIB)} MiB`);
  print(`  long visits      ${counts.longVisits} with ${counts.messages} messages`);
  print('faults');
  for (const [kind, count] of faults) print(`  ${kind.padEnd(24)} ${count}`);
  print(`  carriers made            ${cutter.linksMade}`);
  print('             relay MiB  agent MiB  relay files  agent files  streams');
  for (const [when, at] of [
    ['at the start', before],
    ['at the end', after],
  ] as const) {
    print(
      `${when.padEnd(14)} ${String(at.relayMib).padStart(7)} ${String(at.agentMib).padStart(10)} ${String(at.relayFiles).padStart(12)} ${String(at.agentFiles).padStart(12)} ${String(at.streams).padStart(8)}`,
    );
  }
  print(`errors seen by visitors: ${counts.errors.length}`);
  for (const error of counts.errors.slice(0, 20)) print(`  ${error}`);
  if (!settled) print('not everything came back to where it was');
  const alive = relay.program.exit === undefined && http.program.exit === undefined && tcp.program.exit === undefined;
  if (!alive) print('a process ended on its own');

  await http.close();
  await tcp.close();
  await cutter.close();
  await relay.close();
  await origin.close();
  await echo.close();
  return counts.errors.length === 0 && settled && alive ? 0 : 1;
}

process.exitCode = await soak();
