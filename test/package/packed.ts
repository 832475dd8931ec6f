/** Builds and packs what is published, and installs it into an empty folder without a network: once for all test files. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onceARun } from './once-a-run.ts';
import { ROOT } from './source-tree.ts';

const run = promisify(execFile);

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Record<string, string>;
  readonly scripts?: Record<string, string>;
}

export interface Installed {
  /** The folder's node_modules. */
  readonly modules: string;
  readonly folder: string;
  /** Names of all packages installed, ours included. */
  readonly names: readonly string[];
}

export const FOLDERS: Record<string, string> = {
  '@porthole/protocol': 'packages/protocol',
  '@porthole/acme': 'packages/acme',
  '@porthole/agent': 'packages/agent',
  porthole: 'packages/cli',
  '@porthole/relay': 'packages/relay',
};

export function manifestIn(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/**
 * Builds in a copy, so that a test never leaves `dist` folders in the working tree. Returns the copy's root; its
 * node_modules holds the dependencies of this repository and the packages of the copy.
 */
export function buildPackages(): Promise<string> {
  return onceARun('built', build);
}

async function build(root: string): Promise<string> {
  cpSync(join(ROOT, 'tsconfig.base.json'), join(root, 'tsconfig.base.json'));
  for (const folder of Object.values(FOLDERS)) {
    const isOurs = (source: string): boolean => !/(^|[/\\])(node_modules|dist)$|\.tsbuildinfo$/.test(source);
    cpSync(join(ROOT, folder), join(root, folder), { recursive: true, filter: isOurs });
  }
  linkModules(root);
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  await run(process.execPath, [tsc, '-b', ...Object.values(FOLDERS)], { cwd: root }).catch(
    (error: { stdout: string }) => {
      throw new Error(`tsc -b failed:\n${error.stdout}`);
    },
  );
  return root;
}

function linkModules(root: string): void {
  const modules = join(root, 'node_modules');
  mkdirSync(join(modules, '@porthole'), { recursive: true });
  for (const entry of readdirSync(join(ROOT, 'node_modules'))) {
    if (!entry.startsWith('.') && entry !== '@porthole' && entry !== 'porthole')
      symlinkSync(join(ROOT, 'node_modules', entry), join(modules, entry));
  }
  for (const [name, folder] of Object.entries(FOLDERS)) symlinkSync(join(root, folder), join(modules, name));
}

/**
 * What `npm install <name>` gives a user. Everything comes from tarballs: ours as they would be published, the others'
 * packed again from this repository's node_modules, in the versions of its lock file.
 */
export async function installAlone(name: string): Promise<Installed> {
  const built = await buildPackages();
  return onceARun(`installed-${name.replaceAll(/\W/g, '-')}`, (folder) => install(name, built, folder));
}

async function install(name: string, built: string, folder: string): Promise<Installed> {
  const tarballs = join(folder, 'tarballs');
  mkdirSync(tarballs);
  const closure = dependencyClosure(name, built);
  const { stdout } = await npm(folder, ['pack', '--json', '--pack-destination', tarballs, ...closure.values()]);
  const packed = JSON.parse(stdout) as
    | { name: string; filename: string }[]
    | Record<string, { name: string; filename: string }>;
  const files = new Map(Object.values(packed).map((entry) => [entry.name, join(tarballs, entry.filename)]));
  const dependencies = Object.fromEntries([...closure.keys()].map((key) => [key, `file:${files.get(key)}`]));
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'user', version: '1.0.0', private: true, dependencies }),
  );
  await npm(folder, ['install', '--offline']);
  const record = JSON.parse(readFileSync(join(folder, 'node_modules/.package-lock.json'), 'utf8')) as {
    packages: Record<string, unknown>;
  };
  const names = Object.keys(record.packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 13));
  return { folder, modules: join(folder, 'node_modules'), names };
}

/** Name to folder of a package and all it depends on. */
function dependencyClosure(name: string, built: string, found = new Map<string, string>()): Map<string, string> {
  const folder = FOLDERS[name] === undefined ? join(ROOT, 'node_modules', name) : join(built, FOLDERS[name]);
  found.set(name, folder);
  for (const dependency of Object.keys(manifestIn(folder).dependencies ?? {})) {
    if (!found.has(dependency)) dependencyClosure(dependency, built, found);
  }
  return found;
}

function npm(cwd: string, args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'];
  // npm itself runs with our Node, not with whatever an enclosing `npm run` has set for this repository.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^npm_/i.test(key) || key === 'npm_config_cache'),
  );
  return run('npm', [...args, ...quiet], { cwd, env, maxBuffer: 64 * 1024 * 1024 });
}
