import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePortRange } from '../../../../test/harness/free-ports.ts';
import { loadConfig } from '../config/load-config.ts';
import type { Machine } from './doctor/machine.ts';
import { init } from './init.ts';
import { showConfig } from './show-config.ts';
import type { World } from './world.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'porthole-init-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

const GOOD: Machine = {
  resolve: async () => ['203.0.113.5'],
  resolveType: async () => ['t.example.com'],
  addresses: () => ['127.0.0.1', '203.0.113.5', '2001:db8::5', '192.168.1.4'],
  space: async () => ({ free: 1e12, total: 2e12 }),
  openFiles: () => 1_048_576,
  outgoingPorts: () => undefined,
  now: () => Date.now(),
};

class TestWorld implements World {
  readonly env = {};
  readonly cwd = folder;
  readonly version = '1.2.3';
  readonly isTty = true;
  readonly questions: string[] = [];
  readonly notes: string[] = [];
  readonly logOutput = { dropped: 0, flush: async () => {}, write: () => {} };
  readonly ask: World['ask'];
  output = '';

  constructor(answers?: string[]) {
    this.ask =
      answers === undefined
        ? undefined
        : async (question) => {
            this.questions.push(question);
            return answers.shift() ?? expect.unreachable(`nobody expected to be asked: ${question}`);
          };
  }

  get said(): string {
    return this.notes.join('\n');
  }

  out(text: string): void {
    this.output += text;
  }

  note(line: string): void {
    this.notes.push(line);
  }

  onStop(): () => void {
    return () => {};
  }
}

interface Given {
  readonly flags?: Record<string, unknown>;
  readonly answers?: string[];
  readonly machine?: Partial<Machine>;
}

/** With the defaults that the command line gives; without looking at the network unless a machine is given. */
async function run({ flags = {}, answers, machine }: Given): Promise<TestWorld> {
  const world = new TestWorld(answers);
  const defaults = { config: 'relay.yml', user: 'admin', checks: machine !== undefined };
  await init({ ...defaults, ...flags }, world, { ...GOOD, ...machine });
  return world;
}

const written = (): string => readFileSync(join(folder, 'relay.yml'), 'utf8');
const configured = () =>
  loadConfig({ file: { path: join(folder, 'relay.yml'), text: written() }, workingDir: folder }).config;

