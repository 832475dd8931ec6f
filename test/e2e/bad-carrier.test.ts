/**
 * Malformed frames at the agents' door: the session ends with a code, the relay goes on, and a tunnel beside it, with a
 * WebSocket open all the time, notices nothing.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startOrigin } from '../harness/origin.ts';
import { openSockets, residentBytes } from '../harness/process-usage.ts';
import { seededRandom } from '../harness/random.ts';
import {
  CHALLENGE,
  CLOSE,
  HELLO,
  MESSAGE,
  OPEN,
  PING,
  PONG,
  RESET,
  REFUSED,
  type RawCarrier,
  dialCarrier,
  frame,
} from '../harness/raw-carrier.ts';
import { askOnce, connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import { sceneOfFile } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { type LongVisit, visitWebSocket } from '../harness/visits.ts';

const MIB = 1024 * 1024;
const PROTOCOL_ERROR = 2;
const FLOW_CONTROL = 4;

const scene = sceneOfFile(startOrigin, { relay: { config: { limits: { handshake_timeout: '1s' } } } });
let bystander: LongVisit;
let mallory: string;

beforeAll(async () => {
  mallory = await scene.stage.relay.addToken('mallory');
  bystander = await visitWebSocket(scene.stage.url);
});
afterAll(async () => {
  await bystander?.stop();
});
afterEach(async () => {
  expect((await askOnce(scene.stage.url, getRequest(scene.stage.url, '/size/100'))).body.length).toBe(100);
  await bystander.untilCount(bystander.count + 10);
  expect(scene.stage.relay.program.exit).toBeUndefined();
});

const u32 = (value: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
};
const u64 = (value: bigint): Buffer => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(value);
  return out;
};
const opening = (tunnel: number, block: string): Buffer =>
  Buffer.concat([Buffer.from([1]), u32(tunnel), Buffer.from(block, 'latin1')]);

async function loggedIn(): Promise<RawCarrier> {
  const carrier = await dialCarrier(scene.stage.port);
  await carrier.logIn(mallory);
  return carrier;
}

/** The relay's CLOSE and the code in it. */
async function closeCode(carrier: RawCarrier): Promise<number> {
  const { payload } = await carrier.nextOf(CLOSE);
  await carrier.wire.untilEnded();
  return payload.readUInt16BE(0);
}

