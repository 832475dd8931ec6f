/** The rows of the table: what is measured, how long, and what must be reached. */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { download, probe, slowReader, upload, wrk, type Place } from './load.ts';
import { openHandles, residentBytes, type Workbench } from './processes.ts';
import { inTurns, percentile } from './rounds.ts';
import { startCrowd } from './crowd.ts';
import { portholeGauges } from './gauges.ts';
import { competitors, inMegabytes, requestRate, type RowKind } from './row-kind.ts';
import { secureRows } from './secure-rows.ts';
import { BULK_FILE, FILES } from './topologies/nginx.ts';
import { startAgent, startRelay } from './topologies/porthole.ts';
import type { Path } from './topologies/topology.ts';

function smallRequests(name: string, title: string, path: string, connections: number, atLeast: number): RowKind {
  return requestRate({
    name,
    title,
    atLeast,
    paths: (setting) => (path === '/small' ? setting.pathsAndBare() : setting.paths),
    measure: async (to, seconds) => (await wrk(to.files, path, connections, seconds)).requestsPerSecond,
  });
}

const VARIED = fileURLToPath(new URL('varied.lua', import.meta.url));

/** Nothing that is remembered of a request or an answer is of use for the next. */
const variedRow = requestRate({
  name: 'varied-64',
  title: '35 bytes, 64 connections, no two requests or answers alike',
  paths: (setting) => setting.paths,
  measure: async (to, seconds) => (await wrk(to.files, '/', 64, seconds, VARIED)).requestsPerSecond,
});

const downloadRow: RowKind = {
  name: 'download',
  measure: async ({ paths, scale }) => {
    const fetchOne = (to: Path): Promise<number> => download(to.files, `/${scale.bulk}`, FILES[scale.bulk]);
    const values = await inTurns(competitors(paths, fetchOne), scale.rounds);
    return {
      title: `one download, ${scale.bulk}`,
      unit: 'MB/s',
      values: inMegabytes(values),
      digits: 0,
      target: { kind: 'ratio', atLeast: 1 },
    };
  },
};

const uploadRow: RowKind = {
  name: 'upload',
  measure: async ({ paths, scale }) => {
    const send = (to: Path): Promise<number> => upload(to.sink, '/upload', FILES[scale.bulk]);
    const values = await inTurns(competitors(paths, send), scale.rounds);
    return {
      title: `one upload, ${scale.bulk}`,
      unit: 'MB/s',
      values: inMegabytes(values),
      digits: 0,
      target: { kind: 'ratio', atLeast: 1 },
    };
  },
};

const farRow: RowKind = {
  name: 'far',
  measure: async ({ farPaths, scale }) => {
    const fetchOne = (to: Path): Promise<number> => download(to.files, `/${scale.bulk}`, FILES[scale.bulk]);
    const values = await inTurns(competitors(await farPaths(), fetchOne), Math.min(2, scale.rounds));
    return {
      title: `one download, ${scale.bulk}, 100 ms line`,
      unit: 'MB/s',
      values: inMegabytes(values),
      digits: 0,
      target: { kind: 'least', value: 60 },
    };
  },
};

const PROBE_GAP_MS = 5;

const sharedRow: RowKind = {
  name: 'shared',
  measure: async ({ bench, paths, scale }) => {
    const seconds = scale.seconds * 1.5;
    const tunnels = new Map([...paths].filter(([name]) => name !== 'direct'));
    const slowdown = async ({ files }: Path, name: string): Promise<number> => {
      const idle = percentile(await probe(files, '/small', seconds, PROBE_GAP_MS), 0.99);
      const busy = percentile(await withBulk(bench, files, () => probe(files, '/small', seconds, PROBE_GAP_MS)), 0.99);
      console.error(`  ${name}: p99 ${idle.toFixed(2)} ms idle, ${busy.toFixed(2)} ms shared`);
      return busy / idle;
    };
    const values = await inTurns(competitors(tunnels, slowdown), scale.rounds);
    return {
      title: 'p99 of small requests beside two downloads and a stalled reader, to idle',
      unit: 'times',
      values,
      digits: 1,
      target: { kind: 'most', value: 3 },
    };
  },
};

/** Two downloads that go on and one reader who has stopped, while `measure` runs. curl costs least beside what is measured. */
async function withBulk<T>(bench: Workbench, place: Place, measure: () => Promise<T>): Promise<T> {
  // One after the other, without end: curl makes a range of it.
  const url = `http://127.0.0.1:${place.port}/${BULK_FILE}?[1-10000]`;
  const loads = [1, 2].map(() => bench.start('curl', ['-s', '-o', '/dev/null', '-H', `Host: ${place.host}`, url]));
  const stalled = slowReader(place, `/${BULK_FILE}`, 0);
  await delay(500);
  try {
    return await measure();
  } finally {
    stalled.stop();
    await Promise.all(loads.map((load) => load.stop()));
  }
}

