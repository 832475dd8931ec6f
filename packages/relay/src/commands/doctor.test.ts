/** Every misconfiguration the doctor knows, produced on this machine as far as it can be, and what the doctor says to it. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createRawServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestAuthority } from '../../../../test/harness/certificates.ts';
import { freePortRange } from '../../../../test/harness/free-ports.ts';
import { TokenRegistry } from '../access/token-registry.ts';
import { loadConfig } from '../config/load-config.ts';
import { Relay } from '../relay.ts';
import { openStore } from '../store/open-store.ts';
import { doctor } from './doctor.ts';
import type { Machine } from './doctor/machine.ts';
import { PROBLEMS, type ProblemCode } from './doctor/problems.ts';
import type { World } from './world.ts';

const DOMAIN = 'tunnel.test';
const HERE = ['127.0.0.1', '::1', '203.0.113.5'];
const authority = new TestAuthority();

interface Report {
  readonly code: number;
  readonly faults: number;
  readonly findings: { state: string; code?: ProblemCode; text: string; cause?: string; remedy?: string }[];
}

let folder: string;
let undo: (() => unknown)[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'porthole-doctor-'));
  undo = [];
});

afterEach(async () => {
  for (const step of undo.toReversed()) await step();
  rmSync(folder, { recursive: true });
});

function world(output: string[], env: Record<string, string> = {}): World {
  const logOutput = { dropped: 0, flush: async () => {}, write: () => {} };
  const out = (text: string): void => void output.push(text);
  return { env, cwd: folder, version: '1.2.3', isTty: false, out, note: () => {}, logOutput, onStop: () => () => {} };
}

/** A healthy machine whose DNS is right. */
function machine(over: Partial<Machine> = {}): Machine {
  return {
    resolve: async () => ['127.0.0.1'],
    resolveType: async () => [],
    addresses: () => HERE,
    space: async () => ({ free: 1e12, total: 2e12 }),
    openFiles: () => 1_048_576,
    outgoingPorts: () => ({ first: 32_768, last: 60_999 }),
    now: () => Date.now(),
    ca: authority.certificatePem,
    ...over,
  };
}

type Settings = Record<string, unknown>;

async function examine(settings: Settings, on: Partial<Machine> = {}, flags: Settings = {}): Promise<Report> {
  const file = join(folder, 'relay.yml');
  writeFileSync(file, JSON.stringify({ admin: 'off', ...settings }));
  const output: string[] = [];
  const code = await doctor({ config: file, json: true, ...flags }, world(output), machine(on));
  return { code, ...(JSON.parse(output.join('')) as Omit<Report, 'code'>) };
}

const codesOf = ({ findings }: Report): string[] => findings.flatMap(({ code }) => code ?? []);

async function freePort(): Promise<number> {
  return (await freePortRange(1)).first;
}

async function withToken(): Promise<void> {
  const store = openStore(join(folder, 'data'));
  await new TokenRegistry(store).create('ada', {});
  await store.close();
}

async function listening(server: Server, port = 0): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  undo.push(() => new Promise((resolve) => server.close(resolve)));
  return (server.address() as AddressInfo).port;
}

interface FrontOptions {
  readonly names?: readonly string[];
  readonly expired?: boolean;
  readonly soon?: boolean;
  readonly stranger?: boolean;
  readonly upgrades?: 'all' | 'websocket' | 'none';
  readonly forwards?: boolean;
  readonly proto?: string;
  readonly host?: string;
}