describe('before the hello', () => {
  const cases: readonly [string, (carrier: RawCarrier) => Buffer][] = [
    ['noise', () => randomBytes(4000)],
    ['another request', () => Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['a frame of the session', () => frame(PING, Buffer.alloc(8))],
    ['a hello that is not JSON', () => frame(HELLO, 'not json')],
    ['a hello that is a list', () => frame(HELLO, '[]')],
    ['a hello without a session', () => frame(HELLO, '{"mode":"create","version":1}')],
    [
      'a hello of another shape',
      (carrier) => frame(HELLO, JSON.stringify({ ...carrier.hello(mallory), session: { length: 16 } })),
    ],
    [
      'a hello in another mode',
      (carrier) => frame(HELLO, JSON.stringify(carrier.hello(mallory, { mode: '__proto__' }))),
    ],
    [
      'a resume of nothing',
      () =>
        frame(
          HELLO,
          JSON.stringify({
            mode: 'resume',
            version: 1,
            session: randomBytes(16).toString('base64url'),
            lane: 0,
            epoch: 1,
            received: 0,
            proof: 'x',
            software: 's',
          }),
        ),
    ],
    [
      'a lane far out',
      () =>
        frame(
          HELLO,
          JSON.stringify({
            mode: 'resume',
            version: 1,
            session: randomBytes(16).toString('base64url'),
            lane: 1e9,
            epoch: 1,
            received: 0,
            proof: 'x',
            software: 's',
          }),
        ),
    ],
    ['a frame too large for a hello', () => frame(HELLO, Buffer.alloc(60_000, 0x20))],
    [
      'bytes behind the hello',
      (carrier) => Buffer.concat([frame(HELLO, JSON.stringify(carrier.hello(mallory))), frame(PING, Buffer.alloc(8))]),
    ],
  ];
  it.each(cases)('%s is refused with a code', async (_what, bytes) => {
    await using carrier = await dialCarrier(scene.stage.port);
    await carrier.nextOf(CHALLENGE);
    await carrier.wire.send(bytes(carrier));
    const refused = JSON.parse((await carrier.nextOf(REFUSED)).payload.toString()) as { code: string };
    expect(refused.code).toMatch(/^(PROTOCOL_ERROR|SESSION_GONE)$/);
    await carrier.wire.untilEnded();
  });

  it('a version of the future is refused by name', async () => {
    await using carrier = await dialCarrier(scene.stage.port);
    await carrier.nextOf(CHALLENGE);
    await carrier.send(HELLO, JSON.stringify(carrier.hello(mallory, { version: 99 })));
    expect(JSON.parse((await carrier.nextOf(REFUSED)).payload.toString())).toMatchObject({
      code: 'VERSION_UNSUPPORTED',
    });
  });

  it('silence, and half a hello, are given up in time', async () => {
    await using silent = await dialCarrier(scene.stage.port);
    await using half = await dialCarrier(scene.stage.port);
    await half.wire.send(frame(HELLO, '{}').subarray(0, 5));
    for (const carrier of [silent, half]) {
      expect(JSON.parse((await carrier.nextOf(REFUSED)).payload.toString())).toMatchObject({
        code: 'HANDSHAKE_TIMEOUT',
      });
      await carrier.wire.untilEnded();
    }
  });

  it("somebody else's session cannot be resumed, whatever the proof", async () => {
    await using owner = await loggedIn();
    await using thief = await dialCarrier(scene.stage.port);
    await thief.nextOf(CHALLENGE);
    await thief.send(
      HELLO,
      JSON.stringify({
        mode: 'resume',
        version: 1,
        session: owner.session,
        lane: 0,
        epoch: 5,
        received: 0,
        proof: randomBytes(32).toString('base64url'),
        software: 's',
      }),
    );
    const refused = JSON.parse((await thief.nextOf(REFUSED)).payload.toString()) as { code: string };
    expect(refused.code).toMatch(/^(SESSION_GONE|PROTOCOL_ERROR|TOKEN_INVALID)$/);
    await owner.send(PING, u64(7n));
    expect((await owner.nextOf(PONG)).payload).toEqual(u64(7n));
  });
});

describe('after the welcome', () => {
  const cases: readonly [string, Buffer, number][] = [
    ['an unknown type', frame(0x30, 'x'), PROTOCOL_ERROR],
    ['an undefined flag', frame(PING, u64(1n), 0, 0x80), PROTOCOL_ERROR],
    ['a ping of the wrong size', frame(PING, 'abc'), PROTOCOL_ERROR],
    ['a handshake frame again', frame(HELLO, '{}'), PROTOCOL_ERROR],
    ['a message that is not JSON', frame(MESSAGE, '{{{'), PROTOCOL_ERROR],
    ['a message that is a number', frame(MESSAGE, '17'), PROTOCOL_ERROR],
    ['a claim without an id', frame(MESSAGE, '{"type":"claim","protocol":"http"}'), PROTOCOL_ERROR],
    ['a claim with a huge id', frame(MESSAGE, '{"type":"claim","protocol":"http","id":1e300}'), PROTOCOL_ERROR],
    ['an acknowledgement of bytes never sent', frame(0x41, u64(1_000_000_000n)), PROTOCOL_ERROR],
    ['an acknowledgement past 2^53', frame(0x41, u64(0xffff_ffff_ffff_ffffn)), PROTOCOL_ERROR],
  ];
  it.each(cases)('%s ends the session with its code', async (_what, bytes, code) => {
    await using carrier = await loggedIn();
    await carrier.wire.send(bytes);
    expect(await closeCode(carrier)).toBe(code);
  });

  it('an unknown type that may be skipped is skipped, and so is an unknown message', async () => {
    await using carrier = await loggedIn();
    await carrier.send(0xb0, randomBytes(5000));
    await carrier.send(MESSAGE, '{"type":"from-the-future","id":1}');
    await carrier.send(PING, u64(42n));
    expect((await carrier.nextOf(PONG)).payload).toEqual(u64(42n));
  });

  it('frames for streams that are no more are ignored, whatever they say', async () => {
    await using carrier = await loggedIn();
    for (const type of [0x02, 0x03, 0x04]) await carrier.send(type, 'x', 9999, 1).catch(() => undefined);
    await carrier.send(RESET, Buffer.from([0, 1]), 9999);
    await carrier.send(0x06, u64(5n), 9999);
    await carrier.send(0x03, 'on the session itself', 0);
    await carrier.send(PING, u64(77n));
    // Ignored or ended with a code, but nothing worse.
    let seen = await carrier.next();
    while (seen.type !== PONG && seen.type !== CLOSE) seen = await carrier.next();
    expect(seen.payload.subarray(0, 2)).toEqual(
      seen.type === PONG ? u64(77n).subarray(0, 2) : Buffer.from([0, PROTOCOL_ERROR]),
    );
  });

  it('an agent cannot open streams into the relay', async () => {
    await using carrier = await loggedIn();
    await carrier.send(OPEN, opening(1, 'GET\0/from-mallory\0http\0x\x001.2.3.4\0n\0'), 2, 1);
    let seen = await carrier.next();
    while (seen.type !== RESET && seen.type !== CLOSE) seen = await carrier.next();
    expect(seen.payload.readUInt16BE(0)).not.toBe(0);
    const { length } = scene.origin.seen;
    expect(scene.origin.seen.slice(length - 3)).not.toContain('GET /from-mallory');
  });

  it('an answer with line breaks in it becomes 502 at the visitor, not lines', async () => {
    await using carrier = await loggedIn();
    const url = await carrier.claim('mallorys');
    await using visitor = await connectVisitor(url);
    await visitor.send(getRequest(url));
    const { stream } = await carrier.nextOf(OPEN);
    await carrier.send(0x02, '200\0OK\0X-A: b\r\n\r\nX-Injected: yes\r\n', stream, 1);
    const answer = await readAnswer(visitor);
    expect(answer.status).toBe(502);
    expect(answer.head).not.toContain('X-Injected');
  });

  it.each([
    ['no status', 'abc\0OK\0'],
    ['half a field', '200\0OK\0name'],
    ['status 99', '99\0OK\0'],
    ['a 101 nobody asked for', '101\0Switching\0Upgrade: x\r\n'],
    ['a bare line feed', '200\0OK\0a: b\nc: d\r\n'],
    ['a length that is not one', '200\0OK\0Content-Length: -5\r\n'],
  ])('a head with %s becomes 502', async (_what, block) => {
    await using carrier = await loggedIn();
    const url = await carrier.claim('mallorys');
    await using visitor = await connectVisitor(url);
    await visitor.send(getRequest(url));
    const { stream } = await carrier.nextOf(OPEN);
    await carrier.send(0x02, Buffer.from(block, 'latin1'), stream, 1);
    expect((await readAnswer(visitor)).status).toBe(502);
  });

  it('more data than credit ends the session with FLOW_CONTROL', async () => {
    await using carrier = await loggedIn();
    const url = await carrier.claim('mallorys');
    await using visitor = await connectVisitor(url);
    visitor.socket.once('data', () => visitor.pause());
    await visitor.send(getRequest(url));
    const { stream } = await carrier.nextOf(OPEN);
    await carrier.send(0x02, '200\0OK\0', stream);
    const codes: number[] = [];
    const reading = (async () => {
      for (;;) {
        const seen = await carrier.next();
        if (seen.type === CLOSE || seen.type === RESET) return void codes.push(seen.payload.readUInt16BE(0));
      }
    })();
    const piece = frame(0x03, Buffer.alloc(16_000, 1), stream);
    for (let i = 0; i < 4000 && codes.length === 0 && !carrier.wire.closed; i++)
      await carrier.wire.send(piece).catch(() => undefined);
    await reading;
    expect(codes).toEqual([FLOW_CONTROL]);
  });

  it('floods cost the relay little: pings, claims, releases, credits', async () => {
    const before = residentBytes(scene.stage.relay.pid);
    await using carrier = await loggedIn();
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame(PING, u64(1n))));
    // Nobody reads the pongs: what the relay owes must stay bounded, or the session must end.
    carrier.wire.pause();
    for (let i = 0; i < 100 && !carrier.wire.closed; i++) carrier.wire.socket.write(pings);
    await using other = await loggedIn();
    for (let i = 1; i <= 20_000; i++) {
      if (other.wire.closed) break;
      other.wire.socket.write(
        frame(MESSAGE, `{"type":"claim","id":${i},"protocol":"http","name":"mallory-${i % 50}"}`),
      );
      other.wire.take();
    }
    await until(
      'the relay is still with us',
      async () => (await askOnce(scene.stage.url, getRequest(scene.stage.url, '/size/1'))).status === 200,
    );
    expect((residentBytes(scene.stage.relay.pid) - before) / MIB).toBeLessThan(150);
  });
});

