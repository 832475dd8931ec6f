/** What relay and agents hold just now: memory, handles, and the sizes of the relay's maps. */
import type { AgentUnderTest } from '../harness/agent.ts';
import { openFiles, residentBytes } from '../harness/process-usage.ts';
import type { RelayUnderTest } from '../harness/relay.ts';
import { until } from '../harness/until.ts';

const MIB = 1024 * 1024;
/** Idle connections to origins come and go, and the metrics' own connection is one. */
const SPARE_FILES = 4;

/** Gauges of `/metrics` that have to be back where they were once nobody visits. */
const GAUGES = [
  'porthole_sessions',
  'porthole_sessions_away',
  'porthole_carriers',
  'porthole_tunnels',
  'porthole_leases',
  'porthole_routes',
  'porthole_streams',
  'porthole_visitors',
  'porthole_exchanges',
  'porthole_upgrades',
  'porthole_tcp_visitors',
  'porthole_waiting',
  'porthole_unacknowledged_bytes',
  'porthole_buffered_bytes',
] as const;

export type Usage = ReadonlyMap<string, number>;

export async function usageOf(relay: RelayUnderTest, agents: readonly AgentUnderTest[]): Promise<Usage> {
  const usage = new Map<string, number>();
  const note = (who: string, pid: number): void => {
    usage.set(`${who}: resident MiB`, Math.round(residentBytes(pid) / MIB));
    usage.set(`${who}: open files`, openFiles(pid));
  };
  note('relay', relay.pid);
  for (const [index, agent] of agents.entries()) note(`agent ${index + 1}`, agent.pid);
  for (const gauge of GAUGES) usage.set(gauge, (await relay.metric(gauge)) ?? Number.NaN);
  return usage;
}

/** What is more than it was, one sentence each. Memory may be a heap that has grown: more than `memoryMib` is too much. */
export function leftOver(before: Usage, after: Usage, memoryMib: number): string[] {
  return [...after].flatMap(([what, now]) => {
    const was = before.get(what) ?? 0;
    const allowed = was + (what.endsWith('MiB') ? memoryMib : what.endsWith('files') ? SPARE_FILES : 0);
    return now <= allowed ? [] : [`${what}: ${was} at the start, ${now} at the end`];
  });
}

/** The usage once nothing is left over, or what there is after `deadlineMs`. */
export async function settledUsage(
  relay: RelayUnderTest,
  agents: readonly AgentUnderTest[],
  before: Usage,
  memoryMib: number,
  deadlineMs: number,
): Promise<Usage> {
  let now = await usageOf(relay, agents);
  await until(
    'everything is back where it was',
    async () => {
      now = await usageOf(relay, agents);
      return leftOver(before, now, memoryMib).length === 0;
    },
    deadlineMs,
  ).catch(() => undefined);
  return now;
}
