/** Names: memorable when made up, exact when chosen, taken over by the same identity, refused to another. */
import { expose, type Tunnel } from '@porthole/agent';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentOptions, launchAgent, startAgent } from '../harness/agent.ts';
import { startCarrierCutter } from '../harness/carrier-cutter.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { type RawOrigin, plainAnswer, startRawOrigin } from '../harness/raw-origin.ts';
import { askOnce, connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { until } from '../harness/until.ts';

let relay: RelayUnderTest;
let ada: string;
let bob: string;
let first: RawOrigin;
let second: RawOrigin;
let third: Origin;

beforeAll(async () => {
  relay = await startRelay();
  ada = await relay.addToken('ada');
  bob = await relay.addToken('bob');
  first = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer('first')));
  second = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer('second')));
  third = await startOrigin();
});
afterAll(async () => {
  await relay?.close();
  await first?.close();
  await second?.close();
  await third?.close();
});

const agentOf = (
  token: string,
  name: string | undefined,
  target: number,
  more: Partial<AgentOptions> = {},
): AgentOptions => ({
  relayUrl: relay.url,
  token,
  target,
  ...(name === undefined ? {} : { name }),
  ...more,
});

async function refusal(options: AgentOptions): Promise<{ code: number | null; said: string }> {
  const agent = launchAgent(options);
  const { code } = await agent.program.exited;
  const refused = agent.events.find((event) => event.event === 'refused');
  await agent.close();
  return { code, said: String(refused?.code) };
}

async function whoAnswers(name: string): Promise<string> {
  const url = relay.urlOf(name);
  const answer = await askOnce(url, getRequest(url));
  return answer.status === 200 ? answer.body.toString() : `${answer.status} ${answer.field('porthole-error')}`;
}

interface Racer {
  readonly tunnel: Tunnel;
  /** What it answers with. */
  readonly racer: string;
  readonly closed: boolean;
}

/** Undefined when another identity was faster. */
async function race(token: string, name: string, racer: string): Promise<Racer | undefined> {
  try {
    const tunnel = await expose({ relay: relay.url, token, name, fetch: () => new Response(racer) });
    return {
      tunnel,
      racer,
      get closed() {
        return tunnel.closed;
      },
    };
  } catch (error) {
    // Who was replaced before it knew that it had the name is told so.
    expect(error).toMatchObject({ code: expect.stringMatching(/^(NAME_TAKEN|SESSION_REPLACED)$/) });
    return undefined;
  }
}