describe('noise', () => {
  it('in 150 sessions, seeded, harms nobody and leaves no socket', async () => {
    const sockets = openSockets(scene.stage.relay.pid);
    for (let seed = 1; seed <= 150; seed++) {
      const random = seededRandom(seed);
      const carrier = await loggedIn();
      const types = [
        0x01,
        0x02,
        0x03,
        0x04,
        0x05,
        0x06,
        0x07,
        0x08,
        0x41,
        0x42,
        0x43,
        0x44,
        0x49,
        0x80,
        0xc1,
        random.between(0, 255),
      ];
      for (let i = 0; i < 20; i++) {
        const payload = random.bytes(random.between(0, 40));
        const stream = random.between(0, 4);
        const type = types[random.between(0, types.length - 1)] ?? 0;
        carrier.wire.socket.write(frame(type, payload, stream, random.between(0, 9) === 0 ? 1 : 0));
      }
      if (seed % 3 === 0) carrier.wire.reset();
      else carrier.wire.end();
      await carrier.close();
    }
    await until('sockets are back', () => openSockets(scene.stage.relay.pid) <= sockets + 2);
  });
});

describe('other things at the door', () => {
  it('a plain GET is told what to upgrade to', async () => {
    const answer = await askOnce(
      scene.stage.relay.url,
      `GET /.well-known/porthole HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`,
    );
    expect(answer.status).toBeGreaterThanOrEqual(400);
  });

  it("a carrier's path at a tunnel's name belongs to the tunnel", async () => {
    const answer = await askOnce(scene.stage.url, getRequest(scene.stage.url, '/.well-known/porthole'));
    expect(answer.body.toString()).toContain('you asked for /.well-known/porthole');
  });
});
