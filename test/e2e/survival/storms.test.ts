/** A thousand agents that lose their relay in the same instant: all are back soon, and none of them in a rush. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAgentCrowd } from '../../harness/agent-crowd.ts';
import { type CarrierCutter, startCarrierCutter } from '../../harness/carrier-cutter.ts';
import type { Program } from '../../harness/program.ts';
import { type RelayUnderTest, startRelay } from '../../harness/relay.ts';
import { scaled } from '../../harness/scale.ts';
import { staysTrue, until } from '../../harness/until.ts';

const AGENTS = 1_000;
const BACK_MS = 30_000;
/** Tries of one agent in its busiest second, which is the first without a relay. */
const MAX_TRIES_PER_SECOND = 6;
/** The relay lets 500 in per second, and 100 at once. */
const MAX_ACCEPTED_PER_SECOND = 700;

let relay: RelayUnderTest;
let cutter: CarrierCutter;
let crowd: Program;
let dials = 0;

beforeAll(async () => {
  relay = await startRelay();
  cutter = await startCarrierCutter({ port: () => relay.port });
  crowd = await startAgentCrowd(cutter.url, AGENTS, await relay.addToken('ada'));
  cutter.events.on('accepted', () => dials++);
}, 90_000);
afterAll(async () => {
  await crowd?.close();
  await cutter?.close();
  await relay?.close();
});

/** The highest number of dials, and of handshakes begun by the relay, in any second while `work` goes on. */
async function busiestSecond(work: () => Promise<void>): Promise<{ dials: number; accepted: number }> {
  const busiest = { dials: 0, accepted: 0 };
  let last = { dials, accepted: 0, at: performance.now() };
  let over = false;
  const watch = async (): Promise<void> => {
    while (!over) {
      // The second that is counted in; nothing is waited for.
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const accepted = (await relay.metric('porthole_carriers_total').catch(() => undefined)) ?? 0;
      const now = { dials, accepted, at: performance.now() };
      const seconds = (now.at - last.at) / 1_000;
      busiest.dials = Math.max(busiest.dials, (now.dials - last.dials) / seconds);
      // A relay that was started anew counts from zero.
      busiest.accepted = Math.max(
        busiest.accepted,
        (accepted - (accepted < last.accepted ? 0 : last.accepted)) / seconds,
      );
      last = now;
    }
  };
  last.accepted = (await relay.metric('porthole_carriers_total')) ?? 0;
  const watching = watch();
  await work().finally(() => (over = true));
  await watching;
  return busiest;
}

const allBack = (): Promise<unknown> =>
  until(
    'every tunnel stands',
    async () =>
      (await relay.metric('porthole_leases').catch(() => 0)) === AGENTS &&
      (await relay.metric('porthole_leases_away')) === 0,
    BACK_MS,
  );

describe(`${AGENTS} agents`, () => {
  it.each(['killed', 'stopped'])(
    'are back within 30 seconds after the relay was %s and started again',
    async (how) => {
      const busiest = await busiestSecond(async () => {
        if (how === 'killed') await relay.killAndRestart();
        else await relay.restart();
        await allBack();
      });
      expect(busiest.dials).toBeLessThan(MAX_TRIES_PER_SECOND * AGENTS);
      expect(busiest.accepted).toBeLessThan(MAX_ACCEPTED_PER_SECOND);
      expect(await relay.metric('porthole_sessions')).toBe(AGENTS);
      expect(await relay.metric('porthole_carriers')).toBe(AGENTS);
    },
    60_000,
  );

  it('resume within 30 seconds when the line of all of them is cut', async () => {
    const resumed = (await relay.metric('porthole_resumes_total')) ?? 0;
    cutter.cut();
    await until(
      'all have resumed',
      async () => ((await relay.metric('porthole_resumes_total')) ?? 0) - resumed >= AGENTS,
      BACK_MS,
    );
    await allBack();
    expect(await relay.metric('porthole_sessions')).toBe(AGENTS);
  }, 60_000);

  it('dial ever more slowly against a relay that takes nobody', async () => {
    cutter.refuse(true);
    cutter.cut();
    await staysTrue('they live', () => crowd.exit === undefined, scaled(4_000, 8_000));
    const before = dials;
    await staysTrue('they live', () => crowd.exit === undefined, 2_000);
    expect((dials - before) / 2).toBeLessThan(AGENTS);
    cutter.refuse(false);
    await allBack();
  }, 60_000);
});
