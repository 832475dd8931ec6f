/** `porthole-relay backup` */
import { resolve } from 'node:path';
import { backUpStore } from '../store/backup.ts';
import { type Flags, settle } from './settle.ts';
import type { World } from './world.ts';

export function backup(file: string, flags: Flags, world: World): void {
  const path = resolve(world.cwd, file);
  backUpStore(settle(flags, world).config.dataDir, path);
  world.note(
    `Wrote ${path}: tokens, names, leases and certificates. Whoever can read it can take certificates’ keys from it.`,
  );
}
