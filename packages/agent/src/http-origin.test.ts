import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExchangeRequest } from '@porthole/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { exchangeRequest, FakeStream } from '../../../test/harness/fake-stream.ts';
import { plainAnswer, readChunked, type RawOrigin, startRawOrigin } from '../../../test/harness/raw-origin.ts';
import { until } from '../../../test/harness/until.ts';
import { HttpOrigin } from './http-origin.ts';
import type { PoolSettings } from './origin-pool.ts';
import { NetOpener } from './origin-socket.ts';
import { parseTarget } from './target.ts';

const POST = { method: 'POST', bodiless: false } as const;
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function originAt(port: number, pool: Partial<PoolSettings> = {}): HttpOrigin {
  const opener = new NetOpener(parseTarget(`127.0.0.1:${port}`), {
    connectTimeoutMs: 5_000,
  });
  const origin = new HttpOrigin({ opener, pool });
  cleanups.push(() => origin.close());
  return origin;
}

async function rawOrigin(...args: Parameters<typeof startRawOrigin>): Promise<RawOrigin> {
  const server = await startRawOrigin(...args);
  cleanups.push(() => server.close());
  return server;
}

function open(origin: HttpOrigin, request: Partial<ExchangeRequest> = {}): FakeStream {
  const stream = new FakeStream();
  stream.sink = origin.openExchange(exchangeRequest(request), stream);
  return stream;
}

async function ask(origin: HttpOrigin, request: Partial<ExchangeRequest> = {}, body = ''): Promise<FakeStream> {
  const stream = open(origin, request);
  if (body !== '') stream.sink.onData(Buffer.from(body));
  stream.sink.onEnd();
  await stream.untilOver();
  return stream;
}

