/** `porthole-relay init`: a configuration file to read and change, and a token to begin with. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { PortholeError } from '@porthole/protocol';
import { loadConfig } from '../config/load-config.ts';
import { commentedFile } from '../config/option-docs.ts';
import type { OptionPath } from '../config/options.ts';
import { addToken } from './tokens.ts';
import type { Flags } from './settle.ts';
import type { World } from './world.ts';

const FLAGS: readonly (readonly [flag: string, path: OptionPath])[] = [
  ['domain', 'domain'],
  ['publicUrl', 'public_url'],
  ['data', 'data'],
];

export async function init(flags: Flags, world: World): Promise<void> {
  const set: Partial<Record<OptionPath, string>> = {};
  for (const [flag, path] of FLAGS) {
    const value = flags[flag];
    if (typeof value === 'string') set[path] = value;
  }
  const file = resolve(world.cwd, String(flags['config']));
  const text = commentedFile(set);
  // What is written must be what can be read.
  loadConfig({ file: { path: file, text }, workingDir: world.cwd });
  writeNew(file, text);
  world.note(`Wrote ${file}.`);
  await addToken(String(flags['user']), { config: file }, world);
  world.note(`Now: porthole-relay serve --config ${String(flags['config'])}`);
}

function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'wx' });
  } catch (cause) {
    const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
    if (exists)
      throw new PortholeError('USAGE', `${file} exists already; remove it, or give another with --config`, { cause });
    throw new PortholeError('FILE_UNREADABLE', `${file} cannot be written`, { cause });
  }
}
