/** The command line as scripts see it: exit codes, one JSON object per line, standard output that nobody reads, secrets. */
import { existsSync, statSync } from 'node:fs';
import { type ErrorCode, ERRORS } from '@porthole/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentOptions, type AgentUnderTest, CLI, launchAgent, startAgent } from '../harness/agent.ts';
import { refusingPort } from '../harness/bad-origin.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { type Program, runProgram } from '../harness/program.ts';
import { plainAnswer, startRawOrigin } from '../harness/raw-origin.ts';
import { askOnce, connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { type TempFolder, tempFolder } from '../harness/temp-folder.ts';
import { until, within } from '../harness/until.ts';

let relay: RelayUnderTest;
let origin: Origin;
let token: string;
let home: TempFolder;

beforeAll(async () => {
  home = tempFolder();
  origin = await startOrigin();
  relay = await startRelay();
  token = await relay.addToken('ada');
});
afterAll(async () => {
  await relay?.close();
  await origin?.close();
  home?.remove();
});

function porthole(args: readonly string[], env: Record<string, string> = {}, input?: string) {
  return runProgram({
    name: 'porthole',
    command: CLI.command,
    args: [...CLI.args, ...args],
    cwd: home.path,
    env: { HOME: home.path, XDG_CONFIG_HOME: `${home.path}/.config`, ...env },
    ...(input === undefined ? {} : { input }),
  });
}

const options = (more: Partial<AgentOptions> = {}): AgentOptions => ({
  relayUrl: relay.url,
  token,
  target: origin.port,
  ...more,
});

async function works(url: string): Promise<void> {
  expect((await askOnce(url, getRequest(url, '/size/4'))).body.length).toBe(4);
}

describe('exit codes', () => {
  it.each<[string, string[], ErrorCode]>([
    ['no command', [], 'USAGE'],
    ['no target', ['http'], 'USAGE'],
    ['an unknown flag', ['http', '3000', '--nmae', 'x'], 'USAGE'],
    ['an unknown command', ['htpt', '3000'], 'USAGE'],
    ['a port out of range', ['http', '99999'], 'TARGET_INVALID'],
    ['a target that is none', ['http', 'ftp://x'], 'TARGET_INVALID'],
    ['a token file that is not there', ['http', '3000', '--token-file', '/nowhere/token'], 'FILE_UNREADABLE'],
    ['a config that is not there', ['start', '--config', '/nowhere/porthole.yml'], 'FILE_UNREADABLE'],
    ['a folder that is not there', ['serve', '/nowhere'], 'FILE_UNREADABLE'],
  ])('%s: 2, with a code and a remedy and no stack', async (_what, args, code) => {
    const { code: exit, stdout, stderr } = await porthole(args, { PORTHOLE_RELAY: relay.url, PORTHOLE_TOKEN: token });
    expect(exit).toBe(2);
    expect(stdout).toBe('');
    // What happened, with the particular in parentheses, and the remedy below; nothing else.
    const [what = '', remedy, ...more] = stderr.trimEnd().split('\n');
    expect(what.startsWith(`porthole: ${ERRORS[code].message} (`)).toBe(true);
    expect(what.endsWith(`) [${code}]`)).toBe(true);
    expect([remedy, more]).toEqual([`  ${ERRORS[code].hint}`, []]);
  });

  it('faults of the config come all at once, with file, line and column', async () => {
    const file = home.write(
      'porthole.yml',
      'relay: http://127.0.0.1:1\ntunels:\n  web: { http: 3000 }\ntunnels:\n  api: { http: 99999, nmae: x }\n',
    );
    const { code, stdout, stderr } = await porthole(['start', '--config', file]);
    const said = `${stdout}\n${stderr}`;
    expect(code).toBe(2);
    expect(said).toMatch(/porthole\.yml:2:1: .*tunels/);
    expect(said).toMatch(/did you mean "?tunnels/i);
    expect(said).toMatch(/porthole\.yml:5:\d+: /);
  });

  it('stopped by the user, by either signal: 0, and the name is free', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const agent = await startAgent(options({ name: 'briefly' }));
      agent.program.signal(signal);
      expect((await within('the agent ends', agent.program.exited)).code).toBe(0);
      expect(agent.events.at(-1)?.event).toBe('closed');
      await agent.close();
    }
  });

  it('refused by the relay: 3', async () => {
    await using agent = launchAgent(options({ token: 'wrong' }));
    expect((await within('the agent ends', agent.program.exited)).code).toBe(3);
    expect(agent.events.at(-1)).toMatchObject({ event: 'error', code: 'TOKEN_INVALID', hint: expect.any(String) });
  });

  it('no relay at first: the agent waits for it, says so, and opens its tunnel when the relay comes', async () => {
    const late = await startRelay();
    const lateToken = await late.addToken('ada');
    await late.program.close();
    const agent = launchAgent({ relayUrl: late.url, token: lateToken, target: origin.port });
    const interrupted = await agent.event('interrupted');
    expect(interrupted.code).toBe('RELAY_UNREACHABLE');
    await late.start();
    await works(await agent.url(30_000));
    await agent.close();
    await late.close();
  });

  it('something else than a relay at the address: it is named, and tried again', async () => {
    await using other = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer('I am a web site')));
    await using agent = launchAgent(options({ relayUrl: `http://127.0.0.1:${other.port}` }));
    expect((await agent.event('interrupted')).code).toBe('NOT_A_RELAY');
    expect(agent.program.exit).toBeUndefined();
  });
});