/** A program in front that ends TLS, with whatever may be wrong with one. Returns its port. */
async function front(toPort: number, options: FrontOptions = {}): Promise<number> {
  const { names = [DOMAIN, `*.${DOMAIN}`], upgrades = 'all', forwards = true, proto = 'https' } = options;
  const day = 86_400_000;
  const notAfter = options.expired === true ? -day : options.soon === true ? 3 * day : 60 * day;
  const issuer = options.stranger === true ? new TestAuthority('Stranger') : authority;
  const { chainPem, keyPem } = issuer.issue(names, {
    notBefore: new Date(Date.now() - 10 * day),
    notAfter: new Date(Date.now() + notAfter),
  });
  const headersFor = (incoming: IncomingMessage, keepUpgrade: boolean): Record<string, string> => {
    const { upgrade, connection: _, ...rest } = incoming.headers;
    const own = forwards
      ? { 'x-forwarded-for': '198.51.100.7', ...(proto === '' ? {} : { 'x-forwarded-proto': proto }) }
      : {};
    const upgradeFields = keepUpgrade && upgrade !== undefined ? { connection: 'Upgrade', upgrade } : {};
    return {
      ...(rest as Record<string, string>),
      ...own,
      ...upgradeFields,
      ...(options.host === undefined ? {} : { host: options.host }),
    };
  };
  const server = createTlsServer({ key: keyPem, cert: chainPem }, (incoming, response) => {
    const onward = request({
      host: '127.0.0.1',
      port: toPort,
      path: incoming.url,
      agent: false,
      headers: headersFor(incoming, false),
    });
    onward.on('response', (answer) => answer.pipe(response.writeHead(answer.statusCode ?? 0, answer.headers)));
    onward.on('error', () => response.writeHead(502, { server: 'front' }).end());
    onward.end();
  });
  server.on('upgrade', (incoming: IncomingMessage, socket: Socket) => {
    const passes = upgrades === 'all' || (upgrades === 'websocket' && incoming.headers.upgrade === 'websocket');
    if (!passes) return socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    const onward = request({
      host: '127.0.0.1',
      port: toPort,
      path: incoming.url,
      agent: false,
      headers: headersFor(incoming, true),
    });
    onward.on('upgrade', (answer, far) => {
      const lines = answer.rawHeaders.flatMap((name, i) =>
        i % 2 === 0 ? [`${name}: ${answer.rawHeaders[i + 1]}\r\n`] : [],
      );
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`);
      far
        .on('error', () => socket.destroy())
        .pipe(socket)
        .on('error', () => far.destroy());
      socket.pipe(far);
    });
    onward.on('response', () => socket.destroy());
    onward.on('error', () => socket.destroy());
    onward.end();
    return undefined;
  });
  return listening(server);
}

/** A relay behind a front; the relay itself does not run. */
async function behind(options: FrontOptions = {}, settings: Settings = {}): Promise<Report> {
  await withToken();
  const port = await freePort();
  const outside = await front(port, options);
  return examine({
    http: `127.0.0.1:${port}`,
    public_url: `https://${DOMAIN}:${outside}`,
    trusted_proxies: ['127.0.0.1'],
    ...settings,
  });
}

async function local(settings: Settings = {}, on: Partial<Machine> = {}, flags: Settings = {}): Promise<Report> {
  await withToken();
  return examine({ http: '127.0.0.1:0', domain: 'localhost', ...settings }, on, flags);
}

/** A relay on all addresses of a machine, without anything in front. */
async function direct(settings: Settings = {}, on: Partial<Machine> = {}): Promise<Report> {
  await withToken();
  return examine(
    { http: `127.0.0.1:${await freePort()}`, domain: DOMAIN, public_url: `http://${DOMAIN}:1`, ...settings },
    on,
  );
}

async function clockAt(offsetMs: number): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { date: new Date(Date.now() + offsetMs).toUTCString() }).end();
  });
  return `http://127.0.0.1:${await listening(server)}`;
}

async function runningRelay(port: number): Promise<void> {
  const config = loadConfig({
    workingDir: folder,
    flags: { domain: DOMAIN, http: `127.0.0.1:${port}`, data: join(folder, 'running'), admin: 'off' },
  }).config;
  const relay = new Relay(config);
  await relay.start();
  undo.push(() => relay.close());
}

const resolving =
  (answers: Record<string, readonly string[]>) =>
  async (host: string): Promise<readonly string[]> =>
    answers[host] ?? answers[host.replace(/^[^.]+/, '*')] ?? [];

