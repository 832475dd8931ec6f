/**
 * Dev servers restart and agents reconnect while visitors keep coming: requests are late, never lost and never run twice.
 * The bounds of waiting are in `../waiting.test.ts`.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAgent } from '../../harness/agent.ts';
import { startCarrierCutter } from '../../harness/carrier-cutter.ts';
import { type RawOrigin, plainAnswer, readRequestBody, startRawOrigin } from '../../harness/raw-origin.ts';
import { askOnce, connectVisitor, getRequest, postRequest, readAnswer } from '../../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../../harness/relay.ts';
import { scaled } from '../../harness/scale.ts';
import { until } from '../../harness/until.ts';

const RESTARTS = scaled(4, 30);

let relay: RelayUnderTest;
let token: string;

beforeAll(async () => {
  relay = await startRelay({ config: { heartbeat: '1s' } });
  token = await relay.addToken('ada');
});
afterAll(() => relay?.close());

/** Answers with the path, once per connection, and remembers every request it has run. */
function echoPath(ran: string[], port = 0): Promise<RawOrigin> {
  return startRawOrigin(
    async (request) => {
      const body = await readRequestBody(request);
      ran.push(`${request.line.split(' ', 2).join(' ')} ${body.toString()}`.trim());
      request.wire.socket.end(plainAnswer(request.line.split(' ')[1], 'Connection: close\r\n'), 'latin1');
    },
    { port },
  );
}

/** Visitors who ask one request after the other, POST and GET in turns, until told to stop. */
class Pollers {
  /** What they asked and got the right answer to. */
  readonly asked: string[] = [];
  readonly #url: string;
  readonly #over: Promise<unknown>;
  #underWay = 0;
  #gate: PromiseWithResolvers<void> | undefined;
  #stopping = false;

  constructor(url: string, count: number) {
    this.#url = url;
    this.#over = Promise.all(Array.from({ length: count }, (_unused, who) => this.#poll(who)));
    this.#over.catch(() => undefined);
  }

  /** Nobody asks until `go`. Resolves when nothing is under way. */
  async hold(): Promise<void> {
    this.#gate = Promise.withResolvers();
    await until('nothing is under way', () => this.#underWay === 0);
  }

  go(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#over;
  }

  async #poll(who: number): Promise<void> {
    for (let i = 0; !this.#stopping; i++) {
      await this.#gate?.promise;
      const path = `/${who}/${i}`;
      this.#underWay++;
      const answer = await askOnce(
        this.#url,
        i % 2 === 0 ? getRequest(this.#url, path) : postRequest(this.#url, path, path),
      );
      this.#underWay--;
      if (answer.status !== 200 || answer.body.toString() !== path)
        throw new Error(`${path}: ${answer.status} ${answer.field('porthole-error')} ${answer.body.toString()}`);
      this.asked.push(i % 2 === 0 ? `GET ${path}` : `POST ${path} ${path}`);
    }
  }
}

describe('visitors who keep coming', () => {
  it('notice nothing but time while the origin restarts again and again', async () => {
    const ran: string[] = [];
    let origin = await echoPath(ran);
    const { port } = origin;
    await using agent = await startAgent({ relayUrl: relay.url, token, target: port });
    const visitors = new Pollers(await agent.url(), 6);
    for (let round = 0; round < RESTARTS; round++) {
      const before = ran.length;
      await until('requests run', () => ran.length > before + 50);
      // Who asks at the very moment the port closes may be reset by the kernel, and nobody can tell whether it ran.
      await visitors.hold();
      await origin.close();
      visitors.go();
      await until('visitors wait', async () => (await relay.metric('porthole_exchanges')) === 6);
      origin = await echoPath(ran, port);
    }
    await visitors.stop();
    expect(ran.toSorted()).toEqual(visitors.asked.toSorted());
    await origin.close();
  });

  it('notice nothing but time while the agent loses its relay again and again', async () => {
    const ran: string[] = [];
    await using origin = await echoPath(ran);
    await using cutter = await startCarrierCutter({ port: () => relay.port });
    await using agent = await startAgent({ relayUrl: cutter.url, token, target: origin.port });
    const visitors = new Pollers(await agent.url(), 6);
    for (let round = 0; round < RESTARTS; round++) {
      const before = ran.length;
      // Enough for the carrier to have been worth having, so that the agent's pauses start from the beginning.
      await until('requests run', () => ran.length > before + 300);
      const { refusals } = cutter;
      cutter.refuse(true);
      cutter.cut();
      await until('the agent dials in vain', () => cutter.refusals >= refusals + 2);
      cutter.refuse(false);
    }
    await visitors.stop();
    expect(ran.toSorted()).toEqual(visitors.asked.toSorted());
  });
});

describe('a visitor who leaves while the agent is away', () => {
  it('is not waited for, and runs nothing', async () => {
    const ran: string[] = [];
    await using origin = await echoPath(ran);
    await using cutter = await startCarrierCutter({ port: () => relay.port });
    await using agent = await startAgent({ relayUrl: cutter.url, token, target: origin.port });
    const url = await agent.url();
    cutter.refuse(true);
    cutter.cut();
    await agent.event('interrupted');
    await using leaving = await connectVisitor(url);
    await leaving.send(postRequest(url, '/gone', 'never'));
    await using staying = await connectVisitor(url);
    await staying.send(getRequest(url, '/stays'));
    await until('both wait', async () => (await relay.metric('porthole_waiting')) === 2);
    leaving.reset();
    await until('one waits', async () => (await relay.metric('porthole_waiting')) === 1);
    cutter.refuse(false);
    expect((await readAnswer(staying)).status).toBe(200);
    expect(ran).toEqual(['GET /stays']);
    expect(await relay.metric('porthole_waiting')).toBe(0);
  });
});