describe('--json', () => {
  it('prints objects only; the first about a tunnel has all there is to know', async () => {
    await using agent = await startAgent(options({ name: 'jason' }));
    for (const line of agent.program.lines) expect(() => JSON.parse(line) as unknown).not.toThrow();
    expect(agent.events.find((event) => event.event === 'tunnel')).toEqual({
      event: 'tunnel',
      name: 'jason',
      protocol: 'http',
      url: relay.urlOf('jason'),
      target: expect.stringContaining(String(origin.port)),
    });
  });

  it('goes on carrying traffic when nobody reads its standard output, and says later how much it left out', async () => {
    const agent = launchAgent(options({ name: 'unread', stdout: 'unread', args: ['--log-level', 'debug'] }));
    const url = relay.urlOf('unread');
    // With a line of more than 200 bytes for each, far more than pipe and agent hold together.
    const path = `/size/4/${'x'.repeat(180)}`;
    await until('the tunnel stands', async () => (await askOnce(url, getRequest(url, path))).status === 200);
    await using visitor = await connectVisitor(url);
    for (let i = 0; i < 4000; i++) {
      await visitor.send(getRequest(url, `${path}?${i}`));
      expect((await readAnswer(visitor)).status).toBe(200);
    }
    let said = '';
    agent.program.child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until('what was left out is told', async () => {
      await works(url);
      return said.includes('"event":"dropped"');
    });
    const lines = said.split('\n').slice(0, -1);
    const exchanges = lines.filter((line) => line.startsWith('{"event":"exchange"')).length;
    const [dropped] = lines.flatMap((line) => /^{"event":"dropped","count":(\d+)}$/.exec(line)?.[1] ?? []);
    expect(exchanges).toBeGreaterThan(1_000);
    expect(exchanges + Number(dropped)).toBeGreaterThanOrEqual(4_000);
    await agent.close();
  });

  it('goes on when its standard output is closed under it', async () => {
    const agent = await startAgent(options({ name: 'closed-pipe', args: ['--log-level', 'debug'] }));
    const url = await agent.url();
    agent.program.child.stdout?.destroy();
    for (let i = 0; i < 20; i++) await works(url);
    await relay.restart();
    await until('service is back', async () => (await askOnce(url, getRequest(url, '/size/4'))).status === 200, 20_000);
    expect(agent.program.exit).toBeUndefined();
    await agent.close();
  });
});

describe('the log level', () => {
  const asked: readonly [string, Partial<AgentOptions>][] = [
    ['the flag', { args: ['--log-level', 'LEVEL'] }],
    ['the environment', { env: { PORTHOLE_LOG_LEVEL: 'LEVEL' } }],
    ['the file', { args: ['--config', 'FILE'] }],
    ['the flag before the environment', { args: ['--log-level', 'LEVEL'], env: { PORTHOLE_LOG_LEVEL: 'info' } }],
  ];
  const withLevel = ({ args = [], env = {} }: Partial<AgentOptions>, level: string): Partial<AgentOptions> => {
    const file = home.write(`${level}.yml`, `log_level: ${level}\n`);
    const put = (text: string): string => text.replace('LEVEL', level).replace('FILE', file);
    return { args: args.map(put), env: Object.fromEntries(Object.entries(env).map(([key, text]) => [key, put(text)])) };
  };

  it.each(asked)('by %s: debug tells of the carrier and of each exchange, but of no query', async (_what, how) => {
    await using agent = await startAgent(options(withLevel(how, 'debug')));
    const url = await agent.url();
    await askOnce(url, getRequest(url, '/size/4?key=canary-query'));
    expect(await agent.event('exchange')).toEqual({
      event: 'exchange',
      method: 'GET',
      path: '/size/4',
      status: 200,
      ms: expect.any(Number),
    });
    expect(await agent.event('connected')).toMatchObject({
      carrier: 'upgrade',
      resumed: false,
      relay_software: expect.stringContaining('porthole-relay/'),
    });
    expect(agent.program.lines.join()).not.toContain('canary-query');
  });

  it.each(asked)('by %s: error tells the address, and nothing of an outage', async (_what, how) => {
    await using short = await startRelay();
    const shortToken = await short.addToken('ada');
    await using agent = await startAgent(
      options({ relayUrl: short.url, token: shortToken, name: 'quiet', ...withLevel(how, 'error') }),
    );
    await short.restart();
    const url = short.urlOf('quiet');
    await until('service is back', async () => (await askOnce(url, getRequest(url, '/size/4'))).status === 200, 20_000);
    expect(agent.events.map(({ event }) => event)).toEqual(['tunnel']);
  });
});

