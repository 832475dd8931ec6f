/** Names while sessions die and many want the same one: one owner at any time, never replaced in silence, never lost. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAgent } from '../../harness/agent.ts';
import { startCarrierCutter } from '../../harness/carrier-cutter.ts';
import { CLOSE, MESSAGE, PING, PONG, type RawCarrier, dialCarrier } from '../../harness/raw-carrier.ts';
import { type RawOrigin, plainAnswer, startRawOrigin } from '../../harness/raw-origin.ts';
import { askOnce, getRequest } from '../../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../../harness/relay.ts';

const CLAIMS = 1_000;
const CARRIERS = 20;

let relay: RelayUnderTest;
let ada: string;
let bob: string;
let first: RawOrigin;
let second: RawOrigin;

beforeAll(async () => {
  // Far longer than any deadline below: nobody is noticed by his silence.
  relay = await startRelay({ config: { heartbeat: '60s' } });
  ada = await relay.addToken('ada');
  bob = await relay.addToken('bob');
  first = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer('first')));
  second = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer('second')));
});
afterAll(async () => {
  await relay?.close();
  await first?.close();
  await second?.close();
});

async function whoAnswers(name: string): Promise<string> {
  const url = relay.urlOf(name);
  const answer = await askOnce(url, getRequest(url));
  return answer.status === 200 ? answer.body.toString() : `${answer.status} ${answer.field('porthole-error')}`;
}

interface Said {
  readonly type: string;
  readonly id: number;
  readonly code?: string;
  readonly detail?: string;
  readonly name?: string;
}

async function nextSaid(carrier: RawCarrier): Promise<Said> {
  const { payload } = await carrier.nextOf(MESSAGE);
  return JSON.parse(payload.toString()) as Said;
}

describe('a thousand claims of two identities that race for one name', () => {
  it('give it one owner, tell everybody else, and give nobody another name', async () => {
    const racers = await Promise.all(
      Array.from({ length: CARRIERS }, async (_unused, i) => {
        const carrier = await dialCarrier(relay.port);
        await carrier.logIn(i % 2 === 0 ? ada : bob);
        return {
          carrier,
          identity: i % 2 === 0 ? 'ada' : 'bob',
          held: new Set<number>(),
          codes: new Set<string>(),
          open: 0,
        };
      }),
    );
    const each = CLAIMS / CARRIERS;
    for (let id = 1; id <= each; id++) {
      for (const racer of racers) {
        racer.open++;
        await racer.carrier.send(MESSAGE, JSON.stringify({ type: 'claim', id, protocol: 'http', name: 'raced' }));
      }
    }
    await Promise.all(
      racers.map(async (racer) => {
        while (racer.open > 0) {
          const said = await nextSaid(racer.carrier);
          if (said.type === 'claimed') {
            expect(said.name).toBe('raced');
            racer.held.add(said.id);
            racer.open--;
          } else if (!racer.held.delete(said.id)) racer.open--;
          if (said.code !== undefined) racer.codes.add(said.code);
        }
      }),
    );
    // What was taken over while others still waited for their answers has been told by now, or is told next.
    const holding = (): string[] => racers.flatMap((racer) => [...racer.held].map((id) => `${racer.identity} ${id}`));
    for (const racer of racers) {
      await racer.carrier.send(PING, Buffer.alloc(8));
      for (let next = await racer.carrier.next(); next.type !== PONG; next = await racer.carrier.next()) {
        if (next.type === MESSAGE) racer.held.delete((JSON.parse(next.payload.toString()) as Said).id);
      }
    }
    expect(holding()).toHaveLength(1);
    const owner = holding()[0]?.split(' ')[0];
    for (const racer of racers)
      expect(
        [...racer.codes].filter((code) => code !== (racer.identity === owner ? 'SESSION_REPLACED' : 'NAME_TAKEN')),
      ).toEqual([]);
    expect(await relay.metric('porthole_leases')).toBe(1);
    expect(await relay.metric('porthole_routes')).toBe(1);
    for (const racer of racers) await racer.carrier.close();
  });
});

describe('a dead session', () => {
  it('whose name was taken over changes nothing with its late frames', async () => {
    await using old = await dialCarrier(relay.port);
    await old.logIn(ada);
    await old.claim('fenced', 7);
    await using fresh = await startAgent({ relayUrl: relay.url, token: ada, target: second.port, name: 'fenced' });
    expect(await whoAnswers('fenced')).toBe('second');
    for (;;) {
      const said = await nextSaid(old);
      if (said.type === 'refused' && said.id === 7) break;
    }
    await old.send(MESSAGE, JSON.stringify({ type: 'release', id: 7 }));
    expect(await whoAnswers('fenced')).toBe('second');
    await old.send(CLOSE, Buffer.from([0, 0]));
    await old.wire.untilEnded();
    expect(await whoAnswers('fenced')).toBe('second');
    expect(fresh.countEvents('interrupted')).toBe(0);
  });

  it('keeps its name from another identity, who is told who can free it, while its own takes it at once', async () => {
    await using cutter = await startCarrierCutter({ port: relay.port });
    const dead = await startAgent({ relayUrl: cutter.url, token: ada, target: first.port, name: 'dead' });
    cutter.blackHole();
    await using other = await dialCarrier(relay.port);
    await other.logIn(bob);
    await other.send(MESSAGE, JSON.stringify({ type: 'claim', id: 1, protocol: 'http', name: 'dead' }));
    const refused = await nextSaid(other);
    expect(refused).toMatchObject({ type: 'refused', code: 'NAME_TAKEN' });
    expect(refused.detail).toMatch(/holder or the operator can free it/);
    await using heir = await dialCarrier(relay.port);
    await heir.logIn(ada);
    // Waiting until the relay misses the dead agent (two heartbeats), or for the grace time, would outlast the deadline.
    await heir.claim('dead');
    cutter.heal();
    expect((await dead.program.exited).code).toBe(3);
    await dead.close();
  });
});
