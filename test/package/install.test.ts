/** What a user gets: few packages, no scripts, nothing native, and a command that starts. */
import { execFile } from 'node:child_process';
import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { installAlone, manifestIn, type Installed } from './packed.ts';

const run = promisify(execFile);
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall'];

let agent: Installed;
let cli: Installed;
let relay: Installed;

beforeAll(async () => {
  agent = await installAlone('@porthole/agent');
  cli = await installAlone('porthole');
  relay = await installAlone('@porthole/relay');
}, 240_000);

function sizeOf(installed: Installed): number {
  const files = globSync('**/*', { cwd: installed.modules }).map((path) => statSync(join(installed.modules, path)));
  return files.filter((file) => file.isFile()).reduce((total, file) => total + file.size, 0);
}

describe('the library, installed', () => {
  it('is three packages and well under a megabyte', () => {
    expect(agent.names.toSorted()).toEqual(['@porthole/agent', '@porthole/protocol', 'ws']);
    expect(sizeOf(agent)).toBeLessThan(1_000_000);
  });

  it('can be imported without any special condition', async () => {
    const text = "import('@porthole/agent').then((module) => console.log(typeof module.expose))";
    const { stdout } = await run(process.execPath, ['-e', text], { cwd: agent.folder });
    expect(stdout.trim()).toBe('function');
  });
});

describe('the command line, installed', () => {
  it('is few packages', () => {
    expect(cli.names).toContain('porthole');
    expect(cli.names.length).toBeLessThanOrEqual(16);
    expect(sizeOf(cli)).toBeLessThan(16_000_000);
  });

  it('prints its version', async () => {
    const { stdout } = await run(process.execPath, [join(cli.modules, '.bin/porthole'), '--version'], {
      cwd: cli.folder,
    });
    expect(stdout.trim()).toContain(manifestIn(join(cli.modules, 'porthole')).version);
  });
});

describe('the relay, installed', () => {
  it('prints its version', async () => {
    const { stdout } = await run(process.execPath, [join(relay.modules, '.bin/porthole-relay'), '--version'], {
      cwd: relay.folder,
    });
    expect(stdout.trim()).toContain(manifestIn(join(relay.modules, '@porthole/relay')).version);
  });
});

describe('everything installed', () => {
  it('has no install script', () => {
    for (const { modules, names } of [agent, cli, relay]) {
      const withScripts = names.filter((name) =>
        Object.keys(manifestIn(join(modules, name)).scripts ?? {}).some((script) => INSTALL_SCRIPTS.includes(script)),
      );
      expect(withScripts).toEqual([]);
    }
  });

  it('has no native code', () => {
    for (const { modules } of [agent, cli, relay]) expect(globSync('**/*.{node,gyp}', { cwd: modules })).toEqual([]);
  });
});