/** What is wrong, what the doctor calls it, and a word of what it says in particular. */
const MISCONFIGURATIONS: [ProblemCode, RegExp, () => Promise<Report>][] = [
  ['CONFIG_INVALID', /htpp/, () => examine({ htpp: ':80' })],
  ['CONFIG_UNREADABLE', /nowhere\.yml/, () => examine({}, {}, { config: 'nowhere.yml' })],
  ['CLOCK_OFF', /ahead/, async () => local({}, {}, { clockUrl: await clockAt(-3_600_000) })],
  ['CLOCK_UNKNOWN', /did not answer/, () => local({}, {}, { clockUrl: 'http://127.0.0.1:1' })],
  ['FILE_LIMIT_LOW', /1024/, () => local({}, { openFiles: () => 1024 })],
  [
    'DATA_UNUSABLE',
    /cannot be opened/,
    () => {
      writeFileSync(join(folder, 'file'), '');
      return examine({ http: '127.0.0.1:0', data: join(folder, 'file', 'data') });
    },
  ],
  [
    'DATA_EXPOSED',
    /755/,
    () => {
      mkdirSync(join(folder, 'data'));
      chmodSync(join(folder, 'data'), 0o755);
      return local();
    },
  ],
  [
    'STORE_FROM_NEWER',
    /newer/,
    async () => {
      await withToken();
      const database = new DatabaseSync(join(folder, 'data/porthole.db'));
      database.exec('PRAGMA user_version = 999');
      database.close();
      return examine({ http: '127.0.0.1:0' });
    },
  ],
  [
    'STORE_DAMAGED',
    /not a Porthole store/,
    () => {
      mkdirSync(join(folder, 'data'));
      writeFileSync(join(folder, 'data/porthole.db'), 'this is no database'.repeat(1000));
      return examine({ http: '127.0.0.1:0' });
    },
  ],
  ['DISK_NEARLY_FULL', /4 MB/, () => local({}, { space: async () => ({ free: 4 * 1024 ** 2, total: 1e12 }) })],
  ['NO_TOKEN', /data/, () => examine({ http: '127.0.0.1:0' })],
  [
    'PORT_TAKEN',
    /http 127/,
    async () => local({ http: `127.0.0.1:${await listening(createRawServer((socket) => socket.resume().end('?')))}` }),
  ],
  ['ADDRESS_NOT_HERE', /192\.0\.2\.1/, () => local({ http: '192.0.2.1:8080' })],
  [
    'TCP_PORTS_TAKEN',
    /^\d+$/,
    async () => {
      const port = await freePort();
      await listening(createRawServer(), port);
      return local({ tcp: { ports: String(port), address: '127.0.0.1' } });
    },
  ],
  ['TCP_PORTS_EPHEMERAL', /40000-40010/, () => local({ tcp: { ports: '40000-40010' } })],
  ['TCP_ON_LOOPBACK', /on 127\.0\.0\.1/, () => local({ tcp: { ports: '20000-20003' } })],
  ['NO_PORTS', /127\.0\.0\.1/, () => local({ domain: '127.0.0.1' })],
  ['ADMIN_EXPOSED', /0\.0\.0\.0/, () => local({ admin: '0.0.0.0:0' })],
  ['DOMAIN_UNUSABLE', /one label/, () => direct({ domain: 'tunnel', public_url: 'http://tunnel' })],
  ['DOMAIN_UNUSABLE', /everybody/, () => direct({ domain: 'co.uk', public_url: 'http://co.uk' })],
  ['PUBLIC_URL_MISSING', /loopback/, async () => examine({ http: `127.0.0.1:${await freePort()}`, domain: DOMAIN })],
  [
    'RESOLVER_UNREACHABLE',
    /ECONNREFUSED/,
    () => direct({}, { resolve: () => Promise.reject(new Error('ECONNREFUSED')) }),
  ],
  ['DNS_MISSING', /neither an A nor/, () => direct({}, { resolve: resolving({}) })],
  [
    'DNS_WRONG_ADDRESS',
    /198\.51\.100\.9/,
    () =>
      direct(
        {},
        {
          resolve: resolving({ [DOMAIN]: ['198.51.100.9'], [`*.${DOMAIN}`]: ['198.51.100.9'] }),
          addresses: () => ['203.0.113.5'],
        },
      ),
  ],
  ['ADDRESS_UNCERTAIN', /192\.168\.1\.5/, () => direct({}, { addresses: () => ['127.0.0.2', '192.168.1.5'] })],
  [
    'WILDCARD_MISSING',
    /\*\.tunnel\.test has no address/,
    () => direct({}, { resolve: resolving({ [DOMAIN]: ['127.0.0.1'] }) }),
  ],
  [
    'WILDCARD_WRONG_ADDRESS',
    /198\.51\.100\.9/,
    () => direct({}, { resolve: resolving({ [DOMAIN]: ['127.0.0.1'], [`*.${DOMAIN}`]: ['198.51.100.9'] }) }),
  ],
  ['NOT_REACHABLE', /ECONNREFUSED/, async () => direct({ public_url: `http://${DOMAIN}:${await freePort()}` })],
  [
    'ANOTHER_SERVER',
    /answers 200 \(apache\)/,
    async () => {
      const other = createServer((_request, response) =>
        response.writeHead(200, { server: 'apache' }).end('It works!'),
      );
      return direct({ public_url: `http://${DOMAIN}:${await listening(other)}` });
    },
  ],
  ['CERTIFICATE_EXPIRED', /tunnel\.test on 20/, () => behind({ expired: true })],
  ['CERTIFICATE_EXPIRES_SOON', /tunnel\.test on 20/, () => behind({ soon: true })],
  ['CERTIFICATE_WRONG_NAME', /\*\.tunnel\.test gets one for DNS:tunnel\.test/, () => behind({ names: [DOMAIN] })],
  ['CERTIFICATE_UNTRUSTED', /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO/, () => behind({ stranger: true })],
  [
    'CERTIFICATE_UNUSABLE',
    /not the one of the certificate/,
    () => {
      const [one, two] = [authority.issue([DOMAIN]), authority.issue([DOMAIN])];
      writeFileSync(join(folder, 'chain.pem'), one.chainPem);
      writeFileSync(join(folder, 'key.pem'), two.keyPem);
      return local({ https: '127.0.0.1:0', tls: { certificates: [{ cert: 'chain.pem', key: 'key.pem' }] } });
    },
  ],
  [
    'TLS_FAILED',
    /./,
    async () => {
      const plain = createServer((_request, response) => response.end());
      return direct({ public_url: `https://${DOMAIN}:${await listening(plain)}` });
    },
  ],
  ['FRONT_BLOCKS_AGENTS', /answered 400, a WebSocket 400/, () => behind({ upgrades: 'none' })],
  ['FRONT_WITHOUT_UPGRADE', /answered 400/, () => behind({ upgrades: 'websocket' })],
  ['FRONT_REWRITES_HOST', /"127\.0\.0\.1:8080" instead/, () => behind({ host: '127.0.0.1:8080' })],
  ['FRONT_NOT_FORWARDING', /X-Forwarded-For/, () => behind({ forwards: false })],
  ['FRONT_WRONG_SCHEME', /"http"/, () => behind({ proto: 'http' })],
  ['FRONT_NOT_TRUSTED', /127\.0\.0\.1/, () => behind({}, { trusted_proxies: ['10.0.0.0/8'] })],
  [
    'DELEGATION_MISSING',
    /_acme-challenge\.tunnel\.test CNAME [0-9a-f]{32}\.acme\.tunnel\.test is not there; other\.test is/,
    () =>
      direct(
        {
          https: '127.0.0.1:0',
          acme: { email: 'ada@tunnel.test', directory: 'http://127.0.0.1:1/' },
          dns: { zone: `acme.${DOMAIN}`, listen: '127.0.0.1:0' },
        },
        { resolveType: async () => ['other.test'] },
      ),
  ],
];

