/**
 * `npm run soak [-- --seconds N --seed N]`: a mixed load over a tunnel whose carrier is damaged all the time. Ends with a
 * table, and with exit code 1 when a visitor saw an error or something did not come back to where it was.
 * `npm run soak -- resume` runs `test/e2e/survival/resume.test.ts` in full size; any of its neighbours likewise.
 * `npm run soak -- thin-line` measures over long and thin lines (`bench/wan`).
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { startCarrierCutter } from '../harness/carrier-cutter.ts';
import { startOrigin } from '../harness/origin.ts';
import { startRawOrigin } from '../harness/raw-origin.ts';
import { startRelay } from '../harness/relay.ts';
import { thinLine } from '../../bench/wan/main.ts';
import { dealFaults } from './faults.ts';
import { runInFull } from './in-full.ts';
import { Load } from './load.ts';
import { printTable } from './table.ts';
import { leftOver, settledUsage, usageOf } from './usage.ts';

const DEFAULT_SECONDS = 600;
/** Heaps that have once been busy; a leak grows with the time, this does not. */
const MEMORY_MIB = 200;
const SETTLE_MS = 45_000;

const print = (line = ''): void => void process.stdout.write(`${line}\n`);

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string' }, seed: { type: 'string' } },
  allowPositionals: true,
});
const seconds = Number(values.seconds ?? DEFAULT_SECONDS);
const seed = Number(values.seed ?? 1);
const isThinLine = positionals.length === 1 && positionals[0] === 'thin-line';
const unknown = isThinLine ? [] : positionals.filter((name) => !existsSync(survivalTest(name)));
if (!(seconds > 0) || !Number.isInteger(seed) || unknown.length > 0) {
  process.stderr.write(
    'usage: npm run soak [-- --seconds N --seed N], or npm run soak -- <test of test/e2e/survival> …\n',
  );
  process.exit(2);
}

function survivalTest(name: string): string {
  return fileURLToPath(new URL(`../e2e/survival/${name}.test.ts`, import.meta.url));
}

async function soak(): Promise<number> {
  const origin = await startOrigin({ keepAliveTimeoutMs: 2_000 });
  const echo = await startRawOrigin();
  echo.server.on('connection', (socket) => socket.pipe(socket));
  const relay = await startRelay({ tcpPorts: 2, config: { heartbeat: '1s', wait: '30s', grace: '60s' } });
  const token = await relay.addToken('soak');
  const cutter = await startCarrierCutter({ port: () => relay.port });
  const common = { relayUrl: cutter.url, token, jumpyClock: true };
  const http = await startAgent({ ...common, target: origin.port, name: 'soak' });
  const tcp = await startAgent({ ...common, target: echo.port, kind: 'tcp' });
  const agents: AgentUnderTest[] = [http, tcp];
  const load = new Load({ url: await http.url(), tcpPort: Number(new URL(await tcp.url()).port), origin });

  const before = await usageOf(relay, agents);
  const stop = new AbortController();
  print(`soak: ${seconds} s, seed ${seed}`);
  load.start();
  const dealt = dealFaults({ cutter, agents, relay }, seed, stop.signal);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  stop.abort();
  const faults = await dealt;
  await load.stop();
  const after = await settledUsage(relay, agents, before, MEMORY_MIB, SETTLE_MS);

  const failures = leftOver(before, after, MEMORY_MIB);
  for (const program of [relay.program, ...agents.map((agent) => agent.program)])
    if (program.exit !== undefined) failures.push(`${program.name} ended on its own`);
  const resumes = (await relay.metric('porthole_resumes_total')) ?? 0;
  printTable(print, { counts: load.counts, faults, carriers: cutter.linksMade, resumes, before, after, failures });

  for (const part of [http, tcp, cutter, relay, origin, echo]) await part.close();
  return load.counts.errors.length === 0 && failures.length === 0 ? 0 : 1;
}

if (isThinLine) process.exitCode = await thinLine();
else process.exitCode = positionals.length > 0 ? await runInFull(positionals.map(survivalTest)) : await soak();
