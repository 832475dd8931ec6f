/** The part of the soak in which the carrier, the agents and the relay are damaged all the time, each time survivably. */
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { startCarrierCutter } from '../harness/carrier-cutter.ts';
import { startOrigin } from '../harness/origin.ts';
import { startRawOrigin } from '../harness/raw-origin.ts';
import { startRelay } from '../harness/relay.ts';
import { dealFaults } from './faults.ts';
import { Load } from './load.ts';
import { type Print, printTable } from './table.ts';
import { leftOver, settledUsage, usageOf } from './usage.ts';

/** Heaps that have once been busy; a leak grows with the time, this does not. */
const MEMORY_MIB = 200;
const SETTLE_MS = 45_000;

export interface FaultSoak {
  readonly seconds: number;
  /** What the faults and their lengths are drawn from. */
  readonly seed: number;
}

/** Resolves to whether no visitor saw an error and everything is back where it was. */
export async function soakUnderFaults(print: Print, { seconds, seed }: FaultSoak): Promise<boolean> {
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
  print(`\nfaults for ${seconds} s, seed ${seed}`);
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
  return load.counts.errors.length === 0 && failures.length === 0;
}
