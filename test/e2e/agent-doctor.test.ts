/** `porthole doctor`: each thing that can be wrong between an agent and its relay is produced, found, and given a remedy. */
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PROBLEMS, type ProblemCode } from '../../packages/cli/src/doctor/problems.ts';
import { CLI } from '../harness/agent.ts';
import { refusingPort } from '../harness/bad-origin.ts';
import { TestAuthority, writeCertificateFiles, type CertificateFiles } from '../harness/certificates.ts';
import { startConnectProxy } from '../harness/connect-proxy.ts';
import { Listener } from '../harness/listener.ts';
import { runProgram } from '../harness/program.ts';
import { FROM_SOURCE, type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { type TempFolder, tempFolder } from '../harness/temp-folder.ts';

interface Check {
  readonly step: string;
  readonly ok: boolean;
  readonly found: string;
  readonly code?: string;
  readonly hint?: string;
}

interface Report {
  readonly code: number | null;
  readonly checks: Check[];
  readonly text: string;
}

const DAY = 86_400_000;
const authority = new TestAuthority();
const open: { close(): Promise<void> }[] = [];
let relay: RelayUnderTest;
let token: string;
let home: TempFolder;
let ca: CertificateFiles;
let silent: Listener;
/** Takes ten seconds, in which the other faults are looked for. */
let filtered: Promise<Report>;

beforeAll(async () => {
  home = tempFolder();
  ca = writeCertificateFiles(authority, ['localhost']);
  relay = await startRelay();
  token = await relay.addToken('ada');
  silent = await new Listener(createServer()).listen();
  filtered = examine(`http://127.0.0.1:${silent.port}`);
  filtered.catch(() => undefined);
});

afterEach(async () => {
  for (const part of open.splice(0).toReversed()) await part.close();
});

afterAll(async () => {
  await relay?.close();
  await silent?.close();
  ca?.remove();
  home?.remove();
});

interface Options {
  readonly env?: Record<string, string>;
  readonly preload?: string;
}

async function examine(relayUrl: string, { env = {}, preload }: Options = {}): Promise<Report> {
  const first = preload === undefined ? [] : ['--import', `data:text/javascript,${encodeURIComponent(preload)}`];
  const { code, stdout, stderr } = await runProgram({
    name: 'porthole doctor',
    command: process.execPath,
    args: [...first, FROM_SOURCE, ...CLI.args.slice(1), 'doctor', '--json'],
    cwd: home.path,
    env: {
      HOME: home.path,
      XDG_CONFIG_HOME: home.path,
      PORTHOLE_RELAY: relayUrl,
      PORTHOLE_TOKEN: token,
      PORTHOLE_CA_FILE: ca.caFile,
      ...env,
    },
  });
  const checks = stdout.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Check] : []));
  return { code, checks, text: `${stdout}\n${stderr}` };
}

interface FrontOptions {
  readonly names?: readonly string[];
  readonly fromDays?: number;
  readonly toDays?: number;
  readonly by?: TestAuthority;
  /** Of what the relay answers, a head. */
  readonly change?: (head: string) => string;
  readonly refuses?: RegExp;
}