// At once: an origin that nobody serves is waited for.
describe.concurrent('targets', () => {
  it('on ::1 only, 127.0.0.1 only, a socket file, with a scheme', async () => {
    await using six = await startOrigin({ host: '::1' });
    await using file = await startOrigin({ unix: true });
    const targets = [
      String(six.port),
      `localhost:${six.port}`,
      `[::1]:${six.port}`,
      `http://localhost:${six.port}`,
      `http://[::1]:${six.port}/`,
      `localhost:${origin.port}`,
      `127.0.0.1:${origin.port}`,
      file.target,
    ];
    for (const target of targets) {
      await using agent = await startAgent(options({ target }));
      await works(await agent.url());
    }
  });

  it('that nobody serves name both attempts in what the agent says, and keep them from the visitor', async () => {
    const port = await refusingPort();
    const both = `127.0.0.1:${port}: ECONNREFUSED; [::1]:${port}: ECONNREFUSED`;
    await using agent = await startAgent(options({ target: port }));
    const url = await agent.url();
    const asked = askOnce(url, getRequest(url), { deadlineMs: 25_000 });
    // While the visitor still waits.
    expect(await agent.event('origin_failed')).toEqual({
      event: 'origin_failed',
      code: 'ORIGIN_REFUSED',
      message: `The local service refused the connection. (${both}; requests wait for it)`,
      hint: expect.stringContaining('Start the service'),
      times: 1,
      target: `http://localhost:${port}`,
    });
    const answer = await asked;
    expect(answer.field('porthole-error')).toBe('ORIGIN_REFUSED');
    expect(answer.head + answer.body.toString()).not.toContain('ECONNREFUSED');
    const last = await agent.event('origin_failed', ({ message }) => String(message).includes('waited 10000 ms'));
    expect(last['message']).toContain(both);
  });

  it('of a file run together over one session', async () => {
    await using other = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer('other')));
    const file = home.write(
      'two.yml',
      `relay: ${relay.url}\ntunnels:\n  web: { http: ${origin.port}, name: two-web }\n  api: { http: ${other.port}, name: two-api }\n`,
    );
    await using agent = launchAgent(options({ kind: 'start', target: 'web', args: ['api', '--config', file] }));
    await agent.event('tunnel', (event) => event.name === 'two-web');
    await agent.event('tunnel', (event) => event.name === 'two-api');
    await works(relay.urlOf('two-web'));
    expect((await askOnce(relay.urlOf('two-api'), getRequest(relay.urlOf('two-api')))).body.toString()).toBe('other');
  });
});

describe('host modes', () => {
  async function tunnelTo(
    answer: (host: string) => string,
    args: string[],
  ): Promise<{ agent: AgentUnderTest; url: string; port: number; close(): Promise<void> }> {
    const raw = await startRawOrigin(async (request) => request.wire.send(answer(request.field('host') ?? '')));
    const agent = await startAgent(options({ target: raw.port, args }));
    return {
      agent,
      url: await agent.url(),
      port: raw.port,
      close: async () => {
        await agent.close();
        await raw.close();
      },
    };
  }

  it('preserve shows the public host, rewrite the local one, a value that value', async () => {
    for (const [mode, expected] of [
      ['preserve', (url: string) => new URL(url).host],
      ['rewrite', (_url: string, port: number) => `localhost:${port}|127.0.0.1:${port}`],
      ['shop.example', () => 'shop.example'],
    ] as const) {
      const tunnel = await tunnelTo((host) => plainAnswer(host), ['--host-header', mode]);
      const seen = (await askOnce(tunnel.url, getRequest(tunnel.url))).body.toString();
      expect(expected(tunnel.url, tunnel.port).split('|')).toContain(seen);
      await tunnel.close();
    }
  });

  it('rewrite maps redirects and cookies of the local address back, and leaves others alone', async () => {
    const cases: readonly [string, (url: string) => string][] = [
      ['/relative', () => '/relative'],
      ['http://localhost:PORT/abs?x=1', (url) => `${url}/abs?x=1`],
      ['http://127.0.0.1:PORT/abs', (url) => `${url}/abs`],
      ['https://elsewhere.example/x', () => 'https://elsewhere.example/x'],
      ['http://localhost:1/other-port', () => 'http://localhost:1/other-port'],
    ];
    for (const [location, expected] of cases) {
      let port = 0;
      const tunnel = await tunnelTo(
        () =>
          `HTTP/1.1 302 Found\r\nLocation: ${location.replace('PORT', String(port))}\r\nSet-Cookie: a=b; Domain=localhost; Path=/\r\nContent-Length: 0\r\n\r\n`,
        ['--host-header', 'rewrite'],
      );
      port = tunnel.port;
      const answer = await askOnce(tunnel.url, getRequest(tunnel.url));
      expect(answer.field('location')).toBe(expected(tunnel.url.replace(/\/$/, '')));
      expect(answer.field('set-cookie')).not.toMatch(/domain=localhost/i);
      await tunnel.close();
    }
  });

  it('rewrite changes every request on a kept connection, not only the first', async () => {
    const tunnel = await tunnelTo((host) => plainAnswer(host), ['--host-header', 'rewrite']);
    await using visitor = await connectVisitor(tunnel.url);
    for (let i = 0; i < 3; i++) {
      await visitor.sendSplit(getRequest(tunnel.url), 9);
      expect((await readAnswer(visitor)).body.toString()).toContain(String(tunnel.port));
    }
    await tunnel.close();
  });
});