describe('porthole-relay init', () => {
  it('sets up a relay that ends TLS itself, and says which records to make and what to type', async () => {
    const { output, said } = await run({ flags: { domain: 't.example.com', email: 'ada@example.com' } });
    expect(output).toMatch(/^ph_\S+\n$/);
    expect(configured()).toMatchObject({
      domains: ['t.example.com'],
      http: { port: 80 },
      tls: {
        listen: { port: 443 },
        acme: { email: 'ada@example.com' },
        dns: { zone: '_acme-challenge.t.example.com' },
      },
    });
    expect(said).toMatch(/^ {2}t\.example\.com +A +203\.0\.113\.5$/m);
    expect(said).toMatch(/^ {2}\*\.t\.example\.com +AAAA +2001:db8::5$/m);
    expect(said).toMatch(/^ {2}_acme-challenge\.t\.example\.com +NS +t\.example\.com$/m);
    expect(said).not.toContain('192.168.1.4');
    expect(said).toContain('Ports to open in firewalls: 80/tcp, 443/tcp, 53/tcp, 53/udp');
    expect(said).toMatch(
      /\n {2}porthole-relay serve --config relay\.yml\n {2}porthole login https:\/\/t\.example\.com && porthole http 3000$/,
    );
    expect(said).not.toContain(output.trim().slice(16));
  });

  it('sets up a relay behind a program that ends TLS, with TCP ports that can be reached', async () => {
    await run({ flags: { domain: 't.example.com', behindProxy: true, tcpPorts: '20000-20010' } });
    expect(configured()).toMatchObject({
      http: { host: '127.0.0.1', port: 8080 },
      publicUrl: { scheme: 'https', host: 't.example.com' },
      trustedProxies: ['127.0.0.1'],
      tcp: { address: '0.0.0.0' },
      tls: undefined,
    });
  });

  it('sets up a relay that has no domain', async () => {
    const { said } = await run({ flags: { domain: '203.0.113.5', email: 'ada@example.com' } });
    expect(configured()).toMatchObject({
      domains: ['203.0.113.5'],
      tls: { dns: undefined },
      tcp: { ports: [{ first: 20_000 }] },
    });
    expect(said).not.toContain('DNS records');
  });

  it('sets up a relay of this machine only without asking for anything', async () => {
    await run({ flags: { domain: 'localhost' } });
    expect(configured()).toMatchObject({
      domains: ['localhost'],
      http: { host: '127.0.0.1', port: 8080 },
      tls: undefined,
    });
  });

  it('asks a person for what no flag says', async () => {
    const { questions } = await run({ answers: ['T.Example.com', 'n', 'ada@example.com'] });
    expect(questions.length).toBe(3);
    expect(configured()).toMatchObject({ domains: ['t.example.com'], tls: { acme: { email: 'ada@example.com' } } });
    rmSync(join(folder, 'relay.yml'));
    await run({ answers: ['t.example.com', 'yes'] });
    expect(configured().publicUrl).toMatchObject({ scheme: 'https' });
  });

  it('asks nothing where nobody can answer, and says which flag is missing', async () => {
    for (const given of [{}, { flags: { yes: true }, answers: [] }])
      await expect(run(given)).rejects.toMatchObject({ code: 'USAGE', detail: expect.stringContaining('--domain') });
    await expect(run({ flags: { domain: 't.example.com' } })).rejects.toMatchObject({
      detail: expect.stringContaining('--email'),
    });
    expect(existsSync(join(folder, 'relay.yml'))).toBe(false);
  });

  it('writes nothing when the domain is not answered, and does not call that a wrong command line', async () => {
    await expect(run({ answers: [' '] })).rejects.toMatchObject({ code: 'NOT_ANSWERED' });
    expect(existsSync(join(folder, 'relay.yml'))).toBe(false);
  });

  it('overwrites nothing unless it is told to, and then keeps the tokens', async () => {
    await run({ flags: { domain: 'localhost' } });
    await expect(run({ flags: { domain: 'x.example.com', email: 'a@b.c' } })).rejects.toMatchObject({
      code: 'FILE_EXISTS',
      detail: expect.stringContaining('--force'),
    });
    expect(configured().domains).toEqual(['localhost']);
    const { output, said } = await run({ flags: { domain: 'x.localhost', force: true } });
    expect(configured().domains).toEqual(['x.localhost']);
    expect(output).toBe('');
    expect(said).toContain('There are tokens already');
  });

  it('writes nothing that could not be read again', async () => {
    await expect(run({ flags: { domain: 'not a domain', behindProxy: true } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    expect(existsSync(join(folder, 'relay.yml'))).toBe(false);
  });

  it('uncommented, gives the defaults', async () => {
    await run({ flags: { domain: 'localhost' } });
    const text = written().replace(/^( *)# ([a-z_]+:)/gm, '$1$2');
    writeFileSync(join(folder, 'all.yml'), text);
    const config = (flags: Record<string, string>): string[] => {
      const world = new TestWorld();
      showConfig(flags, world);
      return world.output.split('\n').map((line) => line.replace(/ +#.*$/, ''));
    };
    expect(config({ config: 'all.yml' })).toEqual(config({ domain: 'localhost' }));
  });

  it('looks at DNS, ports, clock and limits, and says what is wrong before it is too late', async () => {
    const { first: port } = await freePortRange(1);
    const flags = { domain: 't.example.com', behindProxy: true, http: `127.0.0.1:${port}` };
    const { said } = await run({ flags, machine: { resolve: async () => [], openFiles: () => 1024 } });
    expect(said).toMatch(/Before it works/);
    for (const code of ['DNS_MISSING', 'WILDCARD_MISSING', 'FILE_LIMIT_LOW']) expect(said).toContain(`[${code}]`);
    expect(said).not.toContain('NO_TOKEN');
  });
});
