/** What every way from a visitor to the origin looks like to the benchmarks. */
import type { Place } from '../load.ts';
import type { Workbench } from '../processes.ts';

/** The services at the far end, on this machine. */
export interface Origin {
  /** nginx: `/small`, `/10k` and files of zero bytes. */
  readonly filesPort: number;
  /** Takes uploads. */
  readonly sinkPort: number;
}

export interface Path {
  readonly files: Place;
  readonly sink: Place;
  /** Processes between the visitor and the origin, by role. */
  readonly pids: Readonly<Record<string, number>>;
  close(): Promise<void>;
}

export interface Topology {
  readonly name: string;
  /** False: a program it needs is not installed, its rows are left out. */
  isAvailable(): boolean;
  /** `oneWayMs`: delay on the line between the public and the private side, each direction; 0 is no line at all. */
  open(bench: Workbench, origin: Origin, oneWayMs: number): Promise<Path>;
}
