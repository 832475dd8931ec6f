/** `porthole http`, `tcp` and `serve`: one tunnel from the command line. */
import type { TunnelFlags } from '../flags.ts';
import { type EnvironmentWish, planTunnel, type TunnelPlan } from '../plan.ts';
import { runTunnels } from '../run-tunnels.ts';
import { isLive } from '../output/output.ts';
import type { TunnelKind } from '../settings/config-schema.ts';
import { OPTIONS } from '../settings/options.ts';
import { chooseRelayOutsideFile, environment, type RelayChoice } from '../settings/relay-choice.ts';
import { certificateFolderOf, eventOutput, statusFolderOf, surroundings, type World } from '../world.ts';

export async function runTunnelCommand(
  kind: TunnelKind,
  target: string,
  flags: TunnelFlags,
  world: World,
): Promise<number> {
  const around = surroundings(world);
  const { basicAuthVariable, acmeDirectory } = environmentWish(world);
  const wish = { ...flags, basicAuthVariable, acmeDirectory: flags.acmeDirectory ?? acmeDirectory };
  const plan = planTunnel(kind, target, wish, { folder: world.cwd, home: world.home });
  return runPlans([plan], chooseRelayOutsideFile(flags, around), flags, world);
}

export function environmentWish({ env }: Pick<World, 'env'>): EnvironmentWish {
  return {
    basicAuthVariable: environment(env, OPTIONS.basicAuth.env),
    acmeDirectory: environment(env, OPTIONS.acmeDirectory.env),
  };
}

export async function runPlans(
  plans: readonly TunnelPlan[],
  choice: RelayChoice,
  flags: TunnelFlags,
  world: World,
): Promise<number> {
  const level = choice.logLevel;
  world.verbosity.level = level;
  const output = eventOutput(world, { json: flags.json ?? false, level, qr: await qrFor(flags, world) });
  const { now, pid, uid, stops, openOrigin, openLink } = world;
  try {
    return await runTunnels({
      plans,
      choice,
      output,
      stops,
      now,
      pid,
      uid,
      statusFolder: statusFolderOf(world),
      certificateFolder: certificateFolderOf(world),
      openOrigin,
      openLink,
    });
  } finally {
    await output.close();
  }
}

/** Asked for: always. Otherwise where a person looks, and a telephone could follow. */
async function qrFor(flags: TunnelFlags, { stdout, env }: World): Promise<((url: string) => string[]) | undefined> {
  const isWatched = flags.json !== true && isLive(stdout, env['TERM']);
  if (flags.qr === false || (flags.qr === undefined && !isWatched)) return undefined;
  const { qrRows, qrRowsIfUseful } = await import('../output/qr.ts');
  return flags.qr === true ? qrRows : qrRowsIfUseful();
}
