import { encodeFrame, FRAME, PortholeError } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { SessionPair } from './session-pair.ts';

const OPENING = Buffer.from([1, 0, 0, 0, 7]);

function codeOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    if (error instanceof PortholeError) return error.code;
    throw error;
  }
  return 'nothing thrown';
}

/** Opens `count` streams into the agent's end, which refuses each. */
function openMany(pair: SessionPair, count: number, from = 0): void {
  for (let index = from; index < from + count; index += 1)
    pair.agent.lane.receive(encodeFrame(FRAME.open, 2 * index + 1, OPENING));
}

describe('an end that asks and does not take the answers', () => {
  it('ends the session by opening streams that are refused, while nothing is read', () => {
    const pair = new SessionPair(2);
    pair.settle();
    pair.agent.onOpened = (stream) => stream.reset('NOT_SUPPORTED');
    expect(codeOf(() => openMany(pair, 10_000))).toBe('FLOW_CONTROL');
  });

  it('ends the session by opening streams that are refused, while nothing is acknowledged', () => {
    const pair = new SessionPair(2);
    pair.settle();
    pair.agent.onOpened = (stream) => stream.reset('NOT_SUPPORTED', 'x'.repeat(1_000));
    const code = codeOf(() => {
      for (let round = 0; round < 100; round += 1) {
        openMany(pair, 1_000, round * 1_000);
        while (pair.agent.lane.wantsWrite) pair.agent.lane.pull(262_144, true);
      }
    });
    expect(code).toBe('FLOW_CONTROL');
    expect(pair.agent.session.unackedBytes).toBeLessThan(52 * 1_048_576);
  });

  it('ends the session by messages that are answered, while nothing is read', () => {
    const pair = new SessionPair();
    pair.settle();
    const question = encodeFrame(FRAME.message, 0, Buffer.from('{"type":"release","id":1}'));
    const code = codeOf(() => {
      for (let index = 0; index < 10_000; index += 1) {
        pair.agent.lane.receive(question);
        pair.agent.session.sendMessage({ type: 'refused', id: 1, code: 'NAME_TAKEN', detail: 'x'.repeat(200) });
      }
    });
    expect(code).toBe('FLOW_CONTROL');
  });

  it('may open and reset as many streams as it likes when it reads and acknowledges', () => {
    const pair = new SessionPair(2);
    pair.settle();
    pair.agent.onOpened = (stream) => stream.reset('NOT_SUPPORTED');
    for (let index = 0; index < 20_000; index += 1) {
      pair.relay.open('x', true);
      if (index % 2 === 1) pair.settle();
    }
    expect(pair.agent.opened.length).toBe(20_000);
    expect(pair.agent.session.closed).toBe(false);
  });
});

describe('streams that come and go while the carrier takes nothing', () => {
  it('leave nothing behind, and those that stay are sent', () => {
    const pair = new SessionPair();
    pair.settle();
    const before = pair.relay.open('first', false);
    for (let index = 0; index < 10_000; index += 1) pair.relay.open('gone', true).stream.reset('CANCELLED');
    const after = pair.relay.open('last', false);
    for (const { stream } of [before, after]) stream.write(Buffer.from('still here'));
    pair.settle();
    expect(pair.agent.opened.map(({ opening }) => opening.block)).toEqual(['first', 'last']);
    expect(pair.agent.opened.map(({ sink }) => sink.bytes.toString())).toEqual(['still here', 'still here']);
  });
});

describe('a writer that throws when it may go on', () => {
  it('loses its own stream only', () => {
    const pair = new SessionPair();
    pair.settle();
    const bad = pair.relay.open('bad', false);
    bad.sink.onWritable = () => {
      throw new Error('bug');
    };
    const good = pair.relay.open('good', false);
    bad.stream.write(Buffer.alloc(200_000));
    good.stream.write(Buffer.from('y'));
    pair.settle();
    expect(pair.relay.faults.length).toBe(1);
    expect(bad.sink.reset?.code).toBe('INTERNAL');
    expect(pair.agent.opened.find(({ opening }) => opening.block === 'good')?.sink.bytes.toString()).toBe('y');
  });
});
