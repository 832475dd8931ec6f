/** The command line with everything outside played by the test. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PortholeError, type LinkEvents } from '@porthole/agent';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestAuthority } from '../../../test/harness/certificates.ts';
import { completionScript } from './commands/completion.ts';
import { statusTable } from './commands/status.ts';
import type { OutputStream } from './output/line-writer.ts';
import { buildProgram, runProgram } from './program.ts';
import type { TunnelPlan } from './plan.ts';
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
/** Tunnels that came as far as their origin; there they end. */
let planned: TunnelPlan[];
/** What the played relay does once somebody dials. */
let relay: (events: LinkEvents) => void;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'porthole-program-'));
  out = new Memory();
  dialed = [];
  planned = [];
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
    openOrigin: (plan) => {
      planned.push(plan);
      throw new PortholeError('CANCELLED');
    },
    openLink: (choice, events) => {
      dialed.push(choice);
      return { start: () => relay(events), openTunnel: () => expect.unreachable(), close: () => Promise.resolve() };
    },
  };
}

const run = (args: string | readonly string[], input?: string, env?: Record<string, string>): Promise<number> =>
  runProgram(typeof args === 'string' ? args.split(' ').filter((arg) => arg !== '') : args, world(input, env));
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
    ['http 3000', 'RELAY_MISSING'],
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
    ['http 3000 --relay t.example --host-header http://a.test', 'USAGE'],
    ['logout', 'NOT_LOGGED_IN'],
    ['logout t.example', 'NOT_LOGGED_IN'],
  ])('%j is %s', async (args, code) => {
    await expect(run(args)).rejects.toMatchObject({ code });
    expect(dialed).toEqual([]);
  });

  it.each(['', 'a.test\r\nX-Admin: yes'])('a host header %j is none', async (value) => {
    await expect(run(['http', '3000', '--relay', 't.example', '--host-header', value])).rejects.toMatchObject({
      code: 'USAGE',
      detail: expect.stringMatching(/^--host-header ".*" is not preserve, rewrite or a host/),
    });
    expect([planned, dialed]).toEqual([[], []]);
  });

  it('names the tunnel of the file that was meant', async () => {
    writeFileSync(join(home, 'porthole.yml'), 'tunnels: { web: { http: 3000 }, api: { http: 4000 } }');
    await expect(run('start wbe --relay x')).rejects.toMatchObject({
      code: 'USAGE',
      detail: expect.stringContaining('did you mean web?'),
    });
  });
});

