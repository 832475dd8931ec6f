import { createHash } from 'node:crypto';
import * as http2 from 'node:http2';
import * as net from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DoorFixture } from '../../../../test/contracts/edge-fixture.ts';
import type { FakeStream } from '../../../../test/contracts/fake-target.ts';

let fixture: DoorFixture;
let session: http2.ClientHttp2Session;

beforeEach(async () => {
  fixture = await DoorFixture.start();
  session = dial();
});
afterEach(async () => {
  session.destroy();
  await fixture.close();
});

function dial(settings: http2.Settings = {}): http2.ClientHttp2Session {
  const opened = http2.connect(`http://a.test:${fixture.port}`, {
    createConnection: () => net.connect(fixture.port, '127.0.0.1'),
    settings,
    maxSendHeaderBlockLength: 1_000_000,
  });
  opened.on('error', () => undefined);
  return opened;
}

interface Visit {
  readonly stream: http2.ClientHttp2Stream;
  status: number;
  headers: http2.IncomingHttpHeaders;
  /** Flags of the HEADERS frame. */
  flags: number;
  interim: http2.IncomingHttpHeaders[];
  trailers: http2.IncomingHttpHeaders | undefined;
  body: string;
  ended: boolean;
  readonly headed: Promise<void>;
  readonly closed: Promise<void>;
}

function visit(headers: http2.OutgoingHttpHeaders = {}, options: http2.ClientSessionRequestOptions = {}): Visit {
  const stream = session.request({ ':authority': 'a.test', ...headers }, options);
  const headed = Promise.withResolvers<void>();
  const seen: Visit = {
    stream,
    status: 0,
    headers: {},
    flags: 0,
    interim: [],
    trailers: undefined,
    body: '',
    ended: false,
    headed: headed.promise,
    closed: new Promise((resolve) => stream.once('close', resolve)),
  };
  stream.on('headers', (interim) => seen.interim.push(interim));
  stream.on('response', (received, flags) => {
    seen.status = Number(received[':status']);
    seen.headers = received;
    seen.flags = flags;
    headed.resolve();
  });
  stream.on('trailers', (trailers) => (seen.trailers = trailers));
  stream.setEncoding('latin1');
  stream.on('data', (chunk: string) => (seen.body += chunk));
  stream.on('end', () => (seen.ended = true));
  stream.on('error', () => undefined);
  return seen;
}

const nextStream = (): Promise<FakeStream> => fixture.target.next();
const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_FLAG_END_STREAM } = http2.constants;

