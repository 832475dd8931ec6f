/**
 * docs/self-hosting.md, done as it says: the packages as they would be published, installed into empty folders, and the
 * page's own commands in their order. What a test machine cannot do, and what is put in its place, stands in the page.
 */
import { readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConnectProxy, startConnectProxy } from '../harness/connect-proxy.ts';
import { missing } from '../harness/debian.ts';
import { freePortRange } from '../harness/free-ports.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { Pebble, pebbleMissing } from '../harness/pebble.ts';
import { Program, runProgram } from '../harness/program.ts';
import { type TempFolder, tempFolder } from '../harness/temp-folder.ts';
import { installAlone, type Installed } from './packed.ts';
import { ROOT } from './source-tree.ts';

interface Block {
  readonly line: number;
  readonly how: 'run' | 'start' | 'not here';
  /** For `start`: what its output has in it once it is up. */
  readonly sign: string;
  readonly commands: string;
}

const page = readFileSync(join(ROOT, 'docs/self-hosting.md'), 'utf8');

function blocksOf(text: string): Block[] {
  const found: Block[] = [];
  for (const match of text.matchAll(/^(?:<!-- test: (run|start|not here)(?: ([^\n]*?))? -->\n)?```sh\n(.*?)^```$/gms)) {
    const line = text.slice(0, match.index).split('\n').length;
    const [, how, sign = '', commands = ''] = match;
    if (how === undefined)
      throw new Error(`docs/self-hosting.md:${line}: a block of commands without a word about its test`);
    found.push({ line, how: how as Block['how'], sign, commands });
  }
  return found;
}

function withoutRelay(env: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('PORTHOLE_RELAY_')));
}

const blocks = blocksOf(page);

describe('docs/self-hosting.md', () => {
  it('says of every block of commands how it is tested, and why where it is not', () => {
    expect(blocks.filter(({ how }) => how !== 'not here').length).toBeGreaterThanOrEqual(12);
    for (const { how, sign, line } of blocks) if (how !== 'run') expect(sign, `line ${line}`).not.toBe('');
  });
});

describe.skipIf(missing('curl', 'bash') || pebbleMissing())('the commands of docs/self-hosting.md', () => {
  const started: Program[] = [];
  let folder: TempFolder;
  let relay: Installed;
  let cli: Installed;
  let origin: Origin;
  let pebble: Pebble;
  let names: ConnectProxy;
  let env: Record<string, string>;
  let token = '';

  beforeAll(async () => {
    folder = tempFolder();
    relay = await installAlone('@porthole/relay');
    cli = await installAlone('porthole');
    origin = await startOrigin();
    const { first: http } = await freePortRange(3);
    const [https, dns] = [http + 1, http + 2];
    pebble = await Pebble.start({ httpPort: http, tlsPort: https, dnsServer: `127.0.0.1:${dns}` });
    names = await startConnectProxy({ 443: https });
    const path = [relay, cli].map(({ modules }) => join(modules, '.bin'));
    env = {
      PATH: [...path, dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
      HOME: folder.path,
      XDG_CONFIG_HOME: folder.path,
      PORTHOLE_RELAY_HTTP: `127.0.0.1:${http}`,
      PORTHOLE_RELAY_HTTPS: `127.0.0.1:${https}`,
      PORTHOLE_RELAY_DNS_LISTEN: `127.0.0.1:${dns}`,
      PORTHOLE_RELAY_ADMIN: '127.0.0.1:0',
      PORTHOLE_RELAY_PUBLIC_URL: 'https://tunnel.example.com',
      PORTHOLE_RELAY_ACME_DIRECTORY: pebble.directoryUrl,
      PORTHOLE_RELAY_ACME_CA_FILE: folder.write('directory-ca.pem', pebble.caPem),
      PORTHOLE_CA_FILE: folder.write('visitors-ca.pem', await pebble.root()),
      CURL_CA_BUNDLE: join(folder.path, 'visitors-ca.pem'),
      HTTPS_PROXY: names.url,
      https_proxy: names.url,
    };
  }, 240_000);

  afterAll(async () => {
    for (const program of started.toReversed()) await program.close();
    await names?.close();
    await pebble?.close();
    await origin?.close();
    folder?.remove();
  }, 60_000);

  function substituted(commands: string): string {
    return commands
      .replaceAll(/\bsudo (?:-\w+ porthole )?/g, '')
      .replaceAll('/etc/porthole', folder.path)
      .replaceAll('/var/lib/porthole', join(folder.path, 'data'))
      .replaceAll(/\b3000\b/g, String(origin.port))
      .replaceAll('porthole-relay init', 'porthole-relay init --no-checks');
  }

  async function run({ commands }: Block): Promise<void> {
    const stopsRelay = commands.includes('.db-wal');
    if (stopsRelay) for (const program of started.splice(0).toReversed()) await program.close();
    const result = await runProgram({
      name: 'bash',
      command: 'bash',
      args: ['-euo', 'pipefail', '-c', substituted(commands)],
      cwd: folder.path,
      // What a person types `init` with is an environment without any of it.
      env: commands.includes('init') ? withoutRelay(env) : env,
      ...(commands.includes('login') ? { input: `${token}\n` } : {}),
    });
    if (result.code !== 0) throw new Error(`exit code ${result.code}\n${result.stdout}\n${result.stderr}`);
    token = /^ph_\S+$/m.exec(commands.includes('init') ? result.stdout : '')?.[0] ?? token;
    if (commands.includes('curl ')) expect(result.stdout).toContain('you asked for /');
    if (commands.includes('token list')) expect(result.stdout).toMatch(/^\S+ +bob +bob-\* .*valid$/m);
  }

  async function start({ commands, sign }: Block): Promise<void> {
    // `exec`, so that the signal that ends it meets the program and not the shell.
    const program = new Program({
      name: commands.trim(),
      command: 'bash',
      args: ['-euc', `exec ${substituted(commands)}`],
      cwd: folder.path,
      env,
      stopWithinMs: 40_000,
    });
    started.push(program);
    await program.waitForLine(sign, (line) => line.includes(sign) || undefined, 40_000);
  }

  for (const block of blocks) {
    const first = block.commands.split('\n', 1)[0] ?? '';
    if (block.how === 'not here') it.skip(`${block.line}: ${first}`, () => undefined);
    else it(`${block.line}: ${first}`, () => (block.how === 'run' ? run(block) : start(block)), 60_000);
  }
});