describe('a password for visitors', () => {
  const HTTP = ['http', '3000', '--relay', 't.example'];
  const START = ['start', '--relay', 't.example'];
  const ENV = (value: string): Record<string, string> => ({ PORTHOLE_BASIC_AUTH: value });

  beforeEach(() => {
    writeFileSync(join(home, 'empty'), '');
    writeFileSync(join(home, 'blank'), ' \n\n');
    writeFileSync(join(home, 'lines'), 'ada:secret\neve:secret\n');
    writeFileSync(join(home, 'good'), 'ada:of the file\n');
    writeFileSync(join(home, 'empty.yml'), 'tunnels: { web: { http: 3000, basic_auth_file: empty } }');
    writeFileSync(
      join(home, 'porthole.yml'),
      'tunnels: { own: { http: 3000, basic_auth_file: good }, other: { http: 4000 }, db: { tcp: 5432 } }',
    );
  });

  it.each<[string, string[], Record<string, string>, RegExp]>([
    ['an empty flag', [...HTTP, '--basic-auth', ''], {}, /--basic-auth is empty/],
    ['an empty flag for a folder', ['serve', '.', '--relay', 'x', '--basic-auth='], {}, /--basic-auth is empty/],
    ['an empty flag beside the environment', [...HTTP, '--basic-auth', ''], ENV('ada:x'), /--basic-auth is empty/],
    ['an empty file', [...HTTP, '--basic-auth-file', 'empty'], {}, /^empty is empty/],
    ['a file of white space', [...HTTP, '--basic-auth-file', 'blank'], {}, /^blank is empty/],
    ['an empty file beside the environment', [...HTTP, '--basic-auth-file', 'empty'], ENV('ada:x'), /^empty is empty/],
    ['an empty file of porthole.yml', [...START, '--config', 'empty.yml'], {}, /^empty is empty/],
    ['the same beside the environment', [...START, '--config', 'empty.yml'], ENV('ada:x'), /^empty is empty/],
    ['several lines', [...HTTP, '--basic-auth-file', 'lines'], {}, /^lines is not user:password on one line/],
    ['no colon', [...HTTP], ENV('secret'), /PORTHOLE_BASIC_AUTH is not user:password/],
    ['no user', [...HTTP, '--basic-auth', ':secret'], {}, /no user name/],
    ['a password that a shell left out', [...HTTP, '--basic-auth', 'ada:'], {}, /no password/],
  ])('%s opens nothing', async (_what, args, env, detail) => {
    await expect(run(args, '', env)).rejects.toMatchObject({
      code: 'BASIC_AUTH_INVALID',
      detail: expect.stringMatching(detail),
    });
    await expect(run(args, '', env)).rejects.not.toThrow(/secret/);
    expect([planned, dialed]).toEqual([[], []]);
  });

  it('is not wanted when only an empty variable says so', async () => {
    await expect(run(HTTP, '', ENV(''))).rejects.toThrow();
    expect(planned.map(({ basicAuth }) => basicAuth)).toEqual([undefined]);
  });

  it('comes from the flag, else the file, else the environment', async () => {
    await expect(run([...HTTP, '--basic-auth', 'a:flag'], '', ENV('a:env'))).rejects.toThrow();
    await expect(run([...HTTP, '--basic-auth-file', 'good'], '', ENV('a:env'))).rejects.toThrow();
    await expect(run(HTTP, '', ENV('a:env'))).rejects.toThrow();
    expect(planned.map(({ basicAuth }) => basicAuth)).toEqual(['a:flag', 'ada:of the file', 'a:env']);
  });

  it('of the environment is asked at the tunnels of porthole.yml that can ask and have none of their own', async () => {
    await expect(run(START, '', ENV('a:env'))).rejects.toThrow();
    expect(planned.map(({ label, basicAuth }) => [label, basicAuth])).toEqual([
      ['own', 'ada:of the file'],
      ['other', 'a:env'],
      ['db', undefined],
    ]);
  });
});

describe('a file of certificates to trust', () => {
  const certificate = new TestAuthority().certificatePem;

  beforeEach(() => {
    writeFileSync(join(home, 'good.pem'), `# ours\n${certificate}${certificate}`);
    writeFileSync(join(home, 'empty.pem'), '');
    writeFileSync(join(home, 'key.pem'), new TestAuthority().issue(['a.test']).keyPem);
    writeFileSync(join(home, 'binary.pem'), new X509Certificate(certificate).raw);
    writeFileSync(join(home, 'cut.pem'), `${certificate}${certificate.slice(0, 200)}`);
    writeFileSync(join(home, 'odd.pem'), certificate.replace(/\n[^\n]{20}/, '\nAAAAAAAAAAAAAAAAAAAA'));
    writeFileSync(join(home, 'relay.yml'), 'relay: t.example\nca_file: key.pem\ntunnels: { web: { http: 1 } }');
    for (const option of ['origin_ca_file', 'client_ca_file'])
      writeFileSync(join(home, `${option}.yml`), `relay: t.example\ntunnels: { web: { http: 1, ${option}: key.pem } }`);
  });

  const FILES = ['empty.pem', 'key.pem', 'binary.pem', 'cut.pem', 'odd.pem'];
  it.each([
    ...['--ca-file', '--origin-ca-file', '--client-ca-file'].flatMap((flag) =>
      FILES.map((file) => [`http https://a.test --relay t.example ${flag} ${file}`, {}, file] as const),
    ),
    ['http 1 --relay t.example', { PORTHOLE_CA_FILE: 'key.pem' }, 'key.pem'],
    ['login t.example --ca-file key.pem', {}, 'key.pem'],
    ['start --config relay.yml', {}, 'key.pem'],
    ['start --config origin_ca_file.yml', {}, 'key.pem'],
    ['start --config client_ca_file.yml', {}, 'key.pem'],
  ] as const)('that holds none: %s', async (args, env, file) => {
    await expect(run(args, 'token', env)).rejects.toMatchObject({
      code: 'CERTIFICATE_INVALID',
      detail: expect.stringContaining(join(home, file)),
    });
    expect([planned, dialed]).toEqual([[], []]);
  });

  it('may hold several and a comment', async () => {
    await run('login t.example --ca-file good.pem', 'token');
    expect(dialed[0]?.ca?.match(/BEGIN CERTIFICATE/g)?.length).toBe(2);
    await expect(run('http https://a.test --relay t.example --origin-ca-file good.pem')).rejects.toThrow();
    expect(planned[0]?.originTrust.ca).toBe(dialed[0]?.ca);
  });
});