const idleAgentsRow: RowKind = {
  name: 'idle-agents',
  measure: async ({ bench, scale }) => {
    const each = async (): Promise<number> => {
      const relay = await startRelay(bench);
      const warm = await startCrowd(bench, relay.httpPort, 20);
      const before = residentBytes(relay.program.pid);
      const crowd = await startCrowd(bench, relay.httpPort, scale.crowd);
      await delay(3_000);
      const grown = residentBytes(relay.program.pid) - before;
      await crowd.stop();
      await warm.stop();
      await relay.program.stop();
      return grown / scale.crowd / 1024;
    };
    const values = await inTurns([{ name: 'porthole', measure: each }], Math.min(3, scale.rounds));
    return {
      title: `relay memory for each of ${scale.crowd} idle agents`,
      unit: 'KiB',
      values,
      digits: 1,
      target: { kind: 'most', value: 40 },
    };
  },
};

const SLOW_VISITORS = 20;
const SLOW_BYTES_PER_SECOND = 50_000;

const slowVisitorsRow: RowKind = {
  name: 'slow-visitors',
  measure: async ({ bench, origin, scale }) => {
    const relay = await startRelay(bench);
    const agent = await startAgent(bench, relay.httpPort, origin.filesPort, 'bench');
    const place = { port: relay.httpPort, host: 'bench.localhost' };
    // The first megabytes grow any process; what is asked is what slow readers add.
    await download(place, '/256m', FILES['256m']);
    const [relayBefore, agentBefore] = [residentBytes(relay.program.pid), residentBytes(agent.pid)];
    const readers = Array.from({ length: SLOW_VISITORS }, () => slowReader(place, '/4g', SLOW_BYTES_PER_SECOND));
    let relayMost = 0;
    let agentMost = 0;
    for (let second = 0; second < scale.seconds * 6; second += 1) {
      await delay(1_000);
      relayMost = Math.max(relayMost, residentBytes(relay.program.pid) - relayBefore);
      agentMost = Math.max(agentMost, residentBytes(agent.pid) - agentBefore);
    }
    const read = sum(readers.map((reader) => reader.bytes()));
    if (read < SLOW_VISITORS * SLOW_BYTES_PER_SECOND) throw new Error(`the slow visitors got only ${read} bytes`);
    for (const reader of readers) reader.stop();
    await agent.stop();
    await relay.program.stop();
    console.error(`  relay ${mebibytes(relayMost)}, agent ${mebibytes(agentMost)} MiB more`);
    return {
      title: `relay memory for ${SLOW_VISITORS} visitors reading 4 GB at 50 KB/s, in all`,
      unit: 'MiB',
      values: new Map([['porthole', [relayMost / 2 ** 20]]]),
      digits: 1,
      target: { kind: 'most', value: 64 },
    };
  },
};

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

const churnRow: RowKind = {
  name: 'churn',
  measure: async ({ bench, origin, scale }) => {
    const relay = await startRelay(bench);
    const agent = await startAgent(bench, relay.httpPort, origin.filesPort, 'bench');
    const place = { port: relay.httpPort, host: 'bench.localhost' };
    await visitAndLeave(place, 50);
    await (await startCrowd(bench, relay.httpPort, 10)).stop();
    const settled = async (): Promise<Map<string, number>> => {
      await delay(2_000);
      const gauges = await portholeGauges(relay.adminPort);
      gauges.set('open handles', openHandles(relay.program.pid));
      return gauges;
    };
    const before = await settled();
    await visitAndLeave(place, scale.visitors);
    const crowd = await startCrowd(bench, relay.httpPort, 50, scale.flapping);
    await crowd.line(/flapped/);
    await crowd.stop();
    let left: string[] = [];
    for (let attempt = 0; attempt < 40; attempt += 1) {
      const after = await settled();
      left = [...before]
        .filter(([name, value]) => (after.get(name) ?? 0) > value)
        .map(([name, value]) => `${name}: ${value} -> ${after.get(name)}`);
      if (left.length === 0) break;
    }
    for (const line of left) console.error(`  left behind: ${line}`);
    await agent.stop();
    await relay.program.stop();
    return {
      title: `handles, timers and maps left after ${scale.visitors} visitors and ${scale.flapping} flapping agents`,
      unit: 'kinds',
      values: new Map([['porthole', [left.length]]]),
      digits: 0,
      target: { kind: 'most', value: 0 },
    };
  },
};

/** Opens `count` visitors, 50 at a time; every third leaves in the middle of an answer. */
async function visitAndLeave(place: Place, count: number): Promise<void> {
  const one = async (index: number): Promise<void> => {
    if (index % 3 !== 0) {
      await download(place, '/10k', 10_000);
      return;
    }
    const reader = slowReader(place, '/4g', 1_000_000);
    await delay(20);
    reader.stop();
  };
  for (let done = 0; done < count; done += 50) {
    await Promise.all(Array.from({ length: Math.min(50, count - done) }, (_, index) => one(done + index)));
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export const ROWS: readonly RowKind[] = [
  smallRequests('small-64', '35 bytes, 64 connections', '/small', 64, 1.2),
  smallRequests('small-256', '35 bytes, 256 connections', '/small', 256, 1.2),
  variedRow,
  smallRequests('10k-64', '10 kB, 64 connections', '/10k', 64, 1.2),
  smallRequests('single', '35 bytes, one at a time', '/small', 1, 1),
  downloadRow,
  uploadRow,
  ...secureRows,
  farRow,
  sharedRow,
  idleAgentsRow,
  slowVisitorsRow,
  churnRow,
];
