/** The command line with everything outside played by the test. */
import { execFileSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PortholeError, type LinkEvents } from '@porthole/agent';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { completionScript } from './commands/completion.ts';
import { statusTable } from './commands/status.ts';
import type { OutputStream } from './output/line-writer.ts';
import { buildProgram, runProgram } from './program.ts';
import { configJsonSchema } from './settings/json-schema.ts';
import { OPTIONS } from './settings/options.ts';
import type { RelayChoice } from './settings/relay-choice.ts';
import { StopRequests } from './stop-requests.ts';
import type { World } from './world.ts';

class Memory extends EventEmitter implements OutputStream {
  writableLength = 0;
  destroyed = false;
  text = '';
  write(text: string, done?: (error?: Error | null) => void): boolean {
    this.text += text;
    if (done !== undefined) setImmediate(done);
    return true;
  }
}

let home: string;
let out: Memory;
let dialed: RelayChoice[];
/** What the played relay does once somebody dials. */
let relay: (events: LinkEvents) => void;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'porthole-program-'));
  out = new Memory();
  dialed = [];
  relay = (events) => events.onConnected({ resumed: false, carrier: 'upgrade', rttMs: 3 });
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function world(input = '', env: Record<string, string> = {}): World {
  return {
    env: { XDG_RUNTIME_DIR: home, ...env },
    cwd: home,
    home,
    temporary: home,
    uid: 1,
    pid: 1,
    verbosity: { level: undefined },
    stdin: {
      async *[Symbol.asyncIterator]() {
        yield input;
      },
    },
    stdout: out,
    stderr: new Memory(),
    version: '1.2.3',
    now: () => 0,
    stops: new StopRequests(() => 0),
    openOrigin: () => expect.unreachable(),
    openLink: (choice, events) => {
      dialed.push(choice);
      return { start: () => relay(events), openTunnel: () => expect.unreachable(), close: () => Promise.resolve() };
    },
  };
}

const run = (args: string, input?: string, env?: Record<string, string>): Promise<number> =>
  runProgram(
    args.split(' ').filter((arg) => arg !== ''),
    world(input, env),
  );
const credentials = (): string => join(home, '.config/porthole/credentials.json');

describe('a command line that is not valid', () => {
  it.each([
    ['', 'a command is missing'],
    ['htpp 3000', "unknown command 'htpp' (Did you mean http?)"],
    ['http', "missing required argument 'target'"],
    ['http 3000 4000', 'too many arguments'],
    ['http 3000 --nam x', "unknown option '--nam' (Did you mean --name?)"],
    ['tcp 5432 --name x', "unknown option '--name'"],
    ['http 3000 --relay', "option '--relay <url>' argument missing"],
  ])('%j is USAGE', async (args, message) => {
    await expect(run(args)).rejects.toMatchObject({ code: 'USAGE', detail: expect.stringContaining(message) });
  });

  it.each([
    ['http nonsense:x', 'TARGET_INVALID'],
    ['http 3000', 'CONFIG_INVALID'],
    ['http 3000 --relay ftp://x', 'CONFIG_INVALID'],
    ['http 3000 --relay x --log-level loud', 'CONFIG_INVALID'],
    ['http 3000 --relay x --name -x', 'NAME_INVALID'],
    ['http 3000 --relay x --token-file nowhere', 'FILE_UNREADABLE'],
    ['http 3000 --relay x --config nowhere.yml', 'FILE_UNREADABLE'],
    ['serve nowhere --relay x', 'FILE_UNREADABLE'],
    ['tcp 5432 --relay x --remote-port 0', 'USAGE'],
    ['start', 'FILE_UNREADABLE'],
    ['completion tcsh', 'USAGE'],
    ['http 3000 --relay t.example --domain a.test --domain a.test', 'USAGE'],
    ['logout', 'USAGE'],
  ])('%j is %s', async (args, code) => {
    await expect(run(args)).rejects.toMatchObject({ code });
    expect(dialed).toEqual([]);
  });

  it('names the tunnel of the file that was meant', async () => {
    writeFileSync(join(home, 'porthole.yml'), 'tunnels: { web: { http: 3000 }, api: { http: 4000 } }');
    await expect(run('start wbe --relay x')).rejects.toMatchObject({
      code: 'USAGE',
      detail: expect.stringContaining('did you mean web?'),
    });
  });
});

describe('help', () => {
  it('lists the commands, and every option of the table exactly once where it belongs', async () => {
    expect(await run('--help')).toBe(0);
    for (const name of ['http', 'tcp', 'serve', 'start', 'login', 'logout', 'status', 'doctor', 'completion'])
      expect(out.text).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    out.text = '';
    await run('http --help');
    for (const row of Object.values(OPTIONS)) {
      if (!('flag' in row)) continue;
      const belongs = row.commands === 'all' || (row.commands as readonly string[]).includes('http');
      expect(out.text.split(`  ${row.flag} `).length - 1, row.flag).toBe(belongs ? 1 : 0);
    }
  });

  it('and version go to standard output', async () => {
    expect(await run('--version')).toBe(0);
    expect(out.text).toBe('1.2.3\n');
  });
});

