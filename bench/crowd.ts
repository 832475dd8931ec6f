/** Starts many agents in one process of their own, so that their memory is not counted as the relay's. */
import { fileURLToPath } from 'node:url';
import type { RunningProgram, Workbench } from './processes.ts';

const CROWD = fileURLToPath(new URL('crowd-main.ts', import.meta.url));

/** Resolves when all have their tunnels. `flaps`: each agent closes and comes back until that many have come and gone. */
export async function startCrowd(
  bench: Workbench,
  relayPort: number,
  count: number,
  flaps = 0,
): Promise<RunningProgram> {
  const program = bench.startNode(CROWD, [`http://127.0.0.1:${relayPort}`, String(count), String(flaps)]);
  await program.line(/all are there/);
  return program;
}
