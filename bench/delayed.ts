/** Starts a delay line in front of a port. */
import { fileURLToPath } from 'node:url';
import { freePort, type RunningProgram, type Workbench } from './processes.ts';

const DELAY_LINE = fileURLToPath(new URL('delay-line.ts', import.meta.url));

export interface Line {
  readonly port: number;
  readonly program: RunningProgram | undefined;
}

/** The port itself when there is no delay to add. */
export async function delayed(bench: Workbench, port: number, oneWayMs: number): Promise<Line> {
  if (oneWayMs === 0) return { port, program: undefined };
  const linePort = await freePort();
  const program = bench.startNode(DELAY_LINE, [String(linePort), String(port), String(oneWayMs)]);
  await program.line(/delay line ready/);
  return { port: linePort, program };
}
