/** The carrier is cut again and again, at random moments: whoever visits notices a pause at most. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { type CarrierCutter, startCarrierCutter } from '../harness/carrier-cutter.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { type RawOrigin, startRawOrigin } from '../harness/raw-origin.ts';
import { askOnce, getRequest } from '../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { until, within } from '../harness/until.ts';
import {
  type LongVisit,
  download,
  expectWhole,
  upload,
  visitEvents,
  visitTcp,
  visitWebSocket,
} from '../harness/visits.ts';

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
const CUTS = 20;

let origin: Origin;
let echo: RawOrigin;
let relay: RelayUnderTest;
let cutter: CarrierCutter;
let token: string;
let agent: AgentUnderTest;
let tcpAgent: AgentUnderTest;
let url: string;
let tcpPort: number;

beforeAll(async () => {
  origin = await startOrigin();
  echo = await startRawOrigin();
  echo.server.on('connection', (socket) => socket.pipe(socket));
  relay = await startRelay({ tcpPorts: 2, config: { heartbeat: '1s' } });
  token = await relay.addToken('ada');
  cutter = await startCarrierCutter({ port: () => relay.port });
  agent = await startAgent({ relayUrl: cutter.url, token, target: origin.port, name: 'steady' });
  url = await agent.url();
  tcpAgent = await startAgent({ relayUrl: cutter.url, token, target: echo.port, kind: 'tcp' });
  tcpPort = Number(new URL(await tcpAgent.url()).port);
});
afterAll(async () => {
  await agent?.close();
  await tcpAgent?.close();
  await cutter?.close();
  await relay?.close();
  await origin?.close();
  await echo?.close();
});

/** Cuts spread over a transfer of SIZE bytes. */
const cutsDuringTransfer = (seed: number): Promise<void> =>
  cutter.cutAtRandom({ seed, times: CUTS, bytesBetween: [SIZE / CUTS / 10, SIZE / CUTS] });

/** Runs a chatty visit while the carrier is cut: cuts need bytes, which the visit makes. */
async function surviveCuts(visit: LongVisit, seed: number, times: number): Promise<void> {
  const before = cutter.cuts;
  await Promise.race([
    cutter.cutAtRandom({ seed, times, bytesBetween: [50, 20_000] }),
    visit.over.then(() => Promise.reject(new Error('over too early'))),
  ]);
  const reached = visit.count;
  await visit.untilCount(reached + 50, 30_000);
  expect(cutter.cuts - before).toBeGreaterThanOrEqual(times);
  await visit.stop();
}

describe('while the carrier is cut at random moments', () => {
  it.each([1, 2])('a download arrives whole (seed %i)', async (seed) => {
    const before = cutter.cuts;
    const cuts = cutsDuringTransfer(seed);
    expectWhole(await download(url, `/size/${SIZE}`), SIZE);
    await cuts;
    expect(cutter.cuts - before).toBe(CUTS);
  });

  it.each([3, 4])('an upload arrives whole (seed %i)', async (seed) => {
    const cuts = cutsDuringTransfer(seed);
    expectWhole(await upload(url, SIZE, { chunked: seed === 4 }), SIZE);
    await cuts;
  });

  it('downloads and uploads at once arrive whole', async () => {
    const cuts = cutter.cutAtRandom({ seed: 5, times: CUTS, bytesBetween: [SIZE / 40, SIZE / 10] });
    const transfers = [
      download(url, `/size/${SIZE}`),
      download(url, `/size/${SIZE / 4}?chunked`),
      upload(url, SIZE),
      upload(url, SIZE / 8),
    ];
    const [a, b, c, d] = await Promise.all(transfers);
    expectWhole(a as never, SIZE);
    expectWhole(b as never, SIZE / 4);
    expectWhole(c as never, SIZE);
    expectWhole(d as never, SIZE / 8);
    await cuts;
  });

  it('a WebSocket keeps its numbered messages, each once and in order', async () => {
    await surviveCuts(await visitWebSocket(url), 6, CUTS);
  });

  it('a raw TCP connection keeps its lines, each once and in order', async () => {
    await surviveCuts(await visitTcp(tcpPort), 7, CUTS);
  });

  it('an event stream keeps its events, each once and in order', async () => {
    const visit = await visitEvents(url);
    await origin.whenever(() => origin.eventStreams.size === 1);
    let published = 0;
    for (let round = 0; round < CUTS; round++) {
      for (let i = 0; i < 5; i++) origin.publish(`${published++}`);
      if (round % 3 === 0) await visit.untilCount(published);
      cutter.cut(round % 2 === 0 ? 'reset' : 'close');
    }
    origin.publish(`${published++}`);
    await visit.untilCount(published, 30_000);
    await visit.stop();
  });

  it('small requests all succeed', async () => {
    const cuts = cutter.cutAtRandom({ seed: 8, times: CUTS, bytesBetween: [100, 30_000] });
    let over = false;
    void cuts.then(() => (over = true));
    let asked = 0;
    while (!over) {
      const answer = await askOnce(url, getRequest(url, `/size/${(asked++ * 37) % 5000}`));
      expect(answer.status).toBe(200);
    }
    expect(asked).toBeGreaterThan(20);
  });
});

