/** `porthole-relay reload`: asks the relay that runs on the data folder for a new generation, and says how it went. */
import { kill } from 'node:process';
import { PortholeError } from '@porthole/protocol';
import { PidFile } from '../supervisor/pid-file.ts';
import { type Flags, settle } from './settle.ts';
import type { World } from './world.ts';

const PATIENCE_MS = 90_000;
const LOOK_EVERY_MS = 25;

/** 0 when the new generation took over, 1 when the old one goes on. Throws NO_RELAY_RUNS. */
export async function reload(flags: Flags, world: World): Promise<number> {
  const { config } = settle(flags, world);
  const pidFile = new PidFile(config.dataDir);
  const running = pidFile.running();
  if (running === undefined) throw new PortholeError('NO_RELAY_RUNS', config.dataDir);
  const { pid, canReload } = running;
  if (!canReload)
    throw new PortholeError('NO_RELAY_RUNS', `${config.dataDir}: process ${pid} is still starting or has no workers`);
  const before = pidFile.outcome()?.count ?? 0;
  kill(pid, 'SIGUSR2');
  const end = performance.now() + PATIENCE_MS;
  while (performance.now() < end) {
    const outcome = pidFile.outcome();
    if (outcome !== undefined && outcome.count > before) {
      world.note(
        outcome.ok
          ? `Reloaded: ${outcome.detail} takes visitors and agents.`
          : `Not reloaded, the relay runs on as before: ${outcome.detail}`,
      );
      return outcome.ok ? 0 : 1;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  throw new PortholeError('INTERNAL', `the relay (process ${pid}) has not said how the reload went`);
}
