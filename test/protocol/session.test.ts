import { encodeFrame, FRAME, INITIAL_WINDOW_BYTES, PortholeError, writeU64 } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { SessionPair } from './session-pair.ts';

function bytesOf(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index += 1) bytes[index] = (index * 31 + seed * 17 + (index >>> 8)) & 0xff;
  return bytes;
}

describe('an exchange', () => {
  it('crosses with head, body, trailers and both ends', () => {
    const pair = new SessionPair();
    const { stream, sink } = pair.relay.open('POST\0/x', false);
    stream.write(Buffer.from('request body'));
    stream.end();
    pair.settle();
    const at = pair.agent.opened[0];
    expect(at?.opening).toEqual({ kind: 1, tunnelId: 7, block: 'POST\0/x' });
    expect(at?.sink.bytes.toString()).toBe('request body');
    expect(at?.sink.ended).toBe(true);
    at?.stream.sendHead('103\0Early Hints');
    at?.stream.sendHead('200\0OK');
    at?.stream.write(Buffer.from('answer'));
    at?.stream.sendTrailers('x-sum\0' + '1');
    at?.stream.end();
    pair.settle();
    expect(sink.heads).toEqual(['103\0Early Hints', '200\0OK']);
    expect(sink.bytes.toString()).toBe('answer');
    expect(sink.trailers).toBe('x-sum\x001');
    expect(sink.ended).toBe(true);
    expect(pair.relay.session.streamCount).toBe(0);
    expect(pair.agent.session.streamCount).toBe(0);
  });

  it('takes one frame for a request without a body, and marks the end on the last frame of an answer', () => {
    const pair = new SessionPair();
    pair.settle();
    pair.relay.open('GET\0/', true);
    const frames = Buffer.concat(pair.relay.lane.pull(65_536, false));
    expect(frames.length).toBe(8 + 5 + 5);
    expect(frames[0]).toBe(FRAME.open);
    expect(frames[1]).toBe(1);
  });

  it('ends both sides when reset, once', () => {
    const pair = new SessionPair();
    const { stream, sink } = pair.relay.open('GET\0/', false);
    pair.settle();
    const at = pair.agent.opened[0];
    at?.stream.reset('ORIGIN_REFUSED', '127.0.0.1:3000');
    at?.stream.reset('INTERNAL');
    stream.write(Buffer.from('too late'));
    pair.settle();
    expect(sink.reset).toEqual({ code: 'ORIGIN_REFUSED', detail: '127.0.0.1:3000' });
    expect(at?.sink.reset).toBeUndefined();
    expect(pair.relay.session.streamCount + pair.agent.session.streamCount).toBe(0);
  });

  it('says nothing about a stream that was reset before it was ever sent', () => {
    const pair = new SessionPair();
    pair.settle();
    pair.relay.open('GET\0/', true).stream.reset('CANCELLED');
    pair.settle();
    expect(pair.agent.opened).toEqual([]);
    expect(pair.relay.session.streamCount).toBe(0);
  });

  it('keeps half-close: one end goes on sending after the other has ended', () => {
    const pair = new SessionPair();
    const { stream, sink } = pair.relay.open('raw', false, 2);
    stream.write(Buffer.from('question'));
    stream.end();
    pair.settle();
    const at = pair.agent.opened[0];
    expect(at?.sink.ended).toBe(true);
    for (let index = 0; index < 5; index += 1) {
      at?.stream.write(Buffer.from(`answer ${index};`));
      pair.settle();
    }
    expect(sink.ended).toBe(false);
    at?.stream.end();
    pair.settle();
    expect(sink.bytes.toString()).toBe('answer 0;answer 1;answer 2;answer 3;answer 4;');
    expect(sink.ended).toBe(true);
  });
});

describe('credit', () => {
  it('stops a sender at the window of a reader that consumes nothing, and never harms another stream', () => {
    const pair = new SessionPair();
    pair.agent.onOpened = (_stream, sink, opening) => {
      sink.consumes = opening.block !== 'slow';
    };
    const slow = pair.relay.open('slow', false);
    const live = pair.relay.open('live', false);
    for (let index = 0; index < 40; index += 1) {
      slow.stream.write(bytesOf(65_536));
      live.stream.write(bytesOf(65_536));
      pair.settle();
    }
    expect(pair.agent.opened[0]?.sink.length).toBe(INITIAL_WINDOW_BYTES);
    expect(pair.agent.opened[1]?.sink.length).toBe(40 * 65_536);
    expect(slow.stream.write(Buffer.from('x'))).toBe(false);
  });

  it('lets a writer go on when the reader has caught up', () => {
    const pair = new SessionPair();
    pair.agent.onOpened = (_stream, sink) => {
      sink.consumes = false;
    };
    const { stream, sink } = pair.relay.open('x', false);
    while (stream.write(bytesOf(32_768)));
    pair.settle();
    while (stream.write(bytesOf(32_768)));
    pair.settle();
    const before = sink.writable;
    while (stream.write(bytesOf(32_768)) && pair.settle() > -1);
    const at = pair.agent.opened[0];
    at?.stream.consumed(at.sink.length);
    pair.settle();
    expect(sink.writable).toBeGreaterThan(before);
  });

  it('ends the session of a peer that sends more than it may', () => {
    const pair = new SessionPair();
    pair.agent.onOpened = (_stream, sink) => {
      sink.consumes = false;
    };
    pair.relay.open('x', false);
    pair.settle();
    const frame = encodeFrame(FRAME.data, 1, Buffer.alloc(65_535));
    expect(() => {
      for (let index = 0; index < 5; index += 1) pair.agent.lane.receive(frame);
    }).toThrow(expect.objectContaining({ code: 'FLOW_CONTROL' }));
  });
});

