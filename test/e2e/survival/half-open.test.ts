/**
 * Carriers that are dead and do not say so: black holes each way, processes that stand still, a machine that slept. Both
 * ends notice within two heartbeats, and service is back within five seconds of the network's return.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../../harness/agent.ts';
import { type CarrierCutter, type Direction, startCarrierCutter } from '../../harness/carrier-cutter.ts';
import { type Origin, startOrigin } from '../../harness/origin.ts';
import { askOnce, getRequest } from '../../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../../harness/relay.ts';
import { noteFigure, scaled } from '../../harness/scale.ts';
import { type CutStage, startCutStage } from '../../harness/stage.ts';
import { staysTrue, until } from '../../harness/until.ts';
import { visitWebSocket } from '../../harness/visits.ts';

/** The relay's default in full. */
const HEARTBEAT_MS = scaled(1_000, 5_000);
/** Two processes, one machine of two cores: what noticing and telling may take besides. */
const SLACK_MS = 700;
const RETURN_MS = 5_000;
const GRACE_MS = scaled(1_500, 60_000);
const STOPPED_MS = scaled(4_000, 90_000);
const TEST_MS = scaled(60_000, 240_000);

let origin: Origin;
let stage: CutStage;
let relay: RelayUnderTest;
let cutter: CarrierCutter;
let agent: AgentUnderTest;
let url: string;

const config = { heartbeat: `${HEARTBEAT_MS}ms` };

beforeAll(async () => {
  origin = await startOrigin();
  stage = await startCutStage(origin.port, { relay: { config }, agent: { name: 'quiet' } });
  ({ relay, cutter, agent, url } = stage);
});
afterAll(async () => {
  await stage?.close();
  await origin?.close();
});

const away = async (): Promise<boolean> => (await relay.metric('porthole_sessions_away')) === 1;

describe('a line that lets nothing through', () => {
  it.each<Direction | 'both'>(['up', 'down', 'both'])(
    '(%s) is noticed by both ends within two heartbeats, and its streams go on after it',
    async (direction) => {
      const visit = await visitWebSocket(url);
      await visit.untilCount(20);
      const interruptions = agent.countEvents('interrupted');
      const start = performance.now();
      cutter.blackHole(direction);
      await Promise.all([
        agent.untilEvents('interrupted', interruptions + 1, 2 * HEARTBEAT_MS + SLACK_MS),
        until('the relay notices', away, 2 * HEARTBEAT_MS + SLACK_MS),
      ]);
      expect(performance.now() - start).toBeLessThan(2 * HEARTBEAT_MS + SLACK_MS);
      const healed = performance.now();
      cutter.heal();
      await visit.untilCount(visit.count + 20, RETURN_MS);
      expect(performance.now() - healed).toBeLessThan(RETURN_MS);
      await visit.stop();
    },
    TEST_MS,
  );

  it(
    'for so long that dials hang is left within five seconds of its return',
    async () => {
      const visit = await visitWebSocket(url);
      await visit.untilCount(20);
      const links = cutter.linksMade;
      const resumes = agent.countEvents('resumed');
      cutter.blackHole();
      await until('the relay notices', away);
      await staysTrue('no carrier is made', () => cutter.linksMade === links, scaled(4_000, 40_000));
      const healed = performance.now();
      cutter.heal();
      await agent.untilEvents('resumed', resumes + 1, RETURN_MS);
      await visit.untilCount(visit.count + 20, RETURN_MS);
      expect(performance.now() - healed).toBeLessThan(RETURN_MS);
      await visit.stop();
    },
    TEST_MS,
  );
});

// Each of these has a relay of its own, and waits for most of its time: they run at once.
describe.concurrent('a machine that slept', () => {
  it('doubts its carriers at once, however long the heartbeat, and has them back', async () => {
    await using patient = await startRelay({ config: { heartbeat: '10m' } });
    await using line = await startCarrierCutter({ port: () => patient.port });
    const own = await patient.addToken('ada');
    await using sleeper = await startAgent({
      relayUrl: line.url,
      token: own,
      target: origin.port,
      name: 'sleeper',
      jumpyClock: true,
    });
    const visit = await visitWebSocket(await sleeper.url());
    await visit.untilCount(20);
    sleeper.jumpClock();
    // Awake again on a line that works: nothing happens.
    await staysTrue('the carrier is kept', () => sleeper.countEvents('interrupted') === 0, 3_500);
    // Awake again on another network: the relay's answers go nowhere.
    line.blackHole();
    sleeper.jumpClock();
    await sleeper.untilEvents('interrupted', 1, 4_000);
    const healed = performance.now();
    line.heal();
    await visit.untilCount(visit.count + 50, RETURN_MS);
    expect(performance.now() - healed).toBeLessThan(RETURN_MS);
    expect(await patient.metric('porthole_resumes_total')).toBe(1);
    await visit.stop();
  });
});

describe.concurrent.each(['agent', 'relay'] as const)('the %s, stopped for longer than the grace time', (who) => {
  it(
    'ends its streams with a code, and is back under the same name within five seconds',
    async () => {
      await using impatient = await startRelay({ config: { ...config, grace: `${GRACE_MS}ms` } });
      const own = await impatient.addToken('ada');
      await using stopped = await startAgent({
        relayUrl: impatient.url,
        token: own,
        target: origin.port,
        name: 'back',
      });
      const publicUrl = await stopped.url();
      const visit = await visitWebSocket(publicUrl);
      await visit.untilCount(20);
      const program = who === 'agent' ? stopped.program : impatient.program;
      program.freeze();
      // How long it stands still is what this is about.
      await staysTrue('it stands still', () => program.exit === undefined, STOPPED_MS);
      if (who === 'relay') await stopped.event('interrupted');
      program.thaw();
      const thawed = performance.now();
      await until(
        'the tunnel answers again',
        async () => (await askOnce(publicUrl, getRequest(publicUrl), { deadlineMs: 1_000 })).status === 200,
        RETURN_MS,
      );
      const tookMs = performance.now() - thawed;
      expect(tookMs).toBeLessThan(RETURN_MS);
      noteFigure(`the ${who} stood still for ${STOPPED_MS} ms; back after`, `${Math.round(tookMs)} ms`);
      await expect(visit.over).rejects.toThrow(/ended \((1001|1006|1012)/);
      expect(await stopped.event('resumed', (event) => event['new_session'] === true)).toBeDefined();
      expect(stopped.events.filter((event) => event.event === 'refused')).toEqual([]);
    },
    TEST_MS,
  );
});