/** Ends TLS in front of the relay, with a certificate and manners of the test's choice. Gives its URL. */
async function front(options: FrontOptions = {}): Promise<string> {
  const { names = ['localhost'], fromDays = -10, toDays = 60, by = authority, change, refuses } = options;
  const { chainPem, keyPem } = by.issue(names, {
    notBefore: new Date(Date.now() + fromDays * DAY),
    notAfter: new Date(Date.now() + toDays * DAY),
  });
  const server = createTlsServer({ key: keyPem, cert: chainPem }, (inside) => {
    inside.on('error', () => inside.destroy());
    inside.once('data', (head: Buffer) => {
      if (refuses?.test(head.toString('latin1')) === true) {
        inside.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      const outside = connect(relay.port, '127.0.0.1', () => outside.write(head));
      outside.on('error', () => inside.destroy());
      outside.once('data', (answer: Buffer) => {
        inside.write(change === undefined ? answer : Buffer.from(change(answer.toString('latin1')), 'latin1'));
        outside.pipe(inside).pipe(outside);
      });
      inside.on('close', () => outside.destroy());
    });
  });
  const listener = await new Listener(server).listen({ host: 'localhost' });
  open.push(listener);
  return `https://localhost:${listener.port}`;
}

async function listening(server: ConstructorParameters<typeof Listener>[0]): Promise<number> {
  const listener = await new Listener(server).listen();
  open.push(listener);
  return listener.port;
}

/** A relay whose tunnels are said to be elsewhere. */
async function relayWithTunnelsAt(port: number): Promise<Report> {
  const other = await startRelay({ config: { public_url: `http://localhost:${port}` } });
  open.push(other);
  return examine(other.url, { env: { PORTHOLE_TOKEN: await other.addToken('ada') } });
}

const NOBODY_KNOWS = `
  import dns from 'node:dns/promises';
  import { syncBuiltinESMExports } from 'node:module';
  dns.lookup = async (name) => { throw Object.assign(new Error('getaddrinfo ENOTFOUND ' + name), { code: 'ENOTFOUND' }); };
  syncBuiltinESMExports();`;

const webSite = () => createHttpServer((_request, response) => response.end('I am a web site'));

const FOUND: [ProblemCode, RegExp, 'FAIL' | 'note', () => Promise<Report>][] = [
  [
    'NAME_UNKNOWN',
    /nowhere\.test does not resolve/,
    'FAIL',
    () => examine('https://nowhere.test', { preload: NOBODY_KNOWS }),
  ],
  ['PORT_CLOSED', /ECONNREFUSED/, 'FAIL', async () => examine(`http://127.0.0.1:${await refusingPort()}`)],
  [
    'PROXY_UNREACHABLE',
    /HTTP_PROXY.*ECONNREFUSED/,
    'FAIL',
    async () => examine(relay.url, { env: { HTTP_PROXY: `http://127.0.0.1:${await refusingPort()}` } }),
  ],
  [
    'PROXY_REFUSES',
    /./,
    'FAIL',
    async () => {
      const proxy = createHttpServer();
      proxy.on('connect', (_request, socket) =>
        socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n'),
      );
      return examine(await front(), { env: { HTTPS_PROXY: `http://127.0.0.1:${await listening(proxy)}` } });
    },
  ],
  [
    'PROXY_REFUSES',
    /user and a password/,
    'FAIL',
    async () => {
      const proxy = createHttpServer((_request, response) => response.writeHead(407).end());
      return examine(relay.url, { env: { HTTP_PROXY: `http://127.0.0.1:${await listening(proxy)}` } });
    },
  ],
  [
    'TLS_FAILED',
    /localhost/,
    'FAIL',
    async () =>
      examine(
        `https://localhost:${await listening(createServer((socket: Socket) => socket.resume().end('hello\r\n')))}`,
      ),
  ],
  ['CERTIFICATE_EXPIRED', /expired on/, 'FAIL', async () => examine(await front({ toDays: -1 }))],
  ['CERTIFICATE_NOT_YET_VALID', /valid from/, 'FAIL', async () => examine(await front({ fromDays: 2 }))],
  ['CERTIFICATE_WRONG_NAME', /DNS:other\.test/, 'FAIL', async () => examine(await front({ names: ['other.test'] }))],
  [
    'TLS_INTERCEPTED',
    /issued by Corporate Inspection/,
    'FAIL',
    async () => examine(await front({ by: new TestAuthority('Corporate Inspection') })),
  ],
  ['NOT_A_RELAY', /answers 200/, 'FAIL', async () => examine(`http://127.0.0.1:${await listening(webSite())}`)],
  [
    'USE_HTTPS',
    /to https:\/\/tunnel\.test/,
    'FAIL',
    async () => {
      const redirects = createHttpServer((_request, response) =>
        response.writeHead(308, { location: 'https://tunnel.test/' }).end(),
      );
      return examine(`http://127.0.0.1:${await listening(redirects)}`);
    },
  ],
  [
    'CLOCK_OFF',
    /3\d\d\d s behind/,
    'note',
    async () =>
      examine(
        await front({
          change: (head) => head.replace(/^Date: .*$/m, `Date: ${new Date(Date.now() + 3_600_000).toUTCString()}`),
        }),
      ),
  ],
  [
    'WEBSOCKET_ONLY',
    /carried by websocket/,
    'note',
    async () => examine(await front({ refuses: /upgrade: porthole/i })),
  ],
  ['CANARY_LOST', /answered 200 and not/, 'FAIL', async () => relayWithTunnelsAt(await listening(webSite()))],
  ['CANARY_UNREACHABLE', /ECONNREFUSED/, 'FAIL', async () => relayWithTunnelsAt(await refusingPort())],
  [
    'WILDCARD_MISSING',
    /does not resolve here/,
    'FAIL',
    async () => {
      const other = await startRelay({ domain: 'tunnel.test' });
      open.push(other);
      return examine(other.url, { env: { PORTHOLE_TOKEN: await other.addToken('ada') }, preload: NOBODY_KNOWS });
    },
  ],
  ['PORT_FILTERED', /no answer in 10 s/, 'FAIL', () => filtered],
];

/** An unencrypted relay elsewhere, and one of another release, need another machine and another program. */
const ELSEWHERE: ProblemCode[] = ['NO_ENCRYPTION', 'VERSION_DIFFERS'];

describe('porthole doctor', () => {
  it.each(FOUND)('finds %s (%s)', async (code, particular, kind, produce) => {
    const { checks, code: exit, text } = await produce();
    const check = checks.find((one) => one.code === code);
    expect(check, text).toBeDefined();
    expect(check?.found).toMatch(particular);
    expect(check?.hint).toBe(PROBLEMS[code].hint);
    expect(check?.ok).toBe(kind === 'note');
    expect(exit).toBe(kind === 'note' ? 0 : 1);
    // What comes before it is all right: the first fault is the one to look at.
    expect(checks.slice(0, checks.indexOf(check as Check)).filter(({ ok }) => !ok)).toEqual([]);
    expect(text).not.toContain(token);
  });

  it('knows no problem that is not produced here or in its unit test', () => {
    expect(new Set([...FOUND.map(([code]) => code), ...ELSEWHERE])).toEqual(new Set(Object.keys(PROBLEMS)));
  });

  it('says what the relay says of a token, and exits as other commands do then', async () => {
    const { checks, code } = await examine(relay.url, { env: { PORTHOLE_TOKEN: 'wrong' } });
    expect(code).toBe(3);
    expect(checks.at(-1)).toMatchObject({ step: 'token', ok: false, code: 'TOKEN_INVALID', hint: expect.any(String) });
  });

  it('finds nothing wrong where nothing is, directly and through a proxy', async () => {
    const secure = await front();
    const proxy = await startConnectProxy();
    open.push(proxy);
    for (const report of [
      await examine(relay.url),
      await examine(secure),
      await examine(secure, { env: { HTTPS_PROXY: proxy.url } }),
    ]) {
      expect(report.code, report.text).toBe(0);
      expect(report.checks.filter(({ code }) => code !== undefined)).toEqual([]);
      expect(report.checks.find(({ step }) => step === 'token')?.found).toMatch(
        /^accepted; carried by upgrade.*porthole-relay\//,
      );
      expect(report.checks.at(-1)).toMatchObject({ step: 'canary', found: expect.stringContaining('answered in') });
    }
    expect(proxy.seen.length).toBeGreaterThan(1);
  });
});
