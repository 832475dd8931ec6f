import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RecordingSink, SessionPair, type Splitter } from './session-pair.ts';

function bytesOf(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed * 2_654_435_761;
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}

/** A conversation with everything in it; returns what must have arrived in the end. */
function converse(pair: SessionPair): { finish(): void } {
  const up = bytesOf(1_500, 1);
  const down = bytesOf(5_000, 2);
  pair.agent.onOpened = (stream, sink, opening) => {
    if (opening.block.startsWith('GET')) {
      stream.sendHead('200\0OK\0content-length\0' + down.length);
      stream.write(down);
      stream.end();
    } else if (opening.block.startsWith('RESET')) {
      stream.reset('ORIGIN_REFUSED', 'as agreed');
    } else {
      sink.onEnd = () => {
        sink.ended = true;
        stream.sendHead('204\0No Content');
        stream.sendTrailers('a\0b');
        stream.end();
      };
    }
  };
  const get = pair.relay.open('GET\0/', true);
  const post = pair.relay.open('POST\0/', false);
  const reset = pair.relay.open('RESET', true);
  post.stream.write(up.subarray(0, 700));
  pair.agent.session.sendMessage({ type: 'claim', id: 1, protocol: 'http', name: 'shop' });
  post.stream.write(up.subarray(700));
  post.stream.end();
  return {
    finish: () => {
      pair.settle();
      const posted = pair.agent.opened.find(({ opening }) => opening.block.startsWith('POST'))?.sink as RecordingSink;
      expect(get.sink.heads).toEqual(['200\0OK\0content-length\0' + down.length]);
      expect(get.sink.bytes.equals(down)).toBe(true);
      expect(get.sink.ended).toBe(true);
      expect(posted.bytes.equals(up)).toBe(true);
      expect(post.sink.heads).toEqual(['204\0No Content']);
      expect(post.sink.trailers).toBe('a\0b');
      expect(reset.sink.reset).toEqual({ code: 'ORIGIN_REFUSED', detail: 'as agreed' });
      expect(pair.relay.messages).toEqual([{ type: 'claim', id: 1, protocol: 'http', name: 'shop' }]);
      expect(pair.agent.opened.length).toBe(3);
      expect(pair.relay.session.streamCount + pair.agent.session.streamCount).toBe(0);
      expect([...pair.relay.faults, ...pair.agent.faults]).toEqual([]);
    },
  };
}

describe('resume', () => {
  it('loses and repeats nothing when the carrier is cut once, at any byte of a conversation', () => {
    const whole = new SessionPair();
    converse(whole).finish();
    const total = whole.delivered;
    expect(total).toBeGreaterThan(6_500);
    for (let at = 0; at < total; at += 1) {
      const pair = new SessionPair();
      const conversation = converse(pair);
      pair.cutAfter = at;
      conversation.finish();
      expect(pair.cuts).toBe(1);
    }
  });

  it('survives many cuts with any splits and sizes', () => {
    const action = fc.record({
      size: fc.integer({ min: 1, max: 90_000 }),
      up: fc.boolean(),
      cut: fc.option(fc.integer({ min: 0, max: 200_000 }), { freq: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(action, { minLength: 1, maxLength: 25 }),
        fc.integer({ min: 1, max: 5_000 }),
        (actions, pieceBytes) => {
          const pair = new SessionPair();
          pair.split = piecesOf(pieceBytes);
          const { stream, sink } = pair.relay.open('raw', false, 2);
          pair.settle();
          const at = pair.agent.opened[0] as (typeof pair.agent.opened)[number];
          const sent = { up: [] as Buffer[], down: [] as Buffer[] };
          for (const [index, { size, up, cut }] of actions.entries()) {
            const chunk = bytesOf(size, index);
            (up ? sent.up : sent.down).push(chunk);
            (up ? stream : at.stream).write(Buffer.from(chunk));
            if (cut !== null) pair.cutAfter = cut;
            if (index % 3 === 0) pair.turn();
          }
          stream.end();
          at.stream.end();
          pair.settle();
          expect(at.sink.bytes.equals(Buffer.concat(sent.up))).toBe(true);
          expect(sink.bytes.equals(Buffer.concat(sent.down))).toBe(true);
          expect(sink.ended && at.sink.ended).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('keeps no more unacknowledged than the cap allows, and nothing once all is acknowledged', () => {
    const pair = new SessionPair();
    const { stream } = pair.relay.open('raw', false, 2);
    let most = 0;
    for (let index = 0; index < 200; index += 1) {
      stream.write(bytesOf(65_536, index));
      pair.time += 1;
      pair.turn();
      most = Math.max(most, pair.relay.lane.unackedBytes - pair.relay.lane.capBytes);
    }
    stream.end();
    pair.settle();
    // One frame may start below the cap and end beyond it; quiet streams have their own allowance.
    expect(most).toBeLessThanOrEqual(65_536 + 16_384);
    expect(pair.relay.lane.unackedBytes).toBe(0);
    expect(pair.agent.lane.unackedBytes).toBe(0);
  });

  it('refuses to continue from a position that was never sent or is already forgotten', () => {
    const pair = new SessionPair();
    pair.relay.open('raw', false, 2).stream.write(bytesOf(1_000, 1));
    pair.settle();
    pair.relay.lane.detach();
    expect(() => pair.relay.lane.attach(1_000_000)).toThrow(expect.objectContaining({ code: 'SESSION_GONE' }));
    expect(() => pair.relay.lane.attach(1)).toThrow(expect.objectContaining({ code: 'SESSION_GONE' }));
    expect(() => pair.relay.lane.attach(Number.NaN)).toThrow(expect.objectContaining({ code: 'SESSION_GONE' }));
  });
});

function piecesOf(pieceBytes: number): Splitter {
  return (bytes) => {
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
    return pieces;
  };
}
