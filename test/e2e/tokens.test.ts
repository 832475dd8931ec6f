/** Tokens: closed by default, scoped, revoked within a second on live sessions, never shown or stored in the clear. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { STORE_POLL_MS } from '../../packages/relay/src/store/sqlite-store.ts';
import { type AgentOptions, launchAgent, startAgent } from '../harness/agent.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { commandLine } from '../harness/process-usage.ts';
import { askOnce, connectVisitor, getRequest } from '../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { within } from '../harness/until.ts';

let relay: RelayUnderTest;
let origin: Origin;
let ada: string;

beforeAll(async () => {
  origin = await startOrigin();
  relay = await startRelay({ tcpPorts: 4, config: { open: false } });
  ada = await relay.addToken('ada');
});
afterAll(async () => {
  await relay?.close();
  await origin?.close();
});

async function attempt(options: Partial<AgentOptions>): Promise<{ exit: number | null; said: string }> {
  const agent = launchAgent({ relayUrl: relay.url, target: origin.port, ...options });
  const { code } = await within('the agent gives up', agent.program.exited);
  const said = agent.program.tail();
  await agent.close();
  return { exit: code, said };
}

describe('tokens', () => {
  it('are wanted: an agent without one is refused and told what to do', async () => {
    const { exit, said } = await attempt({});
    expect(exit).toBe(3);
    expect(said).toContain('TOKEN_MISSING');
    expect(said).toMatch(/porthole login|PORTHOLE_TOKEN/);
  });

  it('that are unknown are refused by the relay, and what is none is not shown to it', async () => {
    const wrong = `${ada.slice(0, -4)}AAAA`;
    for (const [token, code, wanted] of [
      [wrong, 'TOKEN_INVALID', 3],
      ['nonsense', 'TOKEN_INVALID', 3],
      ['x'.repeat(5000), 'TOKEN_MALFORMED', 2],
    ] as const) {
      const { exit, said } = await attempt({ token });
      expect(exit).toBe(wanted);
      expect(said).toContain(code);
      expect(said).not.toContain(token.slice(0, 40));
    }
  });

  it('reach as far as their names do', async () => {
    const scoped = await relay.addToken('carol', ['--names', 'shop,shop-*']);
    for (const name of ['shop', 'shop-test']) {
      await using agent = await startAgent({ relayUrl: relay.url, target: origin.port, token: scoped, name });
      expect((await agent.event('tunnel')).name).toBe(name);
    }
    for (const name of ['shopping', 'ashop', 'other']) {
      expect((await attempt({ token: scoped, name })).said).toContain('NAME_NOT_ALLOWED');
    }
  });

  it('reach as far as their ports do', async () => {
    const first = relay.ports?.first ?? 0;
    const scoped = await relay.addToken('dave', ['--ports', `${first}-${first}`]);
    await using agent = await startAgent({ relayUrl: relay.url, kind: 'tcp', target: origin.port, token: scoped });
    expect(new URL(await agent.url()).port).toBe(String(first));
    expect((await attempt({ kind: 'tcp', token: scoped, args: ['--remote-port', String(first + 1)] })).said).toContain(
      'PORT_NOT_ALLOWED',
    );
  });

  it('that are revoked end live sessions within a second, exchanges included, and touch nobody else', async () => {
    const eve = await relay.addToken('eve');
    const agent = await startAgent({ relayUrl: relay.url, target: origin.port, token: eve, name: 'eves' });
    await using untouched = await startAgent({ relayUrl: relay.url, target: origin.port, token: ada, name: 'adas' });
    const url = relay.urlOf('eves');
    await using stream = await connectVisitor(url);
    await stream.send(getRequest(url, '/events'));
    await stream.readUntil('\r\n\r\n');
    const id = tokenId(await relay.command('token', 'list'), 'eve');
    await relay.command('token', 'revoke', id);
    // The relay sees it at its next look into the store. What a busy machine takes on top of that is no part of the promise.
    expect(STORE_POLL_MS).toBeLessThan(1_000);
    await stream.untilEnded(10_000);
    expect((await within('the agent is told', agent.program.exited, 10_000)).code).toBe(3);
    expect(agent.program.tail()).toContain('TOKEN_REVOKED');
    await agent.close();
    expect((await askOnce(url, getRequest(url))).status).toBe(404);
    const other = relay.urlOf('adas');
    expect((await askOnce(other, getRequest(other))).status).toBe(200);
    expect(untouched.program.exit).toBeUndefined();
    expect((await attempt({ token: eve })).said).toContain('TOKEN_REVOKED');
  });

  it('are read from a file, the environment or standard input, never shown, never stored as they are', async () => {
    const canary = await relay.addToken('frank');
    await using agent = launchAgent({
      relayUrl: relay.url,
      target: origin.port,
      args: ['--token-file', tokenFile(canary), '--log-level', 'debug'],
    });
    await agent.url();
    const url = relay.urlOf((await agent.event('tunnel')).name ?? '');
    const page = await askOnce(url, getRequest(url, '/headers'));
    const missing = await askOnce(relay.urlOf('nobody'), getRequest(relay.urlOf('nobody'), '/'));
    // What debug adds: who was connected to, how, and each exchange.
    await agent.event('connected');
    await agent.event('exchange', ({ path }) => path === '/headers');
    const fatal = launchAgent({
      relayUrl: relay.url,
      kind: 'serve',
      target: '/nowhere',
      args: ['--token-file', tokenFile(canary), '--log-level', 'debug'],
    });
    expect((await within('the agent ends', fatal.program.exited)).code).toBe(2);
    await fatal.close();
    expect(fatal.program.errorLines.join('\n')).toContain('    at ');
    const places = {
      'agent command line': commandLine(agent.pid),
      'relay command line': commandLine(relay.pid),
      'agent output': [...agent.program.lines, ...agent.program.errorLines].join('\n'),
      'agent output with a stack': [...fatal.program.lines, ...fatal.program.errorLines].join('\n'),
      'relay output': [...relay.program.lines, ...relay.program.errorLines].join('\n'),
      'what the origin saw': page.head + page.body.toString(),
      'error page': missing.head + missing.body.toString(),
      metrics: await relay.admin('/metrics'),
      'token list': await relay.command('token', 'list'),
      store: filesBelow(relay.dataFolder),
    };
    // `ph_<id>_<secret>`; a secret may have underscores of its own.
    const secret = canary.split('_').slice(2).join('_');
    expect(secret.length).toBeGreaterThan(30);
    for (const [where, text] of Object.entries(places)) expect(text.includes(secret), where).toBe(false);
  });
});

function tokenFile(token: string): string {
  return relay.folder.write('token.txt', `${token}\n`);
}

/** The id of a user's token in `token list`, which has one line per token. */
function tokenId(list: string, user: string): string {
  const line = list.split('\n').find((each) => new RegExp(`\\b${user}\\b`).test(each));
  const id = line?.trim().split(/\s+/)[0];
  if (id === undefined) throw new Error(`no token of ${user} in:\n${list}`);
  return id;
}

function filesBelow(folder: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(0);
  return files.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')).join('\n');
}