describe('login', () => {
  it('stores a token that the relay takes, which never appears in what is printed', async () => {
    expect(await run('login t.example', 's3cret\n')).toBe(0);
    expect(dialed).toMatchObject([{ relay: 'https://t.example', token: 's3cret' }]);
    expect(JSON.parse(readFileSync(credentials(), 'utf8'))).toEqual({
      last: 'https://t.example',
      relays: { 'https://t.example': { token: 's3cret' } },
    });
    expect(out.text).toContain('Logged in to https://t.example');
    expect(out.text).not.toContain('s3cret');
  });

  it('checks the token it was given, not the one of the environment', async () => {
    await run('login t.example --token-stdin', 'given', { PORTHOLE_TOKEN: 'other' });
    expect(dialed).toMatchObject([{ token: 'given' }]);
  });

  it.each([
    ['refuses it', (events: LinkEvents) => events.onFinished(new PortholeError('TOKEN_REVOKED')), 'TOKEN_REVOKED'],
    [
      'is not there',
      (events: LinkEvents) => events.onInterrupted(new PortholeError('RELAY_UNREACHABLE', 'ECONNREFUSED'), 100),
      'RELAY_UNREACHABLE',
    ],
  ])('stores nothing when the relay %s', async (_what, answer, code) => {
    relay = answer;
    await expect(run('login t.example', 's3cret')).rejects.toMatchObject({ code });
    expect(existsSync(credentials())).toBe(false);
  });

  it.each([
    ['nothing', '', 'CONFIG_INVALID'],
    ['two words', 'two words', 'CONFIG_INVALID'],
    ['a whole file', 'x'.repeat(5000), 'TOKEN_INVALID'],
  ])('takes %s for no token', async (_what, token, code) => {
    await expect(run('login t.example', token)).rejects.toMatchObject({ code });
    expect(dialed).toEqual([]);
  });

  it('warns about a relay without encryption that is not on this machine', async () => {
    await run('login http://t.example', 't');
    expect(out.text).toContain('without encryption');
  });

  it('is undone by logout', async () => {
    await run('login t.example', 's3cret');
    expect(await run('logout')).toBe(0);
    expect(existsSync(credentials())).toBe(false);
  });
});

describe('status', () => {
  it('says so when nothing runs', async () => {
    expect(await run('status')).toBe(0);
    expect(await run('status --json')).toBe(0);
    expect(out.text).toBe('No agent of yours runs on this machine.\n{"agents":[]}\n');
  });

  it('is a table', () => {
    const tunnels = [
      {
        tunnel: 'web',
        protocol: 'http',
        state: 'open',
        name: 'shop',
        url: 'https://shop.t.example',
        target: 'http://localhost:3000',
        requests: 12,
      },
      { protocol: 'tcp', state: 'opening', target: 'localhost:5432', requests: 0 },
    ];
    const agents = [
      {
        pid: 42,
        started_at: '',
        relay: 'https://t.example',
        state: 'reconnecting',
        reason: 'The relay could not be reached.',
        tunnels,
      },
      { pid: 7, started_at: '', relay: '', state: 'unresponsive', tunnels: [] },
    ];
    expect(statusTable(agents).join('\n')).toMatchInlineSnapshot(`
      "PID  RELAY              STATE         TUNNEL  ADDRESS                 TARGET                 REQUESTS
      42   https://t.example  reconnecting  web     https://shop.t.example  http://localhost:3000  12
      42   https://t.example  reconnecting          opening                 localhost:5432         0
      7                       unresponsive
      42: The relay could not be reached."
    `);
  });
});

describe('completion', () => {
  const program = buildProgram(world(), () => Promise.resolve());

  it('in bash offers commands and the options of the command', () => {
    const ask = (...words: string[]): string =>
      execFileSync(
        'bash',
        [
          '-c',
          `${completionScript('bash', program)}\nCOMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _porthole; echo "\${COMPREPLY[@]}"`,
        ],
        { encoding: 'utf8' },
      ).trim();
    expect(ask('porthole', 'st')).toBe('start status');
    expect(ask('porthole', 'tcp', '5432', '--re')).toBe('--remote-port --relay');
  });

  it('exists for zsh and fish', () => {
    expect(completionScript('zsh', program)).toMatch(/^#compdef porthole\n/);
    expect(completionScript('fish', program)).toContain("'__fish_seen_subcommand_from tcp' -l remote-port");
  });
});

describe('the JSON Schema of porthole.yml', () => {
  it('has every key of the table', () => {
    const text = JSON.stringify(configJsonSchema());
    for (const row of Object.values(OPTIONS)) if ('key' in row) expect(text).toContain(`"${row.key}":{`);
  });
});
