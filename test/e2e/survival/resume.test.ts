/**
 * Everything at once over one tunnel whose carrier is cut at random moments: every byte arrives once and in order, and no
 * visitor sees an error. `npm run soak -- resume` does it with 1 GiB each way and 50 cuts.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../../harness/agent.ts';
import type { CarrierCutter } from '../../harness/carrier-cutter.ts';
import { installed, missing } from '../../harness/debian.ts';
import { type Origin, startOrigin } from '../../harness/origin.ts';
import { runProgram } from '../../harness/program.ts';
import { type RawOrigin, startRawOrigin } from '../../harness/raw-origin.ts';
import { type Redis, startRedis } from '../../harness/redis.ts';
import type { RelayUnderTest } from '../../harness/relay.ts';
import { scaled } from '../../harness/scale.ts';
import { type CutStage, startCutStage } from '../../harness/stage.ts';
import { download, expectWhole, upload, visitEvents, visitTcp, visitWebSocket } from '../../harness/visits.ts';

const MIB = 1024 * 1024;
const SIZE = scaled(64 * MIB, 1024 * MIB);
const CUTS = scaled(12, 50);
const TEST_MS = scaled(60_000, 600_000);

let origin: Origin;
let stage: CutStage;
let echo: RawOrigin;
let relay: RelayUnderTest;
let cutter: CarrierCutter;
let token: string;
let agent: AgentUnderTest;
let url: string;

beforeAll(async () => {
  origin = await startOrigin();
  echo = await startRawOrigin();
  echo.server.on('connection', (socket) => socket.pipe(socket));
  stage = await startCutStage(origin.port, { relay: { tcpPorts: 2 }, agent: { name: 'steady' } });
  ({ relay, cutter, token, agent, url } = stage);
});
afterAll(async () => {
  await stage?.close();
  await origin?.close();
  await echo?.close();
});

describe('a tunnel whose carrier is cut at random moments', () => {
  it(
    'delivers a download, an upload, a WebSocket, an event stream and a TCP connection whole, all at once',
    async () => {
      await using tcpAgent = await startAgent({ relayUrl: cutter.url, token, target: echo.port, kind: 'tcp' });
      const tcp = await visitTcp(Number(new URL(await tcpAgent.url()).port));
      const socket = await visitWebSocket(url);
      const events = await visitEvents(url);
      await origin.whenever(() => origin.eventStreams.size === 1);
      let published = 0;
      cutter.events.on('cut', () => {
        for (let i = 0; i < 20; i++) origin.publish(`${published++}`);
      });
      const before = { cuts: cutter.cuts, interruptions: agent.countEvents('interrupted') };
      const cuts = cutter.cutAtRandom({ seed: 11, times: CUTS, bytesBetween: [SIZE / CUTS / 8, (1.8 * SIZE) / CUTS] });
      const transfers = Promise.all([
        download(url, `/size/${SIZE}`, { deadlineMs: TEST_MS }),
        upload(url, SIZE, { deadlineMs: TEST_MS }),
      ]);
      for (const transfer of await transfers) expectWhole(transfer, SIZE);
      await cuts;
      for (const visit of [tcp, socket]) await visit.untilCount(visit.count + 100);
      await events.untilCount(published);
      expect(published).toBe(CUTS * 20);
      expect(cutter.cuts - before.cuts).toBe(CUTS);
      expect(agent.countEvents('interrupted') - before.interruptions).toBeGreaterThan(0);
      expect(agent.events.filter((event) => event['new_session'] === true)).toEqual([]);
      for (const visit of [tcp, socket, events]) await visit.stop();
    },
    TEST_MS,
  );

  it('gives back what it kept for the other end once everything has arrived', async () => {
    expectWhole(await download(url, `/size/${MIB}`), MIB);
    await expect.poll(() => relay.metric('porthole_unacknowledged_bytes')).toBe(0);
    await expect.poll(() => relay.metric('porthole_buffered_bytes')).toBe(0);
    await expect.poll(() => relay.metric('porthole_streams')).toBe(0);
  });
});

describe.skipIf(missing('redis-server', 'redis-benchmark'))('redis-benchmark over a cut carrier', () => {
  let redis: Redis;

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.close());

  it(
    'loses no command and no connection',
    async () => {
      await using tcpAgent = await startAgent({ relayUrl: cutter.url, token, target: redis.port, kind: 'tcp' });
      const publicPort = new URL(await tcpAgent.url()).port;
      const commands = scaled(30_000, 300_000);
      const cuts = cutter.cutAtRandom({ seed: 12, times: CUTS, bytesBetween: [commands * 2, commands * 30] });
      const benchmark = await runProgram({
        name: 'redis-benchmark',
        command: installed('redis-benchmark') ?? '',
        args: `-h 127.0.0.1 -p ${publicPort} -c 20 -n ${commands} -P 4 -d 512 -t set,get,incr --csv -q`.split(' '),
        deadlineMs: TEST_MS,
      });
      expect(benchmark.code).toBe(0);
      expect(benchmark.stderr + benchmark.stdout).not.toMatch(/error|reset|closed/i);
      await cuts;
      // INCR ran exactly as often as it was sent: nothing lost, nothing twice.
      const counter = await runProgram({
        name: 'redis-cli',
        command: installed('redis-cli') ?? '',
        args: `-h 127.0.0.1 -p ${publicPort} GET counter:__rand_int__`.split(' '),
      });
      expect(counter.stdout).toBe(String(commands));
    },
    TEST_MS,
  );
});
