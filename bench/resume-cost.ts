/**
 * What resume and liveness cost, end to end: `node --conditions=@porthole/source bench/resume-cost.ts [rounds]`. Two relays
 * with an agent each, one pair without them (`without-resume.ts`), take turns; instructions of relay and agent per request
 * say what requests per second on a shared machine cannot. Needs nginx, wrk and perf.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type RunningProgram, Workbench } from './processes.ts';
import { median } from './rounds.ts';
import { startOrigin } from './topologies/nginx.ts';
import { porthole } from './topologies/porthole.ts';
import type { Path } from './topologies/topology.ts';

const PRELOAD = fileURLToPath(new URL('without-resume.ts', import.meta.url));
const CONNECTIONS = 64;
const SECONDS = 2;
const WARM_ROUNDS = 2;
const PATHS = ['/small', '/10k'];

class WorkbenchWithoutResume extends Workbench {
  override startNode(file: string, args: readonly string[] = [], env: Record<string, string> = {}): RunningProgram {
    return this.start(process.execPath, ['--conditions=@porthole/source', '--import', PRELOAD, file, ...args], env);
  }
}

interface Sample {
  readonly instructions: number;
  readonly requestsPerSecond: number;
}

/** One slice of load: instructions of relay and agent per request, kernel included, and requests per second. */
async function sample({ files, pids }: Path, path: string): Promise<Sample> {
  const url = `http://127.0.0.1:${files.port}${path}`;
  const load = ['wrk', '-t1', `-c${CONNECTIONS}`, `-d${SECONDS}s`, '-H', `Host: ${files.host}`, url];
  const watched = Object.values(pids).join(',');
  const { stdout, stderr } = await promisify(execFile)('perf', [
    ...['stat', '-x', ',', '-e', 'instructions', '-p', watched],
    ...load,
  ]);
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  const instructions = Number(/^(\d+),,instructions/m.exec(stderr)?.[1]);
  if (!(requests > 0) || !(instructions > 0) || stdout.includes('Non-2xx')) throw new Error(`${stdout}\n${stderr}`);
  return {
    instructions: instructions / requests,
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
  };
}

const rounds = Number(process.argv[2] ?? 15);
const [bench, benchWithout] = [new Workbench(), new WorkbenchWithoutResume()];
try {
  const origin = await startOrigin(bench);
  const variants = {
    with: await porthole().open(bench, origin, 0),
    without: await porthole().open(benchWithout, origin, 0),
  };
  for (const path of PATHS) {
    const samples: Record<keyof typeof variants, Sample[]> = { with: [], without: [] };
    for (let round = 0; round < WARM_ROUNDS + rounds; round += 1) {
      // Who comes first takes turns, too.
      const order = round % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const);
      for (const name of order) {
        const one = await sample(variants[name], path);
        if (round >= WARM_ROUNDS) samples[name].push(one);
      }
    }
    const of = (name: keyof typeof variants, what: keyof Sample): number => median(samples[name].map((s) => s[what]));
    const more = (what: keyof Sample): string => `${((of('with', what) / of('without', what) - 1) * 100).toFixed(1)} %`;
    for (const what of ['instructions', 'requestsPerSecond'] as const)
      process.stdout.write(
        `${path} ${what}: ${Math.round(of('with', what))} with, ${Math.round(of('without', what))} without, ${more(what)}\n`,
      );
  }
} finally {
  await benchWithout.close();
  await bench.close();
}