describe('a request', () => {
  it('is written as it came, without hop-by-hop fields of our own', async () => {
    const server = await rawOrigin();
    open(originAt(server.port), {
      target: '/a//b/../c?x=%2F&',
      fields: ['hOST', 'app.test', 'X-B', '', 'x-b', '\xfc'],
    });
    const wire = await server.accept();
    expect((await wire.readUntil('\r\n\r\n')).toString('latin1')).toBe(
      'GET /a//b/../c?x=%2F& HTTP/1.1\r\nhOST: app.test\r\nX-B: \r\nx-b: \xfc\r\n\r\n',
    );
    await wire.close();
  });

  it('keeps its length when it has one', async () => {
    const server = await rawOrigin();
    const stream = open(originAt(server.port), { ...POST, fields: ['Host', 'a', 'Content-Length', '5'] });
    stream.sink.onData(Buffer.from('he'));
    stream.sink.onData(Buffer.from('llo'));
    stream.sink.onEnd();
    const wire = await server.accept();
    expect((await wire.readUntil('hello')).toString()).toBe(
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    );
    expect(stream.consumedBytes).toBe(5);
    await wire.close();
  });

  it('keeps Content-Length: 0 and invents none', async () => {
    const server = await rawOrigin();
    const origin = originAt(server.port);
    open(origin, { method: 'PUT', fields: ['Host', 'a', 'Content-Length', '0'] });
    open(origin, { method: 'POST', fields: ['Host', 'a'] });
    const heads = [];
    for (let i = 0; i < 2; i++) {
      const wire = await server.accept();
      heads.push((await wire.readUntil('\r\n\r\n')).toString());
      await wire.close();
    }
    expect(heads.sort()).toEqual([
      'POST / HTTP/1.1\r\nHost: a\r\n\r\n',
      'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    ]);
  });

  it('is sent in chunks, with its trailers, when its length is not known', async () => {
    const server = await rawOrigin();
    const stream = open(originAt(server.port), { ...POST, fields: ['Host', 'a', 'TE', 'trailers'] });
    stream.sink.onData(Buffer.from('hello '));
    stream.sink.onData(Buffer.alloc(0));
    stream.sink.onData(Buffer.from('world'));
    stream.sink.onTrailers('X-Sum\0' + '1\0Content-Length\0' + '9');
    stream.sink.onEnd();
    const wire = await server.accept();
    expect((await wire.readUntil('\r\n\r\n')).toString()).toBe(
      'POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\n\r\n',
    );
    const { body, trailers } = await readChunked(wire);
    expect(body.toString()).toBe('hello world');
    expect(trailers).toBe('X-Sum: 1\r\n');
    await wire.close();
  });

  it.each([
    ['two lengths', { ...POST, fields: ['Content-Length', '1', 'content-length', '1'] }],
    ['a length without a body', { fields: ['Content-Length', '1'] }],
    ['a length that is no number', { ...POST, fields: ['Content-Length', '1, 1'] }],
    ['a transfer coding', { ...POST, fields: ['Transfer-Encoding', 'chunked'] }],
    ['connection options', { fields: ['Connection', 'close'] }],
  ])('with %s is refused before anything is sent', async (_name, request) => {
    const server = await rawOrigin(async ({ wire }) => wire.send(plainAnswer()));
    const origin = originAt(server.port);
    expect(open(origin, request).calls).toEqual(['reset PROTOCOL_ERROR']);
    expect(origin.pool.live).toBe(0);
  });

  it.each([
    ['longer', 'hello!'],
    ['shorter', 'hell'],
  ])('whose body is %s than its length does not stay on the connection', async (_name, body) => {
    const server = await rawOrigin();
    const origin = originAt(server.port);
    const stream = open(origin, { ...POST, fields: ['Content-Length', '5'] });
    const wire = await server.accept();
    stream.sink.onData(Buffer.from(body));
    stream.sink.onEnd();
    await stream.untilOver();
    expect(stream.calls).toEqual(['reset PROTOCOL_ERROR']);
    await wire.untilEnded();
    expect(origin.pool.live).toBe(0);
    await wire.close();
  });

  it('whose Expect is answered by the origin gets the 100 before it sends its body', async () => {
    const server = await rawOrigin();
    const stream = open(originAt(server.port), {
      ...POST,
      fields: ['Host', 'a', 'Content-Length', '2', 'Expect', '100-continue'],
    });
    const wire = await server.accept();
    await wire.readUntil('Expect: 100-continue\r\n\r\n');
    await wire.send('HTTP/1.1 100 Continue\r\n\r\n');
    await stream.until('the 100', () => stream.calls.length > 0);
    stream.sink.onData(Buffer.from('ok'));
    stream.sink.onEnd();
    await wire.readUntil('ok');
    await wire.send(plainAnswer());
    await stream.untilOver();
    expect(stream.calls.map((call) => call.split(' | ')[1])).toEqual(['100', '200', undefined, undefined]);
    await wire.close();
  });
});

describe('an answer', () => {
  it('and each of its chunks is passed on at once', async () => {
    const server = await rawOrigin();
    const stream = open(originAt(server.port));
    const wire = await server.accept();
    await wire.send('HTTP/1.1 200 OK\r\n\r\n');
    await stream.until('the head alone', () => stream.calls.length === 1);
    await wire.send('one');
    await stream.until('the first chunk', () => stream.bodyBytes === 3);
    await wire.send('two');
    await stream.until('the second chunk', () => stream.bodyBytes === 6);
    wire.end();
    await stream.untilOver();
    expect(stream.calls).toEqual(['head | 200 | OK', 'data onetwo', 'end']);
    await wire.close();
  });

  it('keeps every byte of a large body, whatever pieces it is read in', async () => {
    const body = Buffer.alloc(3_000_000);
    for (let i = 0; i < body.length; i++) body[i] = (i * 31 + (i >> 8)) & 0xff;
    const server = await rawOrigin(async ({ wire }) => {
      await wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      await wire.send(body);
    });
    const origin = originAt(server.port);
    // Twice on one connection: the second finds buffers the first has given away.
    for (let round = 0; round < 2; round++) expect((await ask(origin)).body.equals(body)).toBe(true);
    expect(origin.pool.live).toBe(1);
  });

  it('stops being read while the stream is full', async () => {
    const server = await rawOrigin();
    const stream = open(originAt(server.port));
    stream.full = true;
    const wire = await server.accept();
    let sent = 0;
    let isHeldBack = false;
    await wire.send('HTTP/1.1 200 OK\r\n\r\n');
    const block = Buffer.alloc(1_000_000);
    while (!isHeldBack && sent < 200) {
      isHeldBack = !wire.socket.write(block) && sent++ > 20;
      await new Promise(setImmediate);
    }
    expect(isHeldBack).toBe(true);
    expect(stream.bodyBytes).toBeLessThan(200_000);
    stream.full = false;
    stream.sink.onWritable();
    wire.end();
    await stream.untilOver();
    expect(stream.bodyBytes).toBe(wire.socket.bytesWritten - 'HTTP/1.1 200 OK\r\n\r\n'.length);
    await wire.close();
  });

  it('that comes early leaves the upload going while the origin keeps the connection', async () => {
    const server = await rawOrigin();
    const origin = originAt(server.port);
    const stream = open(origin, { ...POST, fields: ['Content-Length', '4'] });
    stream.sink.onData(Buffer.from('ab'));
    const wire = await server.accept();
    await wire.readUntil('ab');
    await wire.send(plainAnswer());
    await stream.untilOver();
    stream.sink.onData(Buffer.from('cd'));
    stream.sink.onEnd();
    expect((await wire.readUntil('cd')).toString()).toBe('cd');
    await until('the connection is idle', () => origin.pool.idle === 1);
    await wire.close();
  });

  it('that comes early and closes lets the rest of the upload be thrown away', async () => {
    const server = await rawOrigin();
    const origin = originAt(server.port);
    const stream = open(origin, { ...POST, fields: ['Content-Length', '400'] });
    stream.sink.onData(Buffer.from('ab'));
    const wire = await server.accept();
    await wire.readUntil('ab');
    await wire.send('HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno');
    await stream.untilOver();
    expect(stream.calls).toEqual(['head | 413 | Too Large | Content-Length: 2', 'data no', 'end']);
    stream.sink.onData(Buffer.from('x'.repeat(398)));
    stream.sink.onEnd();
    expect(stream.consumedBytes).toBe(400);
    await wire.untilEnded();
    expect(origin.pool.live).toBe(0);
    await wire.close();
  });

  it('that comes early reaches the visitor although the origin resets an upload in full flight', async () => {
    const server = createServer((request, response) => {
      request.once('data', () => {
        response.writeHead(413, { connection: 'close' }).end('too large', () => request.socket.destroy());
      });
    });
    const origin = originAt(await listen(server));
    for (let round = 0; round < 30; round++) {
      const stream = open(origin, POST);
      let given = 0;
      while (!stream.over) {
        if (given - stream.consumedBytes < 262_144) {
          stream.sink.onData(Buffer.alloc(16_000));
          given += 16_000;
        }
        await new Promise(setImmediate);
      }
      expect(stream.calls.at(-1)).toBe('end');
      expect(stream.body.toString()).toBe('too large');
      stream.sink.onEnd();
    }
  });
});

describe('an upload', () => {
  it('is held back while the origin does not read', async () => {
    const server = await rawOrigin();
    const stream = open(originAt(server.port), POST);
    const wire = await server.accept();
    await wire.readUntil('\r\n\r\n');
    wire.pause();
    let given = 0;
    for (let turn = 0; turn < 400; turn++) {
      if (given - stream.consumedBytes < 262_144) {
        stream.sink.onData(Buffer.alloc(65_536, 'x'));
        given += 65_536;
      }
      await new Promise(setImmediate);
    }
    expect(stream.consumedBytes).toBeLessThan(given);
    expect(given).toBeLessThan(20_000_000);
    stream.sink.onEnd();
    wire.resume();
    await until('everything is consumed', () => stream.consumedBytes === given);
    expect((await readChunked(wire)).body.length).toBe(given);
    await wire.close();
  });
});

describe('a visitor who goes away', () => {
  it('ends the origin connection at once, mid-request, mid-response and while dialing', async () => {
    const server = await rawOrigin();
    const origin = originAt(server.port);
    const uploading = open(origin, POST);
    const first = await server.accept();
    uploading.sink.onReset('CANCELLED', '');
    await first.untilEnded();
    const downloading = open(origin);
    const second = await server.accept();
    await second.send('HTTP/1.1 200 OK\r\n\r\nhalf');
    await downloading.until('half of it', () => downloading.bodyBytes === 4);
    downloading.sink.onReset('CANCELLED', '');
    await second.untilEnded();
    const dialing = open(origin);
    dialing.sink.onReset('CANCELLED', '');
    expect(origin.pool.live).toBe(0);
    expect(dialing.calls).toEqual([]);
    await first.close();
    await second.close();
  });
});

describe('an upgrade', () => {
  const UPGRADE = { upgrade: true, fields: ['Host', 'a', 'Upgrade', 'echo'] };
  const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n';

  it('passes bytes raw both ways and each end by itself', async () => {
    const server = await rawOrigin();
    const origin = originAt(server.port);
    const stream = open(origin, UPGRADE);
    const wire = await server.accept();
    expect((await wire.readUntil('\r\n\r\n')).toString()).toBe(
      'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n',
    );
    await wire.send(`${SWITCH}early`);
    await stream.until('the early bytes', () => stream.bodyBytes === 5);
    stream.sink.onData(Buffer.from('HTTP/1.1 is over'));
    await wire.readUntil('HTTP/1.1 is over');
    stream.sink.onEnd();
    await wire.untilEnded();
    await wire.send(' and the last word');
    wire.end();
    await stream.untilOver();
    expect(stream.calls).toEqual([
      'head | 101 | Switching Protocols | Upgrade: echo',
      'data early and the last word',
      'end',
    ]);
    await until('the connection is gone', () => origin.pool.live === 0);
  });

  it('goes on sending after the origin has ended its side', async () => {
    const server = await rawOrigin();
    const origin = originAt(server.port);
    const stream = open(origin, UPGRADE);
    const wire = await server.accept();
    await wire.send(SWITCH);
    wire.end();
    await stream.untilOver();
    stream.sink.onData(Buffer.from('still here'));
    await wire.readUntil('still here');
    stream.sink.onEnd();
    await wire.untilEnded();
    await until('the connection is gone', () => origin.pool.live === 0);
  });

  it('that is cut by a reset is not a clean end', async () => {
    const server = await rawOrigin();
    const stream = open(originAt(server.port), UPGRADE);
    const wire = await server.accept();
    await wire.send(SWITCH);
    await stream.until('the 101', () => stream.calls.length === 1);
    wire.reset();
    await stream.untilOver();
    expect(stream.calls.at(-1)).toBe('reset ORIGIN_TRUNCATED');
  });
});

describe('the pool', () => {
  it('uses a connection again, the last one first', async () => {
    const server = await rawOrigin(async ({ wire }) => wire.send(plainAnswer()));
    const origin = originAt(server.port);
    for (let i = 0; i < 5; i++) expect((await ask(origin)).calls.at(-1)).toBe('end');
    expect(server.requests.map((request) => request.index)).toEqual([0, 1, 2, 3, 4]);
  });

  it('does not keep what the origin wants closed', async () => {
    const server = await rawOrigin(async ({ wire }) => wire.send(plainAnswer('ok', 'Connection: close\r\n')));
    const origin = originAt(server.port);
    await ask(origin);
    await until('no connection is left', () => origin.pool.live === 0);
  });

  it('does not keep a connection whose origin announces to close it within a second', async () => {
    const server = await rawOrigin(async ({ wire }) => wire.send(plainAnswer('ok', 'Keep-Alive: timeout=0\r\n')));
    const origin = originAt(server.port);
    await ask(origin);
    await until('no connection is left', () => origin.pool.live === 0);
  });

  it('sends a request once more when the idle connection turns out to be dead', async () => {
    const server = await rawOrigin(async (request) => {
      if (request.index === 0) return request.wire.send(plainAnswer());
      request.wire.reset();
    });
    const origin = originAt(server.port);
    await ask(origin);
    const second = await ask(origin);
    expect(second.calls.at(-1)).toBe('end');
    expect(server.requests.map((request) => request.index)).toEqual([0, 1, 0]);
  });

  it('never sends a POST a second time', async () => {
    const server = await rawOrigin(async (request) => {
      if (request.index === 0) return request.wire.send(plainAnswer());
      request.wire.reset();
    });
    const origin = originAt(server.port);
    await ask(origin);
    const second = await ask(origin, { method: 'POST', fields: ['Content-Length', '0'] });
    expect(second.calls).toEqual(['reset ORIGIN_CLOSED']);
    expect(server.requests.length).toBe(2);
  });

  it('moves a POST of which nothing was sent yet', async () => {
    const server = await rawOrigin(async (request) => {
      await request.wire.readBytes(Number(request.field('content-length') ?? 0));
      await request.wire.send(plainAnswer());
    });
    const origin = originAt(server.port);
    await ask(origin);
    const idle = origin.pool.take(true);
    if (idle === undefined) throw new Error('no idle connection');
    origin.pool.onFree(idle);
    const stream = open(origin, { ...POST, fields: ['Content-Length', '2'] });
    idle.socket.emit('error', new Error('the origin closed it in this very turn'));
    stream.sink.onData(Buffer.from('ok'));
    stream.sink.onEnd();
    await stream.untilOver();
    expect(stream.calls.at(-1)).toBe('end');
    expect(server.requests.length).toBe(2);
  });

  it('queues past its limit of connections and serves the queue in order', async () => {
    const server = await rawOrigin(async ({ wire }) => wire.send(plainAnswer()));
    const origin = originAt(server.port, { maxConnections: 2 });
    const streams = Array.from({ length: 9 }, () => open(origin));
    const leaver = open(origin);
    leaver.sink.onReset('CANCELLED', '');
    await Promise.all(streams.map((stream) => stream.untilOver()));
    expect(streams.every((stream) => stream.calls.at(-1) === 'end')).toBe(true);
    expect(origin.pool.live).toBe(2);
    expect(leaver.calls).toEqual([]);
  });

  it('gives a connection up that the origin speaks on without being asked', async () => {
    const server = await rawOrigin();
    const origin = originAt(server.port);
    const stream = open(origin);
    const wire = await server.accept();
    await wire.send(plainAnswer());
    await stream.untilOver();
    await wire.send('HTTP/1.1 408 Request Timeout\r\n\r\n');
    await wire.untilEnded();
    expect(origin.pool.live).toBe(0);
    await wire.close();
  });

  it('meets no closed connection at an origin that closes idle ones after 5 ms', async () => {
    let runs = 0;
    const server = createServer((request, response) => {
      if (request.method === 'POST') runs++;
      request.resume().on('end', () => response.end('ok'));
    });
    server.keepAliveTimeout = 5;
    server.keepAliveTimeoutBuffer = 0;
    let closed: Promise<unknown> = Promise.resolve();
    server.on('connection', (socket) => {
      closed = once(socket, 'close');
    });
    const origin = originAt(await listen(server));
    let posts = 0;
    for (let i = 0; i < 400; i++) {
      const isPost = i % 2 === 0;
      if (isPost) posts++;
      const stream = await ask(
        origin,
        isPost ? { ...POST, fields: ['Host', 'a', 'Content-Length', '2'] } : {},
        isPost ? 'hi' : '',
      );
      expect(stream.calls.at(-1)).toBe('end');
      // The next request comes while the connection is fresh, or in the very moment of its end.
      if (i % 3 === 0) await closed;
    }
    expect(runs).toBe(posts);
  });
});

function listen(server: Server): Promise<number> {
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));
}