it('the certificate authority of the environment counts where no flag names one', async () => {
  const env = { PORTHOLE_ACME_DIRECTORY: 'https://env.test' };
  writeFileSync(join(home, 'porthole.yml'), 'tunnels: { web: { http: 1, end_to_end: true } }');
  await expect(run('http 1 --relay x --end-to-end', '', env)).rejects.toThrow();
  await expect(run('http 1 --relay x --end-to-end --acme-directory https://flag.test', '', env)).rejects.toThrow();
  await expect(run('start --relay x', '', env)).rejects.toThrow();
  expect(planned.map(({ endToEnd }) => endToEnd?.directoryUrl)).toEqual([
    'https://env.test',
    'https://flag.test',
    'https://env.test',
  ]);
});

describe('help', () => {
  it('lists the commands, and every option of the table exactly once where it belongs', async () => {
    expect(await run('--help')).toBe(0);
    for (const name of ['http', 'tcp', 'serve', 'start', 'login', 'logout', 'status', 'wait', 'doctor', 'completion'])
      expect(out.text).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    out.text = '';
    await run('http --help');
    for (const row of Object.values(OPTIONS)) {
      if (!('flag' in row)) continue;
      const belongs = row.commands === 'all' || (row.commands as readonly string[]).includes('http');
      expect(out.text.split(`  ${row.flag} `).length - 1, row.flag).toBe(belongs ? 1 : 0);
    }
  });

  it('of a command lists what only that one takes, and says of what a flag switches off that it does not', async () => {
    await run('login --help');
    expect(out.text).toMatch(/^ {2}--token-stdin +read the token/m);
    out.text = '';
    await run('serve --help');
    expect(out.text).toMatch(/^ {2}--no-qr +do not show a QR code$/m);
    expect(out.text).toMatch(/^ {2}--no-listing +do not list a folder/m);
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
  ])('stores nothing when the relay %s, and does not speak of trying again', async (_what, answer, code) => {
    relay = answer;
    await expect(run('login t.example', 's3cret')).rejects.toMatchObject({
      code,
      hint: expect.not.stringMatching(/keeps trying|by itself/),
    });
    expect(existsSync(credentials())).toBe(false);
  });

  it.each([
    ['nothing', ''],
    ['two words', 'two words'],
    ['a line too long', 'x'.repeat(5000)],
    ['a whole file', 'x'.repeat(100_000)],
  ])('takes %s for no token', async (_what, token) => {
    await expect(run('login t.example', token)).rejects.toMatchObject({
      code: 'TOKEN_MALFORMED',
      detail: expect.stringContaining('standard input'),
    });
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
