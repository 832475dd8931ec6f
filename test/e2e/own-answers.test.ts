/** The relay's own answers: right status, stable code, what happened and what to do, in the form the visitor can read. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { closesAtOnce, refusingPort, speaks } from '../harness/bad-origin.ts';
import { startRawOrigin, type RawOrigin } from '../harness/raw-origin.ts';
import { askOnce, connectVisitor, getRequest, type RawAnswer, readAnswer } from '../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';

let relay: RelayUnderTest;
const parts: { close(): Promise<void> }[] = [];
const urls: Record<string, string> = {};

beforeAll(async () => {
  relay = await startRelay({ config: { wait: '500ms', heartbeat: '1s' } });
  const token = await relay.addToken('ada');
  const tunnel = async (name: string, target: number): Promise<AgentUnderTest> => {
    const agent = await startAgent({ relayUrl: relay.url, token, target, name });
    parts.push(agent);
    urls[name] = relay.urlOf(name);
    return agent;
  };
  const origin = async (answer: Parameters<typeof startRawOrigin>[0]): Promise<RawOrigin> => {
    const started = await startRawOrigin(answer);
    parts.push(started);
    return started;
  };
  await tunnel('refusing', await refusingPort());
  await tunnel('closing', (await origin(closesAtOnce)).port);
  await tunnel('nonsense', (await origin(speaks('nonsense\r\n\r\n'))).port);
  const away = await tunnel('away', await refusingPort());
  await away.program.kill();
  urls['unknown'] = relay.urlOf('unknown');
  await Promise.all(CASES.flatMap(([name]) => ACCEPTS.map((accept) => ask(name, accept))));
});
afterAll(async () => {
  for (const part of parts.toReversed()) await part.close();
  await relay?.close();
});

const HTML = 'Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n';
const JSON_ONLY = 'Accept: application/json\r\n';
const ACCEPTS = ['', HTML, JSON_ONLY];

const CASES: readonly [string, number, string][] = [
  ['unknown', 404, 'TUNNEL_NOT_FOUND'],
  ['refusing', 502, 'ORIGIN_REFUSED'],
  ['closing', 502, 'ORIGIN_CLOSED'],
  ['nonsense', 502, 'ORIGIN_BAD_RESPONSE'],
  ['away', 503, 'AGENT_AWAY'],
];

const asked = new Map<string, Promise<RawAnswer>>();

/** Each question is put once: some answers come only after a time of waiting for the origin. */
function ask(name: string, extra = '', method = 'GET'): Promise<RawAnswer> {
  const key = `${name} ${method} ${extra}`;
  const answer = asked.get(key) ?? askAnew(name, extra, method);
  asked.set(key, answer);
  return answer;
}

function askAnew(name: string, extra: string, method: string): Promise<RawAnswer> {
  const url = urls[name] ?? '';
  return askOnce(url, getRequest(url, '/x', extra).replace('GET', method), { method, deadlineMs: 20_000 });
}

describe("the relay's own answers", () => {
  it.each(CASES)('to %s are %i %s: code, cause and remedy in one text line', async (name, status, code) => {
    const answer = await ask(name);
    expect([answer.status, answer.field('porthole-error')]).toEqual([status, code]);
    expect(answer.field('cache-control')).toBe('no-store');
    expect(answer.field('content-type')).toMatch(/^text\/plain/);
    expect(answer.field('date')).toMatch(/GMT$/);
    expect(answer.field('retry-after') !== undefined).toBe(status === 503);
    const text = answer.body.toString();
    expect(text).toContain(code);
    expect(text.trim().split('\n')).toHaveLength(1);
    expect(text.length).toBeGreaterThan(code.length + 40);
  });

  it.each(CASES)('to %s are a page for browsers', async (name, status, code) => {
    const answer = await ask(name, HTML);
    expect(answer.status).toBe(status);
    expect(answer.field('content-type')).toBe('text/html; charset=utf-8');
    expect(answer.body.toString()).toMatch(/^<!doctype html>/i);
    expect(answer.body.toString()).toContain(code);
  });

  it.each(CASES)('to %s are JSON for programs', async (name, status, code) => {
    const answer = await ask(name, JSON_ONLY);
    expect(answer.field('content-type')).toMatch(/^application\/json/);
    const { error } = JSON.parse(answer.body.toString()) as { error: Record<string, unknown> };
    expect(error).toMatchObject({ code, status, message: expect.any(String), hint: expect.any(String) });
  });

  it('to HEAD have the length of the body they do not have', async () => {
    const answer = await ask('unknown', '', 'HEAD');
    expect(answer.status).toBe(404);
    expect(Number(answer.field('content-length'))).toBeGreaterThan(20);
  });

  it('keep the connection where the request was in order, bodies of refused requests included', async () => {
    const url = urls['unknown'] ?? '';
    await using visitor = await connectVisitor(url);
    await visitor.send(
      `POST / HTTP/1.1\r\nHost: ${new URL(url).host}\r\nContent-Length: 5\r\n\r\nhello${getRequest(url)}`,
    );
    for (let i = 0; i < 2; i++) {
      const answer = await readAnswer(visitor);
      expect([answer.status, answer.field('connection')]).toEqual([404, undefined]);
    }
    expect(visitor.ended).toBe(false);
  });

  it('show nothing of the inside: no addresses, ports, stacks or tokens', async () => {
    for (const [name] of CASES) {
      const text = (await ask(name, HTML)).body.toString();
      expect(text).not.toMatch(/127\.0\.0\.1|ECONN|node_modules|at \w+ \(|\.ts:/);
    }
  });

  it('do not repeat what the visitor sent: a script in the path or host stays out of the page', async () => {
    const url = urls['unknown'] ?? '';
    const answer = await askOnce(
      url,
      `GET /<script>alert(1)</script> HTTP/1.1\r\nHost: unknown.${relay.domain}\r\nAccept: text/html\r\n\r\n`,
    );
    expect(answer.body.toString()).not.toContain('<script>');
  });

  it("greet whoever opens the relay's own address", async () => {
    for (const host of [`127.0.0.1:${relay.port}`, `${relay.domain}:${relay.port}`]) {
      const answer = await askOnce(relay.url, `GET / HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\n\r\n`);
      expect(answer.body.toString()).toContain('Porthole relay');
    }
  });
});
