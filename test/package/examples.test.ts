/** Every example starts, and answers through a real relay. */
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Program, runProgram } from '../harness/program.ts';
import { FROM_SOURCE, type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { everythingIsHere } from '../harness/stage.ts';
import { tempFolder } from '../harness/temp-folder.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const VITEST = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));

/** Example, and what `/` answers. */
const SERVERS = [
  ['express', 'Hello from Express, 127.0.0.1\n'],
  ['fastify', 'Hello from Fastify, 127.0.0.1\n'],
  ['plain-fetch', 'Hello from a fetch handler\n'],
] as const;

let relay: RelayUnderTest;
let env: Record<string, string>;

beforeAll(async () => {
  relay = await startRelay();
  env = { PORTHOLE_RELAY: relay.url, PORTHOLE_TOKEN: await relay.addToken('ada') };
});

afterAll(async () => {
  await relay.close();
});

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function ask(url: string, body?: string): Promise<Answer> {
  const headers = body === undefined ? {} : { 'content-type': 'text/plain' };
  const outgoing = request(url, {
    method: body === undefined ? 'GET' : 'POST',
    lookup: everythingIsHere,
    agent: false,
    headers,
  });
  outgoing.end(body);
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  return { status: incoming.statusCode ?? 0, text: await readText(incoming) };
}

async function startExample(name: string): Promise<{ program: Program; url: string }> {
  const program = new Program({
    name,
    command: process.execPath,
    args: [FROM_SOURCE, `${ROOT}examples/${name}.ts`],
    env,
  });
  const url = await program.waitForLine('the URL', (line) => (line.startsWith('http') ? line : undefined));
  return { program, url };
}

describe('the examples', () => {
  it('are all tested here', () => {
    const found = globSync('examples/**/*.ts', { cwd: ROOT }).map((path) => path.replaceAll('\\', '/'));
    const tested = [...SERVERS.map(([name]) => `examples/${name}.ts`), 'examples/vitest-webhook/webhook.test.ts'];
    expect(found.sort()).toEqual(tested.sort());
  });

  it.each(SERVERS)('%s answers through its tunnel, and ends when told to', async (name, greeting) => {
    const { program, url } = await startExample(name);
    try {
      expect((await ask(`${url}/`)).text).toBe(greeting);
      expect((await ask(`${url}/echo`, 'grüße')).text).toBe('grüße');
    } finally {
      await program.close();
    }
  });

  it('plain-fetch streams its events', async () => {
    const { program, url } = await startExample('plain-fetch');
    try {
      const { text } = await ask(`${url}/ticks`);
      expect(text.split('\n\n').filter((event) => event !== '')).toEqual(
        Array.from({ length: 10 }, (_, i) => `data: ${i + 1}`),
      );
    } finally {
      await program.close();
    }
  });

  it('vitest-webhook passes', async () => {
    using folder = tempFolder();
    const result = await runProgram({
      name: 'vitest-webhook',
      command: process.execPath,
      args: [
        VITEST,
        'run',
        '--root',
        `${ROOT}examples/vitest-webhook`,
        '--config',
        folder.write('vitest.config.mjs', CONFIG),
      ],
      env: { ...env, NODE_OPTIONS: `--import=${folder.write('names.mjs', NAMES)}` },
    });
    expect(`${result.stdout}\n${result.stderr}`).toContain('1 passed');
    expect(result.code).toBe(0);
  });
});

/** The library from source, as everywhere in these tests. */
const CONFIG = `export default {
  cacheDir: import.meta.dirname,
  ssr: { resolve: { conditions: ['@porthole/source', 'node', 'import', 'default'], externalConditions: ['@porthole/source'] } },
  test: { execArgv: ['--conditions=@porthole/source'] },
};`;

/** Public names are below localhost, which not every resolver knows. */
const NAMES = `import dns from 'node:dns';
const { lookup } = dns;
dns.lookup = (name, ...rest) => lookup(name.endsWith('.localhost') ? '127.0.0.1' : name, ...rest);`;
