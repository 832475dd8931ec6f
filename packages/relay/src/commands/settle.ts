/** Finds out what is configured: reads the file the flags or the environment name, and says what looks mistyped. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { PortholeError } from '@porthole/protocol';
import { CONFIG_FILE_VARIABLE, type LoadedConfig, loadConfig } from '../config/load-config.ts';
import { flagName, OPTION_PATHS } from '../config/options.ts';
import type { World } from './world.ts';

/** As commander gives them: `--public-url` is `publicUrl`. */
export type Flags = Readonly<Record<string, unknown>>;

/** Throws FILE_UNREADABLE, CONFIG_INVALID. */
export function settle(flags: Flags, world: World, warns = true): LoadedConfig {
  const named = flags['config'] ?? world.env[CONFIG_FILE_VARIABLE];
  const path = typeof named === 'string' && named !== '' ? named : undefined;
  const loaded = loadConfig({
    file: path === undefined ? undefined : { path, text: readConfig(resolve(world.cwd, path)) },
    environment: world.env,
    flags: optionFlags(flags),
    workingDir: world.cwd,
  });
  if (warns) for (const warning of loaded.warnings) world.note(warning);
  return loaded;
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const why =
      cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
        ? 'there is no such file'
        : 'it cannot be read';
    throw new PortholeError('FILE_UNREADABLE', `${path}: ${why}`, { cause });
  }
}

function optionFlags(flags: Flags): Record<string, string | boolean> {
  const found: Record<string, string | boolean> = {};
  for (const path of OPTION_PATHS) {
    const name = flagName(path);
    const value = name === undefined ? undefined : flags[camelCase(name)];
    if (typeof value === 'string' || typeof value === 'boolean') found[path] = value;
  }
  return found;
}

function camelCase(flag: string): string {
  return flag.replace(/^--/, '').replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
