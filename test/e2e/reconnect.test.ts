/**
 * The carrier is cut again and again, at random moments: whoever visits notices a pause at most. Silent carriers,
 * restarts and everything at once are in `survival/`.
 */
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
  numbered,
  upload,
  visitEvents,
  visitTcp,
  visitWebSocket,
} from '../harness/visits.ts';

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
const CUTS = 20;
/** A carrier that moved as much was worth having: the next loss is answered at once, not after a growing pause. */
const WORTHWHILE = 70_000;
const PADDING = 2_000;

let origin: Origin;
let echo: RawOrigin;
let relay: RelayUnderTest;
let cutter: CarrierCutter;
let tcpCutter: CarrierCutter;
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
  tcpCutter = await startCarrierCutter({ port: () => relay.port });
  agent = await startAgent({ relayUrl: cutter.url, token, target: origin.port, name: 'steady' });
  url = await agent.url();
  tcpAgent = await startAgent({ relayUrl: tcpCutter.url, token, target: echo.port, kind: 'tcp' });
  tcpPort = Number(new URL(await tcpAgent.url()).port);
});
afterAll(async () => {
  await agent?.close();
  await tcpAgent?.close();
  await cutter?.close();
  await tcpCutter?.close();
  await relay?.close();
  await origin?.close();
  await echo?.close();
});

/** Cuts spread over a transfer of SIZE bytes. */
const cutsDuringTransfer = (seed: number): Promise<void> =>
  cutter.cutAtRandom({ seed, times: CUTS, bytesBetween: [SIZE / CUTS / 10, SIZE / CUTS] });

/** Lets a visit talk while the carrier is cut: cuts come behind bytes, and the visit makes them. */
async function surviveCuts(visit: LongVisit, line: CarrierCutter, seed: number): Promise<void> {
  const before = line.cuts;
  const cuts = line.cutAtRandom({ seed, times: CUTS, bytesBetween: [WORTHWHILE, 2 * WORTHWHILE] });
  await Promise.race([cuts, visit.over.then(() => Promise.reject(new Error('over too early')))]);
  await visit.untilCount(visit.count + 50, 30_000);
  expect(line.cuts - before).toBe(CUTS);
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
    const sizes = [SIZE, SIZE / 4, SIZE, SIZE / 8];
    for (const [i, transfer] of (await Promise.all(transfers)).entries()) expectWhole(transfer, sizes[i] ?? 0);
    await cuts;
  });

  it('a WebSocket keeps its numbered messages, each once and in order', async () => {
    await surviveCuts(await visitWebSocket(url, { padding: PADDING }), cutter, 6);
  });

  it('a raw TCP connection keeps its lines, each once and in order', async () => {
    await surviveCuts(await visitTcp(tcpPort, { padding: PADDING }), tcpCutter, 7);
  });

  it('an event stream keeps its events, each once and in order', async () => {
    const visit = await visitEvents(url, { padding: PADDING });
    await origin.whenever(() => origin.eventStreams.size === 1);
    const cuts = cutter.cutAtRandom({ seed: 9, times: CUTS, bytesBetween: [WORTHWHILE, 2 * WORTHWHILE] });
    let over = false;
    void cuts.then(() => (over = true));
    for (let published = 0; !over; await visit.untilCount(published, 30_000)) {
      for (let i = 0; i < 10; i++) origin.publish(numbered(published++, PADDING));
    }
    await visit.stop();
  });

  it('small requests all succeed', async () => {
    const cuts = cutter.cutAtRandom({ seed: 8, times: CUTS, bytesBetween: [WORTHWHILE, 2 * WORTHWHILE] });
    let over = false;
    void cuts.then(() => (over = true));
    let asked = 0;
    while (!over) {
      const answer = await askOnce(url, getRequest(url, `/size/${(asked++ * 3701) % 50_000}`));
      expect(answer.status).toBe(200);
    }
    expect(asked).toBeGreaterThan(20);
  });
});

describe('an agent', () => {
  it('stays alive against a relay that accepts and closes, and comes back', async () => {
    cutter.refuse(true);
    cutter.cut();
    await until('the agent dials again and again', () => cutter.refusals >= 3, 30_000);
    expect(agent.countEvents('interrupted')).toBeGreaterThan(0);
    cutter.refuse(false);
    await until('service is back', async () => (await askOnce(url, getRequest(url))).status === 200, 30_000);
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