describe('a peer that breaks the rules', () => {
  const u64 = (value: number): Buffer => {
    const bytes = Buffer.alloc(8);
    writeU64(bytes, 0, value);
    return bytes;
  };
  const cases: [string, Buffer][] = [
    ['an unknown frame type', encodeFrame(0x3f, 0, Buffer.alloc(0))],
    ['an undefined flag', encodeFrame(FRAME.data, 1, Buffer.from('x'), 0x80)],
    ['an acknowledgement of what was never sent', encodeFrame(FRAME.ack, 0, u64(1_000_000))],
    ['an acknowledgement beyond 2^53', encodeFrame(FRAME.ack, 0, Buffer.alloc(8, 0xff))],
    ['a stream opened with our own parity', encodeFrame(FRAME.open, 2, Buffer.from([1, 0, 0, 0, 7]))],
    ['stream 0 opened', encodeFrame(FRAME.open, 0, Buffer.from([1, 0, 0, 0, 7]))],
    ['an unknown stream kind', encodeFrame(FRAME.open, 3, Buffer.from([9, 0, 0, 0, 7]))],
    ['a hello after the handshake', encodeFrame(FRAME.hello, 0, Buffer.from('{}'))],
    ['a message that is not JSON', encodeFrame(FRAME.message, 0, Buffer.from('{{'))],
    ['a message without its members', encodeFrame(FRAME.message, 0, Buffer.from('{"type":"claim"}'))],
    ['an OPEN that is too short', encodeFrame(FRAME.open, 3, Buffer.from([1, 0]))],
    ['a CREDIT of the wrong size', encodeFrame(FRAME.credit, 3, Buffer.from([1, 0]))],
  ];
  it.each(cases)('is found out: %s', (_name, frame) => {
    const pair = new SessionPair();
    pair.settle();
    expect(() => pair.agent.lane.receive(frame)).toThrow(PortholeError);
  });

  it('may use frame types of later releases that are flagged as skippable', () => {
    const pair = new SessionPair();
    pair.settle();
    pair.agent.lane.receive(encodeFrame(0xc1, 5, Buffer.from('later')));
    pair.agent.lane.receive(encodeFrame(FRAME.open, 1, Buffer.from([1, 0, 0, 0, 7])));
    expect(pair.agent.opened.length).toBe(1);
  });

  it('cannot be made of a head that is too long for its frame', () => {
    const pair = new SessionPair();
    const most = 'x'.repeat(65_530);
    pair.relay.open(most, true);
    expect(() => pair.relay.open(`${most}x`, true)).toThrow(expect.objectContaining({ code: 'HEAD_TOO_LARGE' }));
    pair.settle();
    expect(pair.agent.opened.map(({ opening }) => opening.block.length)).toEqual([65_530]);
    expect(pair.relay.session.streamCount).toBe(1);
  });

  it('cannot open more streams than the limit', () => {
    const pair = new SessionPair(2);
    pair.settle();
    for (const id of [1, 3, 5]) pair.agent.lane.receive(encodeFrame(FRAME.open, id, Buffer.from([1, 0, 0, 0, 7])));
    expect(pair.agent.opened.length).toBe(2);
    expect(pair.agent.session.streamCount).toBe(2);
  });
});

describe('a sink that throws', () => {
  it('loses its own stream only', () => {
    const pair = new SessionPair();
    pair.agent.onOpened = (_stream, sink, opening) => {
      if (opening.block === 'bad')
        sink.onData = () => {
          throw new Error('bug');
        };
    };
    const bad = pair.relay.open('bad', false);
    const good = pair.relay.open('good', false);
    bad.stream.write(Buffer.from('x'));
    good.stream.write(Buffer.from('y'));
    pair.settle();
    expect(pair.agent.faults.length).toBe(1);
    expect(bad.sink.reset?.code).toBe('INTERNAL');
    expect(good.sink.reset).toBeUndefined();
    expect(pair.agent.opened[1]?.sink.bytes.toString()).toBe('y');
  });
});