describe('--basic-auth', () => {
  it('asks strangers, lets those who know in, keeps the gate credential from the origin and the application its own', async () => {
    await using agent = await startAgent(options({ args: ['--basic-auth', 'ada:open sesame'] }));
    const url = await agent.url();
    const stranger = await askOnce(url, getRequest(url, '/headers'));
    expect([stranger.status, stranger.field('www-authenticate')?.startsWith('Basic')]).toEqual([401, true]);
    const known = Buffer.from('ada:open sesame').toString('base64');
    const answer = await askOnce(url, getRequest(url, '/headers', `Authorization: Basic ${known}\r\n`));
    expect(answer.status).toBe(200);
    expect(answer.body.toString()).not.toContain(known);
    const wrong = Buffer.from('ada:wrong').toString('base64');
    expect((await askOnce(url, getRequest(url, '/headers', `Authorization: Basic ${wrong}\r\n`))).status).toBe(401);
  });
});

describe('login', () => {
  it('stores the token readable by its owner only, and later commands need neither relay nor token', async () => {
    const login = await porthole(['login', relay.url, '--token-stdin'], {}, `${token}\n`);
    expect([login.code, login.stdout, login.stderr]).toEqual([0, expect.any(String), expect.any(String)]);
    expect(`${login.stdout}${login.stderr}`).not.toContain(token);
    const stored = `${home.path}/.config/porthole`;
    expect(statSync(`${stored}/credentials.json`).mode & 0o777).toBe(0o600);
    expect(statSync(stored).mode & 0o777).toBe(0o700);
    const agent: Program = await (async () => {
      const { Program: Started } = await import('../harness/program.ts');
      return new Started({
        name: 'agent',
        command: CLI.command,
        args: [...CLI.args, 'http', String(origin.port), '--json'],
        cwd: home.path,
        env: { HOME: home.path, XDG_CONFIG_HOME: `${home.path}/.config` },
      });
    })();
    const url = await agent.waitForLine('the tunnel', (line) => /"url":"([^"]+)"/.exec(line)?.[1]);
    await works(url);
    const status = await porthole(['status']);
    expect([status.code, status.stdout]).toEqual([0, expect.stringContaining(url)]);
    expect(await porthole(['wait'])).toMatchObject({ code: 0, stdout: url });
    const waited = await porthole(['wait', new URL(url).hostname.split('.')[0] ?? '', '--json']);
    expect(JSON.parse(waited.stdout)).toMatchObject({ event: 'tunnel', url, target: expect.any(String) });
    const inVain = await porthole(['wait', 'somebody-else', '--timeout', '1']);
    expect([inVain.code, inVain.stderr]).toEqual([1, expect.stringMatching(/no 'somebody-else'[\s\S]*WAIT_TIMEOUT/)]);
    expect((await porthole(['wait', '--timeout', '1m'])).code).toBe(2);
    await agent.close();
    expect((await porthole(['wait', '--timeout', '1'])).code).toBe(1);
    expect((await porthole(['logout'])).code).toBe(0);
    expect(existsSync(`${stored}/credentials.json`)).toBe(false);
  });

  it('refuses a wrong token and stores nothing', async () => {
    const folder = `${home.path}/refused`;
    const env = { HOME: folder, XDG_CONFIG_HOME: `${folder}/.config` };
    const login = await porthole(['login', relay.url, '--token-stdin'], env, 'wrong-token\n');
    expect(login.code).toBe(3);
    expect(`${login.stdout}${login.stderr}`).toContain('TOKEN_INVALID');
    expect(existsSync(folder)).toBe(false);
  });
});
