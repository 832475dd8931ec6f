import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DoorFixture } from '../../../../test/contracts/edge-fixture.ts';
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  fieldBlock,
  frameOf,
  RawH2Visitor,
  rstPayload,
} from '../../../../test/harness/raw-h2.ts';

let fixture: DoorFixture;
let visitor: RawH2Visitor;

beforeEach(async () => {
  fixture = await DoorFixture.start();
  visitor = await RawH2Visitor.dial(fixture.port);
});
afterEach(async () => {
  visitor.socket.destroy();
  await fixture.close();
});

const HOST = { ':authority': 'a.test' };
const NO_ERROR = 0;
const FLOW_CONTROL_ERROR = 3;
const CANCEL = 8;
const ENHANCE_YOUR_CALM = 11;

/** Somebody else is served as if nothing were. */
async function othersAreServed(): Promise<void> {
  const other = await fixture.dial();
  fixture.target.script = (stream) => stream.answer(200, ['Content-Length', '2'], 'ok');
  other.send('GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n');
  expect(await other.untilEnd()).toMatch(/ok$/);
}

describe('frame by frame', () => {
  it.each([
    ['CANCEL', CANCEL],
    ['NO_ERROR', NO_ERROR],
  ])('a reset with %s by the visitor in the middle of his body is no end of it', async (_name, code) => {
    visitor.request(1, { ...HOST, ':method': 'POST' }, 0);
    visitor.send(FRAME.data, 0, 1, Buffer.from('abc'));
    const stream = await fixture.target.next();
    await stream.untilBody('abc');
    visitor.send(FRAME.rstStream, 0, 1, rstPayload(code));
    expect(await stream.untilReset()).toBe('CANCELLED');
    expect(stream.ended).toBe(false);
  });

  it('a visitor who closes his side while nothing moves is gone, and the target hears of it', async () => {
    visitor.request(1, HOST);
    const stream = await fixture.target.next();
    stream.head(200, ['Content-Type', 'text/event-stream']);
    await visitor.until(() => visitor.of(FRAME.headers, 1).length > 0);
    visitor.socket.end();
    expect(await stream.untilReset()).toBe('CANCELLED');
    await visitor.untilClosed();
  });

  it.each(['CANCELLED', 'ORIGIN_TRUNCATED', 'SESSION_LOST'] as const)(
    'a target that breaks off with %s gives RST_STREAM and never END_STREAM',
    async (code) => {
      visitor.request(1, HOST);
      const stream = await fixture.target.next();
      stream.head(200).data('half');
      await visitor.until(() => visitor.of(FRAME.data, 1).length > 0);
      stream.data('more').abort(code);
      await visitor.until(() => visitor.of(FRAME.rstStream, 1).length > 0);
      expect(visitor.of(FRAME.rstStream, 1)[0]?.payload.readUInt32BE()).toBe(code === 'CANCELLED' ? CANCEL : 2);
      expect(
        visitor.frames.filter(({ type, flags, id }) => id === 1 && type < 2 && (flags & END_STREAM) !== 0),
      ).toEqual([]);
    },
  );

  it('a WebSocket that is cut gets RST_STREAM and never END_STREAM', async () => {
    visitor.request(1, { ...HOST, ':method': 'CONNECT', ':protocol': 'websocket' }, 0);
    const stream = await fixture.target.next();
    const { fields } = stream.request;
    const key = fields[fields.indexOf('Sec-WebSocket-Key') + 1] ?? '';
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    stream.head(101, ['Upgrade', 'websocket', 'Sec-WebSocket-Accept', accept]).data('half');
    await visitor.until(() => visitor.of(FRAME.data, 1).length > 0);
    stream.abort('ORIGIN_TRUNCATED');
    await visitor.until(() => visitor.of(FRAME.rstStream, 1).length > 0);
    expect(visitor.frames.filter(({ type, flags, id }) => id === 1 && type < 2 && (flags & END_STREAM) !== 0)).toEqual(
      [],
    );
  });

  it.each(['abc', 'abcdefgh'])(
    'a body that is not as long as its content-length is never passed on as whole: %s',
    async (body) => {
      visitor.request(1, { ...HOST, ':method': 'POST', 'content-length': '5' }, 0);
      visitor.send(FRAME.data, END_STREAM, 1, Buffer.from(body));
      const stream = await fixture.target.next();
      await stream.untilReset();
      expect(stream.ended).toBe(false);
      await visitor.until(() => visitor.of(FRAME.rstStream, 1).length + visitor.of(FRAME.goaway).length > 0);
    },
  );

  it('fields that speak about a connection, upper case and broken pseudo-headers are refused', async () => {
    const bad = [
      { connection: 'close' },
      { 'transfer-encoding': 'chunked' },
      { te: 'gzip' },
      { 'X-Upper': '1' },
      { ':path': 'no-slash' },
      { ':scheme2': 'x' },
    ];
    for (const [index, fields] of bad.entries()) {
      const id = 1 + 2 * index;
      visitor.request(id, { ...HOST, ...fields });
      await visitor.until(() => visitor.of(FRAME.rstStream, id).length + visitor.of(FRAME.headers, id).length > 0);
    }
    expect(fixture.target.streams).toHaveLength(0);
  });
});