describe('names', () => {
  it('are made of two words when nobody chose, and differ', async () => {
    await using one = await startAgent(agentOf(ada, undefined, first.port));
    await using two = await startAgent(agentOf(ada, undefined, first.port));
    const names = [(await one.event('tunnel')).name, (await two.event('tunnel')).name];
    for (const name of names) expect(name).toMatch(/^[a-z]+-[a-z]+(-\w+)?$/);
    expect(names[0]).not.toBe(names[1]);
    expect(await one.url()).toBe(relay.urlOf(names[0] ?? '').replace(/\/$/, ''));
  });

  it('are given exactly, and are free again at once when the agent stops', async () => {
    for (let round = 0; round < 3; round++) {
      await using agent = await startAgent(agentOf(round % 2 === 0 ? ada : bob, 'exactly-this', first.port));
      expect((await agent.event('tunnel')).name).toBe('exactly-this');
      expect(await whoAnswers('exactly-this')).toBe('first');
    }
    expect(await whoAnswers('exactly-this')).toBe('404 TUNNEL_NOT_FOUND');
  });

  it('held by another identity are refused, not replaced', async () => {
    await using holder = await startAgent(agentOf(ada, 'held', first.port));
    expect(await refusal(agentOf(bob, 'held', second.port))).toEqual({ code: 3, said: 'NAME_TAKEN' });
    expect(await refusal(agentOf(bob, 'HELD', second.port))).toMatchObject({ code: expect.any(Number) });
    expect(await whoAnswers('held')).toBe('first');
    expect(holder.program.exit).toBeUndefined();
  });

  it.each([
    ['-bad', 'NAME_INVALID'],
    ['bad-', 'NAME_INVALID'],
    ['a.b', 'NAME_INVALID'],
    ['under_score', 'NAME_INVALID'],
    ['x'.repeat(64), 'NAME_INVALID'],
    ['ä', 'NAME_INVALID'],
  ])('like %s are refused before anything is tried', async (name, code) => {
    const agent = launchAgent(agentOf(ada, undefined, first.port, { args: [`--name=${name}`] }));
    const exit = await agent.program.exited;
    expect([2, 3]).toContain(exit.code);
    expect(agent.program.tail()).toContain(code);
    await agent.close();
  });

  it('go over at once to a second agent of the same identity, and the first one is told', async () => {
    const old = await startAgent(agentOf(ada, 'moving', first.port));
    await using fresh = await startAgent(agentOf(ada, 'moving', second.port));
    expect(await whoAnswers('moving')).toBe('second');
    expect((await old.program.exited).code).toBe(3);
    expect(old.events.find((event) => event.event === 'refused')?.code).toBe('SESSION_REPLACED');
    await old.close();
    expect(await whoAnswers('moving')).toBe('second');
    expect(fresh.program.exit).toBeUndefined();
  });

  it('go over from an agent that hangs behind a dead line, whose late frames change nothing', async () => {
    await using cutter = await startCarrierCutter({ port: relay.port });
    const old = await startAgent(agentOf(ada, 'hanging', first.port, { relayUrl: cutter.url }));
    cutter.blackHole();
    await using fresh = await startAgent(agentOf(ada, 'hanging', second.port));
    expect(await whoAnswers('hanging')).toBe('second');
    cutter.heal();
    expect((await old.program.exited).code).toBe(3);
    expect(await whoAnswers('hanging')).toBe('second');
    expect(fresh.program.exit).toBeUndefined();
    await old.close();
  });

  it('are shared on purpose with --pool: both answer, and one alone when the other dies', async () => {
    const one = await startAgent(agentOf(ada, 'pooled', first.port, { args: ['--pool'] }));
    await using two = await startAgent(agentOf(ada, 'pooled', second.port, { args: ['--pool'] }));
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) seen.add(await whoAnswers('pooled'));
    expect([...seen].toSorted()).toEqual(['first', 'second']);
    await one.close();
    for (let i = 0; i < 10; i++) expect(await whoAnswers('pooled')).toBe('second');
    expect(two.program.exit).toBeUndefined();
  });

  it('reserved by one user are kept from another, and are given to him', async () => {
    await relay.command('name', 'reserve', 'kept', '--user', 'ada');
    expect((await refusal(agentOf(bob, 'kept', second.port))).said).toMatch(/^NAME_(RESERVED|TAKEN|NOT_ALLOWED)$/);
    await using agent = await startAgent(agentOf(ada, 'kept', first.port));
    expect(await whoAnswers('kept')).toBe('first');
    expect(agent.program.exit).toBeUndefined();
  });

  it('have one owner after 20 agents of 2 identities raced for each', async () => {
    for (const name of ['raced-one', 'raced-two', 'raced-three']) {
      const racers = Array.from({ length: 20 }, (_unused, i) => race(i % 2 === 0 ? ada : bob, name, `racer ${i}`));
      const tunnels = (await Promise.all(racers)).filter((tunnel) => tunnel !== undefined);
      // An identity takes over from itself, so several had it, one after the other.
      await until('one holds it', () => tunnels.filter((tunnel) => !tunnel.closed).length === 1);
      const [holder] = tunnels.filter((tunnel) => !tunnel.closed);
      for (let i = 0; i < 10; i++) expect(await whoAnswers(name)).toBe(holder?.racer);
      expect(holder?.closed).toBe(false);
      for (const { tunnel } of tunnels) await tunnel.close();
    }
  });

  it('keep kept connections of visitors when the origin is another one now', async () => {
    const url = relay.urlOf('kept-alive');
    const one = await startAgent(agentOf(ada, 'kept-alive', first.port));
    await using visitor = await connectVisitor(url);
    await visitor.send(getRequest(url));
    expect((await readAnswer(visitor)).body.toString()).toBe('first');
    await using two = await startAgent(agentOf(ada, 'kept-alive', second.port));
    await visitor.send(getRequest(url));
    expect((await readAnswer(visitor)).body.toString()).toBe('second');
    expect(two.program.exit).toBeUndefined();
    await one.program.exited;
    await one.close();
  });
});
