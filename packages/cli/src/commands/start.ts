/** `porthole start`: the tunnels of the configuration file, over one link. */
import { PortholeError } from '@porthole/agent';
import { planFromConfig } from '../plan.ts';
import { chooseRelay, DEFAULT_CONFIG_NAME, loadConfig } from '../settings/relay-choice.ts';
import { surroundings, type World } from '../world.ts';
import type { TunnelFlags } from '../flags.ts';
import { environmentWish, runPlans } from './tunnel.ts';

export async function runStartCommand(names: readonly string[], flags: TunnelFlags, world: World): Promise<number> {
  const around = surroundings(world);
  const config = loadConfig(flags, around);
  if (config === undefined)
    throw new PortholeError(
      'FILE_UNREADABLE',
      `there is no ${DEFAULT_CONFIG_NAME} in ${world.cwd}; write one, or name another with --config`,
    );
  const plans = planFromConfig(config, names, world.home, environmentWish(world));
  return runPlans(plans, chooseRelay(flags, config, around), flags, world);
}