describe('floods', () => {
  it('rapid resets end with GOAWAY, and the target hears of no more than were let in', async () => {
    const block = fieldBlock(HOST);
    for (let id = 1; id < 20_000 && !visitor.closed; id += 2) {
      visitor.socket.write(
        Buffer.concat([
          frameOf(FRAME.headers, END_HEADERS | END_STREAM, id, block),
          frameOf(FRAME.rstStream, 0, id, rstPayload(CANCEL)),
        ]),
      );
      if (id % 512 === 1) await new Promise((resolve) => setImmediate(resolve));
    }
    await visitor.untilClosed();
    expect(visitor.of(FRAME.goaway).length).toBeGreaterThan(0);
    expect(fixture.target.streams.length).toBeLessThan(3_000);
    await othersAreServed();
  });

  it('CONTINUATION without end is cut off', async () => {
    visitor.send(FRAME.headers, END_STREAM, 1, fieldBlock(HOST));
    const piece = fieldBlock({ 'x-more': 'y'.repeat(1_000) }).subarray(-1_009);
    for (let i = 0; i < 10_000 && !visitor.closed; i++) {
      visitor.send(FRAME.continuation, 0, 1, piece);
      if (i % 64 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await visitor.untilClosed();
    expect(fixture.target.streams).toHaveLength(0);
    await othersAreServed();
  });

  it('settings and pings whose answers nobody reads are cut off', async () => {
    for (const [type, payload] of [
      [FRAME.settings, Buffer.from([0, 4, 0, 1, 0, 0])],
      [FRAME.ping, Buffer.alloc(8)],
    ] as const) {
      const flooding = await RawH2Visitor.dial(fixture.port);
      await flooding.until(() => flooding.of(FRAME.settings).length > 0);
      flooding.socket.pause();
      const many = Buffer.concat(Array.from({ length: 1_000 }, () => frameOf(type, 0, 0, payload)));
      for (let i = 0; i < 20_000 && fixture.parts.counters.visitorsOpen > 1; i++) {
        flooding.socket.write(many);
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(fixture.parts.counters.visitorsOpen).toBe(1);
      flooding.socket.destroy();
    }
    await othersAreServed();
  });

  it('more streams than announced are refused, those within go on', async () => {
    fixture.target.script = () => undefined;
    for (let i = 0; i < 300; i++) visitor.request(1 + 2 * i, HOST);
    await visitor.until(() => visitor.of(FRAME.rstStream).length + visitor.of(FRAME.goaway).length > 0);
    expect(fixture.target.streams.length).toBeLessThanOrEqual(256);
    await othersAreServed();
  });
});

describe('targets that do not read', () => {
  const KIBIBYTE = 1024;
  const piece = Buffer.alloc(16 * KIBIBYTE);

  /** Body bytes on a stream, all at once, whatever its window. */
  const pour = (id: number, bytes: number): void => {
    const frame = frameOf(FRAME.data, 0, id, piece);
    visitor.socket.write(Buffer.concat(Array.from({ length: bytes / piece.length }, () => frame)));
  };
  const post = (id: number): void => visitor.request(id, { ...HOST, ':method': 'POST' }, 0);
  const resetCodes = (): number[] => visitor.of(FRAME.rstStream).map(({ payload }) => payload.readUInt32BE());

  beforeEach(async () => {
    await visitor.until(() => visitor.of(FRAME.settings).length > 0);
  });

  it.each([1, 8, 32])('make %i uploads wait with a window each, and who sends more is cut off', async (count) => {
    fixture.target.script = (stream) => (stream.highWaterBytes = 1);
    for (let id = 1; id < 2 * count; id += 2) {
      post(id);
      pour(id, 256 * KIBIBYTE);
      const stream = await fixture.target.next();
      await stream.until(() => stream.heldBytes > 0);
    }
    pour(1, 256 * KIBIBYTE);
    await visitor.untilClosed();
    expect(visitor.of(FRAME.goaway).map(({ payload }) => payload.readUInt32BE(4))).toEqual([FLOW_CONTROL_ERROR]);
    // What has been taken for the target is what it was given before it said stop.
    for (const { heldBytes } of fixture.target.streams) expect(heldBytes).toBeLessThanOrEqual(64 * KIBIBYTE);
    await othersAreServed();
  });

  it('do not make the relay hold all that windows would allow that have grown before', async () => {
    post(1);
    const fast = await fixture.target.next();
    for (let sent = 0; sent < 4_096 * KIBIBYTE; ) {
      pour(1, 128 * KIBIBYTE);
      sent += 128 * KIBIBYTE;
      await fast.until(() => fast.heldBytes >= sent);
    }
    fixture.target.script = (stream) => (stream.highWaterBytes = 1);
    for (let id = 3; id < 83; id += 2) {
      post(id);
      pour(id, 2_048 * KIBIBYTE);
    }
    // 80 MiB are on their way, 64 may be held.
    await visitor.until(() => resetCodes().length >= 8);
    expect(new Set(resetCodes())).toEqual(new Set([ENHANCE_YOUR_CALM]));
    await othersAreServed();
  });
});