describe('a carrier that goes silent', () => {
  it.each(['up', 'down', 'both'] as const)(
    '(%s) is noticed within two heartbeats, and visits go on',
    async (direction) => {
      const visit = await visitWebSocket(url);
      await visit.untilCount(20);
      const made = cutter.linksMade;
      cutter.blackHole(direction);
      // The agent gives the silent carrier up and dials again; new links are silent too until the network is back.
      await agent.event('interrupted', (event) => event['next_try_ms'] !== undefined);
      const start = performance.now();
      cutter.heal();
      await visit.untilCount(visit.count + 20, 10_000);
      expect(performance.now() - start).toBeLessThan(5_000);
      await visit.stop();
      expect(cutter.linksMade).toBeGreaterThanOrEqual(made);
    },
  );

  it('because the agent was stopped for a while keeps its streams', async () => {
    const visit = await visitWebSocket(url);
    await visit.untilCount(5);
    agent.program.freeze();
    await until('the relay gives the carrier up', () => cutter.links <= 1, 10_000);
    agent.program.thaw();
    await visit.untilCount(visit.count + 20, 10_000);
    await visit.stop();
  });

  it('because the relay was stopped for a while keeps its streams', async () => {
    const visit = await visitWebSocket(url);
    await visit.untilCount(5);
    const interruptions = agent.program.countLines((line) => line.includes('"event":"interrupted"'));
    relay.program.freeze();
    await agent.untilEvents('interrupted', interruptions + 1);
    relay.program.thaw();
    await visit.untilCount(visit.count + 20, 15_000);
    await visit.stop();
  });
});

describe('an agent', () => {
  it('stays alive against a relay that accepts and closes, and comes back', async () => {
    cutter.refuse(true);
    cutter.cut();
    const interruptions = agent.program.countLines((line) => line.includes('"event":"interrupted"'));
    await agent.untilEvents('interrupted', interruptions + 3, 30_000);
    cutter.refuse(false);
    await until('service is back', async () => (await askOnce(url, getRequest(url))).status === 200, 30_000);
    expect(agent.program.exit).toBeUndefined();
  });

  it('keeps its URL over a relay that is killed and started again', async () => {
    for (let round = 0; round < 3; round++) {
      if (round % 2 === 0) await relay.killAndRestart();
      else await relay.restart();
      const start = performance.now();
      await until('the URL answers again', async () => (await askOnce(url, getRequest(url))).status === 200, 20_000);
      expect(performance.now() - start).toBeLessThan(5_000);
    }
    expect(agent.program.exit).toBeUndefined();
  });

  it('that is killed keeps nobody from its name', async () => {
    const victim = await startAgent({ relayUrl: relay.url, token, target: origin.port, name: 'victim' });
    await victim.program.kill();
    await victim.close();
    await using heir = await startAgent({ relayUrl: relay.url, token, target: origin.port, name: 'victim' });
    const victimUrl = await heir.url();
    expect((await within('an answer', askOnce(victimUrl, getRequest(victimUrl)))).status).toBe(200);
  });
});
