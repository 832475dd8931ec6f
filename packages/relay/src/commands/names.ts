/** `porthole-relay name …` */
import { setTimeout } from 'node:timers/promises';
import { PortholeError } from '@porthole/protocol';
import { ReservedNames } from '../access/reserved-names.ts';
import { checkUser } from '../access/token-registry.ts';
import { parseName } from '../routing/names.ts';
import type { Flags } from './settle.ts';
import { STORE_POLL_MS } from '../store/sqlite-store.ts';
import { formatTable } from './table.ts';
import { withStore } from './with-store.ts';
import type { World } from './world.ts';

export async function reserveName(wanted: string, flags: Flags, world: World): Promise<void> {
  const name = validName(wanted);
  const user = checkUser(String(flags['user']));
  const outcome = await withStore(flags, world, (store) => new ReservedNames(store).reserve(name, user));
  if (!outcome.ok)
    throw new PortholeError(
      'NAME_RESERVED',
      `${name} is kept for ${outcome.user}; \`porthole-relay name release ${name}\` frees it`,
    );
  // When this command is over, a relay that runs knows of it: it looks at the store that often.
  await setTimeout(2 * STORE_POLL_MS);
  world.note(`${name} is kept for ${user}.`);
}

export async function releaseName(wanted: string, flags: Flags, world: World): Promise<void> {
  const name = validName(wanted);
  const was = await withStore(flags, world, (store) => new ReservedNames(store).release(name));
  world.note(was ? `${name} is free.` : `${name} was not reserved.`);
}

export async function listNames(flags: Flags, world: World): Promise<void> {
  const names = await withStore(flags, world, (store) => new ReservedNames(store).list());
  if (flags['json'] === true) world.out(`${JSON.stringify(names, undefined, 2)}\n`);
  else
    world.out(
      formatTable(
        ['NAME', 'USER', 'SINCE'],
        names.map(({ name, user, reservedAt }) => [name, user, reservedAt.slice(0, 10)]),
      ),
    );
}

function validName(wanted: string): string {
  const parsed = parseName(wanted);
  if (!parsed.ok) throw new PortholeError(parsed.code, parsed.detail);
  return parsed.name;
}
