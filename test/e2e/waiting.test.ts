/** Waiting instead of failing: an origin that restarts and an agent that is briefly away delay requests, within bounds. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAgent } from '../harness/agent.ts';
import { refusingPort } from '../harness/bad-origin.ts';
import { plainAnswer, readRequestBody, startRawOrigin } from '../harness/raw-origin.ts';
import { askOnce, connectVisitor, getRequest, postRequest, readAnswer } from '../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { startCarrierCutter } from '../harness/carrier-cutter.ts';
import { settledValue, until } from '../harness/until.ts';

let relay: RelayUnderTest;
let token: string;

beforeAll(async () => {
  relay = await startRelay({
    config: { heartbeat: '1s', wait: '4s', grace: '30s', limits: { max_waiting_per_tunnel: 8 } },
  });
  token = await relay.addToken('ada');
});
afterAll(() => relay?.close());

// Each test has a tunnel of its own, and waits for most of its time: they run at once.

describe.concurrent('an origin that restarts', () => {
  it('delays requests that came meanwhile, bodies included, and runs each once', async () => {
    const port = await refusingPort();
    await using agent = await startAgent({ relayUrl: relay.url, token, target: port });
    const url = await agent.url();
    const gets = Array.from({ length: 5 }, (_unused, i) => askOnce(url, getRequest(url, `/get/${i}`)));
    const posts = Array.from({ length: 3 }, (_unused, i) => askOnce(url, postRequest(url, `/post/${i}`, `body ${i}`)));
    await settledValue('the requests are under way', () => agent.program.lines.length);
    await using origin = await startRawOrigin(
      async (request) => {
        const body = await readRequestBody(request);
        await request.wire.send(plainAnswer(`${request.line.split(' ')[1]} ${body.toString()}`));
      },
      { port },
    );
    const answers = await Promise.all([...gets, ...posts]);
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
    expect(answers[6]?.body.toString()).toBe('/post/1 body 1');
    expect(origin.requests.map((request) => request.line).toSorted()).toHaveLength(8);
    expect(new Set(origin.requests.map((request) => request.line)).size).toBe(8);
  });

  it('that does not come back gives 502 with its code, in bounded time', async () => {
    await using agent = await startAgent({ relayUrl: relay.url, token, target: await refusingPort() });
    const url = await agent.url();
    const start = performance.now();
    const answer = await askOnce(url, getRequest(url), { deadlineMs: 20_000 });
    expect([answer.status, answer.field('porthole-error')]).toEqual([502, 'ORIGIN_REFUSED']);
    expect(performance.now() - start).toBeLessThan(15_000);
  });

  it('is not waited for by a visitor who has left', async () => {
    const port = await refusingPort();
    await using agent = await startAgent({ relayUrl: relay.url, token, target: port });
    const url = await agent.url();
    await using visitor = await connectVisitor(url);
    await visitor.send(getRequest(url, '/gone'));
    await settledValue('the request is under way', () => agent.program.lines.length);
    visitor.reset();
    await using staying = await connectVisitor(url);
    await staying.send(getRequest(url, '/stays'));
    await using origin = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer()), { port });
    expect((await readAnswer(staying)).status).toBe(200);
    expect(origin.requests.map((request) => request.line)).toEqual(['GET /stays HTTP/1.1']);
  });
});

describe.concurrent('an agent that is away', () => {
  it('delays requests until it is back', async () => {
    await using origin = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer('back')));
    await using cutter = await startCarrierCutter({ port: relay.port });
    await using agent = await startAgent({ relayUrl: cutter.url, token, target: origin.port });
    const url = await agent.url();
    cutter.refuse(true);
    cutter.cut();
    await agent.event('interrupted');
    const asked = askOnce(url, getRequest(url));
    await settledValue('the request waits', () => origin.requests.length);
    expect(origin.requests.length).toBe(0);
    cutter.refuse(false);
    const answer = await asked;
    expect([answer.status, answer.body.toString()]).toEqual([200, 'back']);
    expect(origin.requests.length).toBe(1);
  });

  it('for too long gives 503 AGENT_AWAY with Retry-After', async () => {
    await using origin = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer()));
    await using cutter = await startCarrierCutter({ port: relay.port });
    await using agent = await startAgent({ relayUrl: cutter.url, token, target: origin.port });
    const url = await agent.url();
    cutter.refuse(true);
    cutter.cut();
    await agent.event('interrupted');
    const start = performance.now();
    const answer = await askOnce(url, getRequest(url));
    expect([answer.status, answer.field('porthole-error')]).toEqual([503, 'AGENT_AWAY']);
    expect(answer.field('retry-after')).toMatch(/^\d+$/);
    expect(performance.now() - start).toBeGreaterThan(3_000);
    cutter.refuse(false);
    await until('service is back', async () => (await askOnce(url, getRequest(url))).status === 200, 20_000);
  });

  it('is waited for by so many and no more', async () => {
    await using origin = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer()));
    await using cutter = await startCarrierCutter({ port: relay.port });
    await using agent = await startAgent({ relayUrl: cutter.url, token, target: origin.port });
    const url = await agent.url();
    cutter.refuse(true);
    cutter.cut();
    await agent.event('interrupted');
    const answers = Array.from({ length: 12 }, () => askOnce(url, getRequest(url), { deadlineMs: 20_000 }));
    // Those past the limit are answered at once, so they are the first four.
    const early: string[] = [];
    for (const answer of answers)
      void answer.then((one) => early.push(one.field('porthole-error') ?? String(one.status)));
    await until('four are refused', () => early.length === 4, 3_000);
    expect(early).toEqual(Array.from({ length: 4 }, () => 'WAIT_LIMIT'));
    cutter.refuse(false);
    const all = await Promise.all(answers);
    // All who waited were served, each once.
    expect(all.filter((answer) => answer.status === 200)).toHaveLength(8);
    expect(origin.requests).toHaveLength(8);
  });
});
