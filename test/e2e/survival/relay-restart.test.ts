/** The relay is restarted again and again, politely and not, while somebody polls: the same URL is back in three seconds. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, launchAgent, startAgent } from '../../harness/agent.ts';
import { type Origin, startOrigin } from '../../harness/origin.ts';
import { seededRandom } from '../../harness/random.ts';
import { type RawOrigin, startRawOrigin } from '../../harness/raw-origin.ts';
import { askOnce, getRequest } from '../../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../../harness/relay.ts';
import { noteFigure, scaled, spread } from '../../harness/scale.ts';
import { until } from '../../harness/until.ts';
import { visitTcp } from '../../harness/visits.ts';

const RESTARTS = scaled(4, 50);
const BACK_MS = 3_000;
const TEST_MS = scaled(60_000, 600_000);

let origin: Origin;
let echo: RawOrigin;
let relay: RelayUnderTest;
let ada: string;
let bob: string;
let agent: AgentUnderTest;
let tcpAgent: AgentUnderTest;

/** 0: one process that does everything; 1, the default: a worker under the process that owns the sockets. */
describe.each([0, 1])('with %i worker processes,', (workers) => {
  beforeAll(async () => {
    origin = await startOrigin();
    echo = await startRawOrigin();
    echo.server.on('connection', (socket) => socket.pipe(socket));
    relay = await startRelay({ tcpPorts: 3, config: { workers, drain: '500ms' } });
    ada = await relay.addToken('ada');
    bob = await relay.addToken('bob');
    await relay.command('name', 'reserve', 'kept', '--user', 'bob');
    // Without a name of their own: they have to get back what the relay made up.
    agent = await startAgent({ relayUrl: relay.url, token: ada, target: origin.port });
    tcpAgent = await startAgent({ relayUrl: relay.url, token: ada, target: echo.port, kind: 'tcp' });
  });
  afterAll(async () => {
    await agent?.close();
    await tcpAgent?.close();
    await relay?.close();
    await origin?.close();
    await echo?.close();
  });

  describe('a relay that is restarted again and again under polling', () => {
    it(
      'answers at the same URL and port within three seconds of its start',
      async () => {
        const url = await agent.url();
        const tcpPort = Number(new URL(await tcpAgent.url()).port);
        const random = seededRandom(21);
        const statuses = new Map<string, number>();
        const back = { killed: [] as number[], stopped: [] as number[] };
        let stop = false;
        const note = (what: string): void => void statuses.set(what, (statuses.get(what) ?? 0) + 1);
        const poll = async (): Promise<void> => {
          while (!stop) {
            await askOnce(url, getRequest(url, '/size/2000')).then(
              (answer) => note(`${answer.status} ${answer.field('porthole-error') ?? ''}`.trim()),
              () => note('no connection'),
            );
            // The pace of a visitor; nothing is waited for.
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        };
        const polling = Promise.all([poll(), poll(), poll()]);
        for (let round = 0; round < RESTARTS; round++) {
          const served = origin.seen.length;
          const wanted = served + random.between(1, 200);
          await until('visitors are served', () => origin.seen.length >= wanted);
          const isKilled = round % 2 === 0;
          if (isKilled) await relay.program.kill();
          else await relay.program.close();
          await relay.start();
          const started = performance.now();
          await until(
            'the URL answers again',
            async () => (await askOnce(url, getRequest(url)).catch(() => undefined))?.status === 200,
            BACK_MS,
          );
          back[isKilled ? 'killed' : 'stopped'].push(performance.now() - started);
          const visit = await until('the port answers again', () => visitTcp(tcpPort), BACK_MS);
          await visit.untilCount(5);
          await visit.stop();
        }
        stop = true;
        await polling;
        // A killed relay loses its visitors; nobody may be told that there is no such tunnel, or get another's answer.
        for (const what of statuses.keys()) expect(what).toMatch(/^(200|503 [A-Z_]+|no connection)$/);
        expect(Math.max(...back.killed, ...back.stopped)).toBeLessThan(BACK_MS);
        for (const [how, millis] of Object.entries(back)) noteFigure(`back after it was ${how}`, spread(millis));
        for (const [what, count] of statuses) noteFigure(`polls: ${what}`, String(count));
        expect([agent.program.exit, tcpAgent.program.exit]).toEqual([undefined, undefined]);
        expect(new Set(agent.events.filter(({ event }) => event === 'tunnel').map((event) => event.url)).size).toBe(1);
      },
      TEST_MS,
    );

    it('still knows tokens, reserved names and leases', async () => {
      const name = String((await agent.event('tunnel')).name);
      await relay.killAndRestart();
      // Before its agent is back, too: somebody else must not get it.
      for (const [token, wanted, codes] of [
        [bob, name, ['NAME_TAKEN']],
        [ada, 'kept', ['NAME_RESERVED', 'NAME_TAKEN', 'NAME_NOT_ALLOWED']],
        ['ph_unknown', undefined, ['TOKEN_INVALID']],
      ] as const) {
        const refused = launchAgent({
          relayUrl: relay.url,
          token,
          target: origin.port,
          ...(wanted === undefined ? {} : { name: wanted }),
        });
        expect((await refused.program.exited).code).toBe(3);
        expect(codes).toContain(refused.events.find((event) => event.code !== undefined)?.code);
        await refused.close();
      }
      await using rightful = await startAgent({ relayUrl: relay.url, token: bob, target: origin.port, name: 'kept' });
      expect((await rightful.event('tunnel')).name).toBe('kept');
    });
  });
});