describe('a request over HTTP/2', () => {
  it('reaches the target as any other and is answered with its status, fields and body', async () => {
    const seen = visit({ ':path': '/a/../b?x=%20', 'x-own': ['1', '2'], cookie: ['a=1', 'b=2'] });
    const stream = await nextStream();
    expect(stream.request).toMatchObject({
      method: 'GET',
      target: '/a/../b?x=%20',
      authority: 'a.test',
      scheme: 'http',
      bodiless: true,
    });
    const { fields } = stream.request;
    expect(fields.slice(0, 2)).toEqual(['Host', 'a.test']);
    expect(fields[fields.indexOf('cookie') + 1]).toBe('a=1; b=2');
    expect(fields.slice(-2)).toEqual(['Via', '2 relay-under-test']);
    stream.answer(200, ['X-Twice', '1', 'x-twice', '2', 'Content-Length', '5', 'Connection', 'close'], 'hello');
    await seen.closed;
    expect(seen).toMatchObject({ status: 200, body: 'hello', ended: true });
    expect(seen.headers).toMatchObject({ 'x-twice': '1, 2', 'content-length': '5' });
    expect(seen.headers['connection']).toBeUndefined();
    expect(seen.headers['date']).toBeUndefined();
  });

  it('passes a body, its trailers and its end', async () => {
    const seen = visit({ ':method': 'POST' }, { endStream: false, waitForTrailers: true });
    seen.stream.on('wantTrailers', () => seen.stream.sendTrailers({ 'x-sum': '42' }));
    seen.stream.write('abc');
    const stream = await nextStream();
    expect(stream.request.bodiless).toBe(false);
    await stream.untilBody('abc');
    seen.stream.end('def');
    await stream.untilEnded();
    expect(stream.body).toBe('abcdef');
    expect(stream.trailers).toBe('x-sum\x0042');
    stream.answer(204, [], '');
    await seen.closed;
    expect(seen.status).toBe(204);
  });

  it('gets an answer without body in one frame, and trailers behind one with', async () => {
    const only = visit();
    (await nextStream()).head(200, ['grpc-status', '5']).finish();
    await only.closed;
    expect(only.flags & NGHTTP2_FLAG_END_STREAM).not.toBe(0);
    expect(only.headers['grpc-status']).toBe('5');

    const both = visit();
    (await nextStream()).head(200).data('x').sendFields(['grpc-status', '0', 'x-bin', 'AAE=']).finish();
    await both.closed;
    expect(both).toMatchObject({ body: 'x', ended: true });
    expect(both.trailers).toMatchObject({ 'grpc-status': '0', 'x-bin': 'AAE=' });

    const late = visit();
    const stream = await nextStream();
    stream.head(200).data('y');
    await late.headed;
    stream.finish();
    await late.closed;
    expect(late).toMatchObject({ body: 'y', ended: true, trailers: undefined });
  });

  it('passes interim answers and every chunk at once', async () => {
    const seen = visit();
    const stream = await nextStream();
    stream.head(103, ['Link', '</a>; rel=preload']);
    stream.head(200);
    await seen.headed;
    expect(seen.interim.map((each) => each[':status'])).toEqual([103]);
    expect(seen.ended).toBe(false);
    stream.data('one');
    await once(seen.stream, 'data');
    stream.data('two').finish();
    await seen.closed;
    expect(seen.body).toBe('onetwo');
  });

  it('is not ended but reset when the target breaks off', async () => {
    const seen = visit();
    const stream = await nextStream();
    stream.head(200).data('half');
    await seen.headed;
    stream.abort('ORIGIN_TRUNCATED');
    await seen.closed;
    expect(seen.stream.rstCode).toBe(NGHTTP2_INTERNAL_ERROR);

    const cancelled = visit();
    const other = await nextStream();
    other.head(200).data('half');
    await cancelled.headed;
    other.abort('CANCELLED');
    await cancelled.closed;
    expect(cancelled.stream.rstCode).toBe(NGHTTP2_CANCEL);

    const short = visit();
    (await nextStream()).answer(200, ['content-length', '10'], 'short');
    await short.closed;
    expect(short.stream.rstCode).toBe(NGHTTP2_INTERNAL_ERROR);
  });

  it('cancels the stream when the visitor resets his, before and after the answer began', async () => {
    const early = visit({ ':method': 'POST' }, { endStream: false });
    early.stream.write('abc');
    const stream = await nextStream();
    await stream.untilBody('abc');
    early.stream.close(NGHTTP2_CANCEL);
    expect(await stream.untilReset()).toBe('CANCELLED');

    const late = visit();
    const second = await nextStream();
    second.head(200).data('x');
    await late.headed;
    late.stream.close(NGHTTP2_CANCEL);
    expect(await second.untilReset()).toBe('CANCELLED');
    expect(fixture.parts.counters.abortsTotal).toBe(2);
  });

  it('is told not to go on when the target refused its body', async () => {
    const seen = visit({ ':method': 'POST' }, { endStream: false });
    seen.stream.write('abc');
    (await nextStream()).answer(413, [], 'too big');
    await seen.closed;
    expect(seen).toMatchObject({ status: 413, body: 'too big', ended: true });
    expect(seen.stream.rstCode).toBe(http2.constants.NGHTTP2_NO_ERROR);
  });

  it('is answered by the relay itself where there is no tunnel, and in the words of gRPC for gRPC', async () => {
    const seen = visit({ ':authority': 'b.test', accept: 'application/json' });
    await seen.closed;
    expect(seen.status).toBe(404);
    expect(seen.headers['porthole-error']).toBe('TUNNEL_NOT_FOUND');
    expect(JSON.parse(seen.body)).toMatchObject({ error: { code: 'TUNNEL_NOT_FOUND' } });

    const call = visit({
      ':authority': 'b.test',
      ':method': 'POST',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    await call.closed;
    expect(call.flags & NGHTTP2_FLAG_END_STREAM).not.toBe(0);
    expect(call.headers).toMatchObject({ ':status': 200, 'grpc-status': '12', 'porthole-error': 'TUNNEL_NOT_FOUND' });
  });

  it('waits for a target that is away', async () => {
    fixture.registry.hosts.set('a.test', { state: 'away' });
    const seen = visit({ ':method': 'POST' }, { endStream: false });
    seen.stream.end('abc');
    await fixture.registry.until(() => fixture.registry.waiting.size === 1);
    fixture.registry.goOn({ state: 'ready', target: fixture.target });
    const stream = await nextStream();
    await stream.untilEnded();
    expect(stream.body).toBe('abc');
    stream.answer(200, [], 'ok');
    await seen.closed;
    expect(seen.body).toBe('ok');
  });
});

describe('what the relay refuses', () => {
  const refused = async (headers: http2.OutgoingHttpHeaders): Promise<string> => {
    const seen = visit(headers);
    await seen.closed;
    return `${seen.status} ${seen.headers['porthole-error']}`;
  };

  it('an authority that is none, or differs from host', async () => {
    expect(await refused({ ':authority': 'a.test', host: 'b.test' })).toBe('400 BAD_REQUEST');
    expect(await refused({ ':authority': 'a.test,b.test' })).toBe('400 BAD_REQUEST');
    expect(await refused({ ':authority': 'a.test:99999' })).toBe('400 BAD_REQUEST');
    expect(fixture.target.streams).toHaveLength(0);
  });

  it('heads over the limits, each with its status', async () => {
    expect(await refused({ ':path': `/${'x'.repeat(20_000)}` })).toBe('414 TARGET_TOO_LONG');
    const many = Object.fromEntries(Array.from({ length: 210 }, (_, i) => [`x-${i}`, '1']));
    expect(await refused(many)).toBe('431 TOO_MANY_FIELDS');
    expect(await refused({ 'x-big': 'x'.repeat(30_000), 'x-big2': 'x'.repeat(36_000) })).toBe('431 HEAD_TOO_LARGE');
  });

  it('methods that do not pass a tunnel', async () => {
    expect(await refused({ ':method': 'TRACE' })).toBe('501 METHOD_NOT_SUPPORTED');
  });
});

describe('back-pressure', () => {
  it('holds no more of an answer than the stream has credit for', async () => {
    const seen = visit();
    seen.stream.pause();
    const stream = await nextStream();
    stream.head(200);
    const flooded = stream.flood(8 * 1024 * 1024);
    await seen.headed;
    expect(stream.maxUncreditedBytes).toBeLessThanOrEqual(256 * 1024);
    seen.stream.resume();
    await flooded;
    stream.finish();
    await seen.closed;
    expect(seen.body).toHaveLength(8 * 1024 * 1024);
    expect(stream.maxUncreditedBytes).toBeLessThanOrEqual(256 * 1024);
  });

  it('stops a visitor whose target does not read, and nobody else', async () => {
    const slow = visit({ ':method': 'POST' }, { endStream: false });
    const chunk = Buffer.alloc(64 * 1024);
    let sent = 0;
    const pump = (): void => {
      while (slow.stream.write(chunk, () => (sent += chunk.length)));
    };
    slow.stream.on('drain', pump);
    const stream = await nextStream();
    stream.highWaterBytes = 64 * 1024;
    pump();
    await stream.until(() => stream.heldBytes >= 64 * 1024);
    for (let i = 0; i < 20; i++) {
      const other = visit({ ':path': `/${i}` });
      (await nextStream()).answer(200, [], 'ok');
      await other.closed;
      expect(other.body).toBe('ok');
    }
    expect(sent).toBeLessThan(1024 * 1024);
    stream.highWaterBytes = Number.POSITIVE_INFINITY;
    stream.release();
    await stream.until(() => stream.heldBytes > 2 * 1024 * 1024);
    slow.stream.close(NGHTTP2_CANCEL);
    await slow.closed;
  });
});

const WEBSOCKET: http2.OutgoingHttpHeaders = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'http',
  ':path': '/chat',
  'sec-websocket-version': '13',
};

/** RFC 6455 section 4.2.2. */
function acceptOf(stream: FakeStream): string {
  const { fields } = stream.request;
  const key = fields[fields.indexOf('Sec-WebSocket-Key') + 1] ?? '';
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

describe('WebSocket over HTTP/2', () => {
  beforeEach(async () => {
    await once(session, 'remoteSettings');
    expect(session.remoteSettings.enableConnectProtocol).toBe(true);
  });

  it('becomes an upgrade towards the target, and bytes both ways after its 101', async () => {
    const seen = visit(WEBSOCKET, { endStream: false });
    const stream = await nextStream();
    expect(stream.request).toMatchObject({ method: 'GET', target: '/chat', upgrade: true, bodiless: true });
    expect(stream.request.fields).toEqual(expect.arrayContaining(['Upgrade', 'websocket', 'Sec-WebSocket-Key']));
    stream.head(101, ['Upgrade', 'websocket', 'Sec-WebSocket-Accept', acceptOf(stream), 'x-own', '1']);
    stream.data('\x81\x02hi');
    await seen.headed;
    expect(seen.headers).toMatchObject({ ':status': 200, 'x-own': '1' });
    expect(seen.headers['sec-websocket-accept']).toBeUndefined();
    seen.stream.write('ping');
    await stream.untilBody('ping');
    expect(seen.body).toBe('\x81\x02hi');
    stream.data('more').finish();
    seen.stream.end();
    await stream.untilEnded();
    await seen.closed;
    expect(seen).toMatchObject({ body: '\x81\x02himore', ended: true });
    expect(stream.resetCode).toBeUndefined();
  });

  it('passes a refusal on', async () => {
    const seen = visit(WEBSOCKET, { endStream: false });
    (await nextStream()).answer(403, ['content-length', '2'], 'no');
    await seen.closed;
    expect(seen).toMatchObject({ status: 403, body: 'no' });
  });

  it('takes neither a wrong accept nor a 200 for an agreement', async () => {
    const wrong = visit(WEBSOCKET, { endStream: false });
    (await nextStream()).head(101, ['Upgrade', 'websocket', 'Sec-WebSocket-Accept', 'nonsense']);
    await wrong.closed;
    expect(`${wrong.status} ${wrong.headers['porthole-error']}`).toBe('502 ORIGIN_BAD_RESPONSE');
    const plain = visit(WEBSOCKET, { endStream: false });
    (await nextStream()).answer(200, [], 'a page');
    await plain.closed;
    expect(`${plain.status} ${plain.headers['porthole-error']}`).toBe('502 ORIGIN_BAD_RESPONSE');
  });

  it('passes an abort of either side on as one', async () => {
    for (const side of ['visitor', 'target'] as const) {
      const seen = visit(WEBSOCKET, { endStream: false });
      const stream = await nextStream();
      stream.head(101, ['Upgrade', 'websocket', 'Sec-WebSocket-Accept', acceptOf(stream)]);
      await seen.headed;
      if (side === 'visitor') {
        seen.stream.close(NGHTTP2_CANCEL);
        expect(await stream.untilReset()).toBe('CANCELLED');
      } else {
        stream.abort('ORIGIN_TRUNCATED');
        await seen.closed;
        expect(seen.stream.rstCode).toBe(NGHTTP2_INTERNAL_ERROR);
      }
    }
  });
});

describe('an answer that HTTP/2 has no room for', () => {
  it.each([600, 999])('is a bad response: status %i', async (status) => {
    const seen = visit();
    (await nextStream()).answer(status, ['content-length', '2'], 'hi');
    await seen.closed;
    expect(`${seen.status} ${seen.headers['porthole-error']}`).toBe('502 ORIGIN_BAD_RESPONSE');
    const next = visit();
    (await nextStream()).answer(200, [], 'ok');
    await next.closed;
    expect(next.body).toBe('ok');
  });
});

describe('the end of a session with a WebSocket', () => {
  it('tells it to come back and drops what it still says', async () => {
    await once(session, 'remoteSettings');
    const seen = visit(WEBSOCKET, { endStream: false });
    const stream = await nextStream();
    stream.head(101, ['Upgrade', 'websocket', 'Sec-WebSocket-Accept', acceptOf(stream)]);
    await seen.headed;
    const drained = fixture.door.drain(20);
    await once(seen.stream, 'end');
    expect(seen.body).toBe('\x88\x02\x03\xf4');
    seen.stream.end('too late');
    await seen.closed;
    expect(seen.stream.rstCode).toBe(0);
    await drained;
    expect(await stream.untilReset()).toBe('CANCELLED');
  });
});

describe('the end of a session', () => {
  it('comes after the streams when the door drains, announced by GOAWAY', async () => {
    const seen = visit();
    const stream = await nextStream();
    const goaway = once(session, 'goaway');
    const drained = fixture.door.drain(10_000);
    await goaway;
    stream.answer(200, [], 'last');
    await seen.closed;
    expect(seen.body).toBe('last');
    await drained;
  });

  it('cuts what is left at the deadline, and never as if it were complete', async () => {
    const seen = visit();
    const stream = await nextStream();
    stream.head(200).data('half');
    await seen.headed;
    await fixture.door.drain(20);
    await seen.closed;
    expect(seen.stream.rstCode).not.toBe(0);
    expect(await stream.untilReset()).toBe('CANCELLED');
  });

  it('comes by itself when nothing has happened for the idle time', async () => {
    session.destroy();
    await fixture.close();
    fixture = await DoorFixture.start({ timeouts: { keepAliveIdleMs: 30, headMs: 30 } });
    session = dial();
    await once(session, 'close');
    session = dial();
    const seen = visit();
    (await nextStream()).answer(200, [], 'ok');
    await seen.closed;
    await once(session, 'close');
    while (fixture.parts.counters.visitorsOpen > 0) await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('a plain address', () => {
  it('knows HTTP/2 by its first bytes, also one by one, and POST from it', async () => {
    const slow = await fixture.dial();
    for (const byte of 'PRI') {
      slow.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    slow.send(' * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await slow.until(() => slow.received.length >= 9);
    expect(slow.received.charCodeAt(3)).toBe(4);
    const post = await fixture.dial();
    post.send('P');
    await new Promise((resolve) => setImmediate(resolve));
    post.send('OST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx');
    (await nextStream()).answer(200, ['Content-Length', '2'], 'ok');
    await post.untilText('ok');
  });

  it('does not when it is switched off', async () => {
    session.destroy();
    await fixture.close();
    fixture = await DoorFixture.start({ h2c: false });
    const visitor = await fixture.dial();
    visitor.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    expect(await visitor.untilEnd()).toMatch(/^HTTP\/1\.1 (505|400)/);
  });
});