describe('the end of a session', () => {
  it('resets every stream with its code and refuses new ones', () => {
    const pair = new SessionPair();
    const { sink } = pair.relay.open('x', false);
    pair.settle();
    const farewell = pair.agent.session.close('GOING_AWAY', 'bye');
    pair.relay.lane.receive(farewell);
    expect(pair.relay.closed).toEqual({ code: 'GOING_AWAY', detail: 'bye' });
    expect(sink.reset).toEqual({ code: 'GOING_AWAY', detail: 'bye' });
    expect(() => pair.relay.open('y', true)).toThrow(PortholeError);
    expect(pair.relay.session.streamCount).toBe(0);
  });

  it('says of a stream whose opening never left that nothing came of it, and is known before its streams hear of it', () => {
    const pair = new SessionPair();
    const { sink } = pair.relay.open('x', false);
    sink.onReset = (code) => {
      sink.reset = { code, detail: pair.relay.closed?.code ?? 'not closed yet' };
    };
    pair.relay.session.close('SESSION_LOST');
    expect(sink.reset).toEqual({ code: 'STREAM_REFUSED', detail: 'SESSION_LOST' });
  });

  it('carries go-away with the time left', () => {
    const pair = new SessionPair();
    pair.relay.session.goAway('GOING_AWAY', 30_000, 'upgrade');
    pair.settle();
    expect(pair.agent.goAways).toEqual([{ code: 'GOING_AWAY', leftMs: 30_000, detail: 'upgrade' }]);
  });
});

describe('turns', () => {
  it('lets a small message pass a bulk transfer that waits', () => {
    const pair = new SessionPair();
    pair.settle();
    const bulk = pair.relay.open('bulk', false);
    for (let index = 0; index < 64; index += 1) bulk.stream.write(bytesOf(65_536));
    pair.turn();
    const small = pair.relay.open('small', false);
    small.stream.write(Buffer.from('urgent'));
    const batch = Buffer.concat(pair.relay.lane.pull(65_536, false));
    expect(batch.indexOf('urgent')).toBeGreaterThan(-1);
    expect(batch.indexOf('urgent')).toBeLessThan(1_024);
  });

  it('keeps the queue of a bulk transfer short while somebody else has small things to say, on a short line', () => {
    const pair = new SessionPair();
    const bulk = pair.relay.open('bulk', false);
    const small = pair.relay.open('small', false);
    const chunk = bytesOf(65_536);
    const onTheLine: Buffer[] = [];
    let answers: Buffer[] = [];
    /** Most bytes under way in the second half of `forMs`, on a line that takes eight chunks a millisecond. */
    const run = (forMs: number, isShared: boolean): number => {
      let most = 0;
      for (let ms = 0; ms < forMs; ms += 1) {
        pair.time += 1;
        for (const answer of answers) pair.relay.lane.receive(answer);
        while (bulk.stream.write(chunk));
        if (isShared && ms % 10 === 0) small.stream.write(bytesOf(64));
        // Further transfers, which have little to say at first.
        if (isShared && ms % 10 === 5) {
          const next = pair.relay.open('next', false);
          for (let pieces = 0; pieces < 3; pieces += 1) next.stream.write(chunk);
          next.stream.end();
        }
        for (let pulls = 0; pulls < 64 && pair.relay.lane.wantsWrite; pulls += 1) {
          onTheLine.push(...pair.relay.lane.pull(262_144, false));
          while (bulk.stream.write(chunk));
        }
        if (ms > forMs / 2) most = Math.max(most, pair.relay.lane.unackedBytes);
        let room = 8 * chunk.length;
        while (onTheLine.length > 0 && room > 0) {
          const bytes = onTheLine.shift() as Buffer;
          room -= bytes.length;
          pair.agent.lane.receive(bytes);
        }
        pair.agent.lane.acknowledge();
        answers = pair.agent.lane.pull(262_144, false);
      }
      return most;
    };
    const alone = run(2_000, false);
    const shared = run(2_000, true);
    expect(shared).toBeLessThan(alone / 2);
    expect(run(2_000, false)).toBeGreaterThan(shared * 2);
  });

  it('gives bulk transfers equal shares', () => {
    const pair = new SessionPair();
    pair.settle();
    const streams = [1, 2, 3, 4].map((index) => pair.relay.open(`bulk ${index}`, false));
    for (const { stream } of streams) for (let index = 0; index < 4; index += 1) stream.write(bytesOf(65_536));
    for (let turn = 0; turn < 3; turn += 1) pair.turn();
    const lengths = pair.agent.opened.map(({ sink }) => sink.length);
    expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(2 * 16_376);
  });
});

describe('a lane whose carrier stays away', () => {
  it('has its streams ended at both ends, and can be taken up again', () => {
    const pair = new SessionPair();
    const { sink } = pair.relay.open('GET\0/', false);
    pair.settle();
    pair.relay.lane.detach();
    pair.agent.lane.detach();
    pair.relay.session.abandonStreams(pair.relay.lane, 'SESSION_LOST', 'away');
    expect(sink.reset).toEqual({ code: 'SESSION_LOST', detail: 'away' });
    expect(pair.relay.session.streamCount).toBe(0);
    pair.relay.lane.attach(pair.agent.lane.received);
    pair.agent.lane.attach(pair.relay.lane.received);
    pair.settle();
    expect(pair.agent.opened[0]?.sink.reset?.code).toBe('SESSION_LOST');
    expect(pair.agent.session.streamCount).toBe(0);
    const next = pair.relay.open('GET\0/next', true);
    pair.settle();
    pair.agent.opened[1]?.stream.end();
    pair.settle();
    expect(next.sink.ended).toBe(true);
  });
});
