/** `npm run bench [row…] [--quick] [--write]`: measures, prints the table beside the targets; README.md has the method. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findOnPath, Workbench } from './processes.ts';
import { isReached, machine, roundLines, table, type Row } from './report.ts';
import { makeCertificate } from './certificate.ts';
import { DEFAULT_SCALE, type Paths, QUICK_SCALE, type RowKind, type Setting } from './row-kind.ts';
import { ROWS } from './rows.ts';
import { BARE, openBare } from './topologies/bare.ts';
import { direct, startOrigin, twoNginx } from './topologies/nginx.ts';
import { otherTunnels } from './topologies/others.ts';
import { porthole } from './topologies/porthole.ts';
import type { Origin, Path, Topology } from './topologies/topology.ts';

const RESULTS = fileURLToPath(new URL('RESULTS.md', import.meta.url));
const ONE_WAY_MS = 50;
const TOPOLOGIES: readonly Topology[] = [direct, twoNginx(), porthole(), ...otherTunnels];

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, write: { type: 'boolean', default: false } },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const kinds = positionals.length === 0 ? ROWS : ROWS.filter(({ name }) => positionals.includes(name));
  const unknown = positionals.filter((name) => !ROWS.some((kind) => kind.name === name));
  if (unknown.length > 0) {
    console.error(`There is no row '${unknown[0]}'. Rows: ${ROWS.map(({ name }) => name).join(', ')}.`);
    return 2;
  }
  for (const program of ['nginx', 'wrk', 'curl', 'h2load', 'openssl']) {
    if (findOnPath(program) === undefined) {
      console.error(`The benchmarks need ${program}: apt-get install nginx-light wrk curl nghttp2-client openssl`);
      return 1;
    }
  }
  const bench = new Workbench();
  const stop = (): void => void bench.close().then(() => process.exit(130));
  process.once('SIGINT', stop);
  try {
    return await measureAll(bench, kinds);
  } finally {
    process.off('SIGINT', stop);
    await bench.close();
  }
}

async function measureAll(bench: Workbench, kinds: readonly RowKind[]): Promise<number> {
  const startedAt = Date.now();
  const origin = await startOrigin(bench);
  const near = await openAll(TOPOLOGIES, bench, origin, 0);
  let bare: Paths | undefined;
  let far: Promise<Paths> | undefined;
  let secure: Promise<Paths> | undefined;
  const setting: Setting = {
    bench,
    origin,
    scale: options.quick ? QUICK_SCALE : DEFAULT_SCALE,
    paths: near,
    pathsAndBare: async () => (bare ??= new Map([...near, [BARE, await openBare(bench, origin)]])),
    farPaths: () => (far ??= openAll(TOPOLOGIES, bench, origin, ONE_WAY_MS)),
    securePaths: () => (secure ??= openSecure(bench, origin)),
  };
  const rows: Row[] = [];
  let failures = 0;
  for (const kind of kinds) {
    console.error(`${kind.name} …`);
    try {
      const row = await kind.measure(setting);
      rows.push(row);
      for (const line of roundLines(row)) console.error(line);
    } catch (error) {
      failures += 1;
      console.error(`  ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const minutes = ((Date.now() - startedAt) / 60_000).toFixed(1);
  const note = `${machine()}. ${minutes} minutes${options.quick ? ', --quick' : ''}.`;
  console.log(`${table(rows)}\n\n${note}`);
  if (options.write) writeFileSync(RESULTS, resultsPage(rows, note));
  return failures === 0 && rows.every(isReached) ? 0 : 1;
}

function openSecure(bench: Workbench, origin: Origin): Promise<Paths> {
  const certificate = makeCertificate(bench.folder);
  return openAll([twoNginx(certificate), porthole(certificate)], bench, origin, 0);
}

async function openAll(
  topologies: readonly Topology[],
  bench: Workbench,
  origin: Origin,
  oneWayMs: number,
): Promise<Paths> {
  const paths = new Map<string, Path>();
  for (const topology of topologies) {
    if (!topology.isAvailable()) continue;
    try {
      paths.set(topology.name, await topology.open(bench, origin, oneWayMs));
    } catch (error) {
      console.error(`${topology.name} is left out: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return paths;
}

function resultsPage(rows: readonly Row[], note: string): string {
  return `# Results

Written by \`npm run bench -- --write\` on ${new Date().toISOString().slice(0, 10)}; [README.md](README.md) says how it is measured.

${table(rows)}

Machine: ${note}
`;
}