/** Needs to be another user than the one the tests run as. */
const NOT_PRODUCED: ProblemCode[] = ['PORT_NOT_ALLOWED', 'DATA_MIXED_OWNERS'];

describe('porthole-relay doctor', () => {
  it.each(MISCONFIGURATIONS)('finds %s (%s)', async (code, particular, produce) => {
    const report = await produce();
    const finding = report.findings.find((found) => found.code === code);
    expect(finding, JSON.stringify(report.findings, undefined, 1)).toBeDefined();
    expect(finding?.text).toMatch(particular);
    expect(finding).toMatchObject({ ...PROBLEMS[code] });
    expect(report.code).toBe(report.faults === 0 ? 0 : 1);
    if (PROBLEMS[code].state === 'fault') expect(report.code).toBe(1);
  });

  it('has a case here for every problem it knows', () => {
    const produced = new Set<string>([...MISCONFIGURATIONS.map(([code]) => code), ...NOT_PRODUCED]);
    expect(new Set(Object.keys(PROBLEMS))).toEqual(produced);
    expect(produced.size).toBeGreaterThan(30);
  });

  it.skipIf(process.getuid?.() !== 0)('finds files that a command of root has left behind', async () => {
    await withToken();
    chownSync(join(folder, 'data'), 65_534, 65_534);
    expect(codesOf(await examine({ http: '127.0.0.1:0' }))).toContain('DATA_MIXED_OWNERS');
  });

  it('finds nothing wrong with a relay of this machine only', async () => {
    const report = await local({ domain: 'localhost' }, {}, { clockUrl: await clockAt(0) });
    expect(codesOf(report)).toEqual([]);
    expect(report.code).toBe(0);
  });

  it('finds nothing wrong with a relay behind a good front, and proves that it leads here', async () => {
    const report = await behind();
    expect(codesOf(report)).toEqual([]);
    const texts = report.findings.map(({ text }) => text).join('\n');
    for (const said of [
      /leads to this machine/,
      /agents get through/,
      /Host field arrives/,
      /are believed/,
      /valid until/,
    ])
      expect(texts).toMatch(said);
  });

  it('finds nothing wrong with a relay that runs', async () => {
    await withToken();
    const port = await freePort();
    await runningRelay(port);
    const outside = await front(port);
    const settings = {
      http: `127.0.0.1:${port}`,
      public_url: `https://${DOMAIN}:${outside}`,
      trusted_proxies: ['127.0.0.1'],
    };
    const report = await examine(settings);
    expect(codesOf(report)).toEqual([]);
    expect(report.findings.map(({ text }) => text).join('\n')).toMatch(
      /a relay runs there[^]*leads to a relay[^]*agents get through/,
    );
  });

  it('finds that a front changes the Host field also when the relay runs', async () => {
    await withToken();
    const port = await freePort();
    await runningRelay(port);
    const outside = await front(port, { host: '127.0.0.1' });
    const settings = { http: `127.0.0.1:${port}`, public_url: `https://${DOMAIN}:${outside}` };
    expect(codesOf(await examine(settings))).toContain('FRONT_REWRITES_HOST');
  });

  it('proves that the port of a relay that ends TLS itself leads here', async () => {
    await withToken();
    const https = await freePort();
    const settings = { domain: DOMAIN, http: '127.0.0.1:0', https: `127.0.0.1:${https}`, tls: { self_signed: true } };
    const report = await examine(settings);
    // On loopback, as only a test would have it.
    expect(codesOf(report)).toEqual(['PUBLIC_URL_MISSING']);
    expect(report.findings.map(({ text }) => text)).toContain(`127.0.0.1:${https} leads to this machine`);
  });

  it('prints cause, particulars and remedy for people', async () => {
    const output: string[] = [];
    const code = await doctor({ http: '127.0.0.1:0', admin: 'off' }, world(output), machine());
    expect(code).toBe(1);
    const text = output.join('');
    expect(text).toMatch(/^ok {7}the configuration is valid$/m);
    expect(text).toMatch(
      /^fault {4}There is no token, so no agent can come in. \[NO_TOKEN\]\n {9}none is valid in .*\n {9}-> Make one: porthole-relay token add/m,
    );
    expect(text).toMatch(/1 fault, 0 warnings\.\n$/);
  });

  it('says that the clock has gone back since the last time', async () => {
    await local();
    expect(codesOf(await local({}, { now: () => Date.now() - 86_400_000 }))).toContain('CLOCK_OFF');
  });
});
