/** What a row of the table is made of: where it measures, how long, and what rows have in common. */
import type { Row } from './report.ts';
import { inTurns, type Competitor } from './rounds.ts';
import type { Workbench } from './processes.ts';
import type { FILES } from './topologies/nginx.ts';
import type { Origin, Path } from './topologies/topology.ts';

export interface Scale {
  readonly seconds: number;
  readonly rounds: number;
  readonly bulk: keyof typeof FILES;
  readonly crowd: number;
  readonly visitors: number;
  readonly flapping: number;
}

export const DEFAULT_SCALE: Scale = {
  seconds: 3,
  rounds: 5,
  bulk: '1g',
  crowd: 1_000,
  visitors: 10_000,
  flapping: 2_000,
};
export const QUICK_SCALE: Scale = { seconds: 2, rounds: 1, bulk: '256m', crowd: 200, visitors: 1_000, flapping: 100 };

export type Paths = ReadonlyMap<string, Path>;

export interface Setting {
  readonly bench: Workbench;
  readonly origin: Origin;
  readonly scale: Scale;
  /** Opened paths by competitor, without a delay line. */
  readonly paths: Paths;
  /** The same and the bare pair, which is for small requests only. */
  readonly pathsAndBare: () => Promise<Paths>;
  /** The same over a line of 50 ms each way. */
  readonly farPaths: () => Promise<Paths>;
  /** With TLS on both public legs. */
  readonly securePaths: () => Promise<Paths>;
}

export interface RowKind {
  readonly name: string;
  measure(setting: Setting): Promise<Row>;
}

const MEGABYTE = 1e6;

export function competitors(paths: Paths, measure: (path: Path, name: string) => Promise<number>): Competitor[] {
  return [...paths].map(([name, path]) => ({ name, measure: () => measure(path, name) }));
}

export interface RequestRate {
  readonly name: string;
  readonly title: string;
  /** Times two nginx; absent: for information. */
  readonly atLeast?: number;
  readonly paths: (setting: Setting) => Paths | Promise<Paths>;
  /** Requests per second. */
  readonly measure: (to: Path, seconds: number) => Promise<number>;
}

/** Of a process that has not been measured yet, and of one that has, with another load. */
const FIRST_WARM_UP_SECONDS = 5;
const WARM_UP_SECONDS = 3;
const warm = new WeakSet<Path>();

export function requestRate({ name, title, atLeast, paths, measure }: RequestRate): RowKind {
  return {
    name,
    measure: async (setting) => {
      const { seconds, rounds } = setting.scale;
      const all = await paths(setting);
      // The first seconds of a process, or of a kind of load, are not how it runs.
      for (const to of all.values()) {
        await measure(to, warm.has(to) ? WARM_UP_SECONDS : FIRST_WARM_UP_SECONDS).catch(() => undefined);
        warm.add(to);
      }
      const values = await inTurns(
        competitors(all, (to) => measure(to, seconds)),
        rounds,
      );
      const target: Row['target'] = atLeast === undefined ? { kind: 'none' } : { kind: 'ratio', atLeast };
      return { title, unit: 'requests/s', values, digits: 0, target };
    },
  };
}

export function inMegabytes(values: ReadonlyMap<string, readonly number[]>): Map<string, number[]> {
  return new Map([...values].map(([name, rounds]) => [name, rounds.map((value) => value / MEGABYTE)]));
}
