/** Whatever the network, the relay, the visitors and the origin do, the agent's process lives, and service comes back by itself. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../../harness/agent.ts';
import { diesInBody, refusingPort, startBadOrigin } from '../../harness/bad-origin.ts';
import { type CarrierCutter, startCarrierCutter } from '../../harness/carrier-cutter.ts';
import { plainAnswer, startRawOrigin } from '../../harness/raw-origin.ts';
import { askOnce, connectVisitor, getRequest } from '../../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../../harness/relay.ts';
import { scaled } from '../../harness/scale.ts';
import { staysTrue, until } from '../../harness/until.ts';

const ABSENT_MS = scaled(6_000, 1_800_000);
const CAP_MS = 15_000;

let relay: RelayUnderTest;
let cutter: CarrierCutter;
let token: string;
let port: number;
let agent: AgentUnderTest;
let url: string;

beforeAll(async () => {
  relay = await startRelay({ config: { heartbeat: '1s', wait: '1s' } });
  cutter = await startCarrierCutter({ port: () => relay.port });
  token = await relay.addToken('ada');
  port = await refusingPort();
  agent = await startAgent({
    relayUrl: cutter.url,
    token,
    target: port,
    name: 'stubborn',
    args: ['--log-level', 'debug'],
  });
  url = await agent.url();
});
afterAll(async () => {
  await agent?.close();
  await cutter?.close();
  await relay?.close();
});

/** The same process answers at the same URL. */
async function expectService(deadlineMs = CAP_MS + 3_000): Promise<void> {
  await using origin = await startRawOrigin(
    async ({ wire }) => wire.send(plainAnswer('here', 'Connection: close\r\n')),
    { port },
  );
  await until(
    'service is back',
    async () => (await askOnce(url, getRequest(url))).body.toString() === 'here',
    deadlineMs,
  );
  expect(origin.requests.length).toBeGreaterThan(0);
  expect(agent.program.exit).toBeUndefined();
}

describe('the agent', () => {
  it(
    'stays alive without a relay, tries ever more slowly, and comes back by itself',
    async () => {
      await relay.program.kill();
      const before = agent.countEvents('interrupted');
      const others = (): string[] =>
        agent.events.filter(({ event }) => event === 'closed' || event === 'error').map(({ event }) => event);
      await staysTrue('the agent lives', () => agent.program.exit === undefined, ABSENT_MS);
      const pauses = agent.events
        .filter(({ event }) => event === 'interrupted')
        .slice(before)
        .map((event) => Number(event['next_try_ms']));
      expect(Math.max(...pauses)).toBeLessThanOrEqual(CAP_MS);
      // A dozen until the cap is reached, then one in nine seconds.
      expect(pauses.length).toBeLessThan(20 + ABSENT_MS / 4_000);
      expect(pauses.length).toBeGreaterThan(ABSENT_MS / CAP_MS);
      expect(new Set(pauses).size).toBeGreaterThan(pauses.length / 2);
      expect(others()).toEqual([]);
      await relay.start();
      await expectService();
    },
    ABSENT_MS + 60_000,
  );

  it('stays alive when a relay accepts and closes, resets, and answers nonsense', async () => {
    cutter.refuse(true);
    cutter.cut();
    await agent.untilEvents('interrupted', agent.countEvents('interrupted') + 3, 20_000);
    cutter.refuse(false);
    for (const bytes of [0, 1, 50, 200, 300]) {
      const cut = cutter.cutAfter(bytes, 'down');
      cutter.cut();
      await cut;
    }
    await expectService();
  });

  it('stays alive when visitors reset in the middle, a hundred of them', async () => {
    await using origin = await startBadOrigin(diesInBody(1_000_000, 100_000));
    await using other = await startAgent({ relayUrl: cutter.url, token, target: origin.port });
    const otherUrl = await other.url();
    const visit = async (): Promise<void> => {
      await using visitor = await connectVisitor(otherUrl);
      await visitor.send(getRequest(otherUrl));
      await visitor.readUntil('\r\n');
      visitor.reset();
    };
    for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 10 }, visit));
    await expect.poll(() => relay.metric('porthole_streams')).toBe(0);
    expect(other.program.exit).toBeUndefined();
  });

  it.each(['close', 'reset'] as const)(
    'stays alive when its origin dies in the middle of an answer (%s), which is no clean end',
    async (manner) => {
      {
        await using origin = await startBadOrigin(diesInBody(1_000, 10, manner));
        await using other = await startAgent({ relayUrl: cutter.url, token, target: origin.port });
        const otherUrl = await other.url();
        await expect(askOnce(otherUrl, getRequest(otherUrl))).rejects.toThrow();
        expect(other.program.exit).toBeUndefined();
      }
      await expectService();
    },
  );
});
