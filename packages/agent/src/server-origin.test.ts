import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { createHash } from 'node:crypto';
import { type ExchangeRequest, release } from '@porthole/protocol';
import { readMemory } from '@porthole/protocol/node';
import { afterEach, describe, expect, it } from 'vitest';
import { exchangeRequest, FakeStream } from '../../../test/harness/fake-stream.ts';
import { until } from '../../../test/harness/until.ts';
import { HttpOrigin } from './http-origin.ts';
import { ServerOpener } from './server-origin.ts';

const origins: HttpOrigin[] = [];

afterEach(() => {
  for (const origin of origins.splice(0)) origin.close();
});

function originOf(listener?: RequestListener): { server: Server; origin: HttpOrigin } {
  const server = createServer(listener);
  const origin = new HttpOrigin({ opener: new ServerOpener(server) });
  origins.push(origin);
  return { server, origin };
}

function open(origin: HttpOrigin, request: Partial<ExchangeRequest> = {}): FakeStream {
  const stream = new FakeStream();
  stream.sink = origin.openExchange(exchangeRequest(request), stream);
  return stream;
}

describe('a server of this process', () => {
  it('answers without listening, several requests on one connection', async () => {
    const { server, origin } = originOf((request, response) =>
      response.end(`${request.method} ${request.url} ${request.socket.remoteAddress}`),
    );
    let connections = 0;
    server.on('connection', () => connections++);
    for (let i = 0; i < 3; i++) {
      const stream = open(origin, { target: `/${i}` });
      await stream.untilOver();
      expect(stream.body.toString()).toBe(`GET /${i} 127.0.0.1`);
    }
    expect(connections).toBe(1);
    expect(server.listening).toBe(false);
  });

  it('takes an upload and gives it back whole', async () => {
    const { origin } = originOf((request, response) => request.pipe(response));
    const body = Buffer.alloc(2_000_000, 'abc');
    const stream = open(origin, {
      method: 'POST',
      bodiless: false,
      fields: ['Host', 'a', 'Content-Length', String(body.length)],
    });
    for (let at = 0; at < body.length; at += 16_000) stream.sink.onData(body.subarray(at, at + 16_000));
    stream.sink.onEnd();
    await stream.untilOver();
    expect(createHash('sha256').update(stream.body).digest('hex')).toBe(
      createHash('sha256').update(body).digest('hex'),
    );
  });

  it('sees a visitor go away', async () => {
    const closed = Promise.withResolvers<void>();
    const { origin } = originOf((_request, response) => {
      response.write('half');
      response.on('close', () => closed.resolve());
    });
    const stream = open(origin);
    await stream.until('half of it', () => stream.bodyBytes === 4);
    stream.sink.onReset('CANCELLED', '');
    await closed.promise;
    expect(origin.pool.live).toBe(0);
  });

  it('that destroys its socket has not answered cleanly', async () => {
    const { origin } = originOf((request, response) => {
      if (request.url === '/before') return request.socket.destroy();
      response.writeHead(200, { 'content-length': 10 });
      response.write('half', () => request.socket.destroy());
    });
    const before = open(origin, { target: '/before', method: 'POST', fields: ['Content-Length', '0', 'Host', 'a'] });
    await before.untilOver();
    expect(before.calls).toEqual(['reset ORIGIN_CLOSED']);
    const middle = open(origin, { target: '/middle' });
    await middle.untilOver();
    expect(middle.calls.at(-1)).toBe('reset ORIGIN_TRUNCATED');
    expect(origin.pool.live).toBe(0);
  });

  it('ends a body without length by closing', async () => {
    const { origin } = originOf((_request, response) => {
      response.useChunkedEncodingByDefault = false;
      response.removeHeader('transfer-encoding');
      response.setHeader('connection', 'close');
      response.end('all of it');
    });
    const stream = open(origin);
    await stream.untilOver();
    expect(stream.body.toString()).toBe('all of it');
    expect(stream.calls.at(-1)).toBe('end');
  });

  it('takes upgrades', async () => {
    const { server, origin } = originOf();
    server.on('upgrade', (_request, socket: Duplex, head) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      socket.write(head);
      socket.pipe(socket);
    });
    const stream = open(origin, { upgrade: true, fields: ['Host', 'a', 'Upgrade', 'echo'] });
    await stream.until('the 101', () => stream.calls.length > 0);
    stream.sink.onData(Buffer.from('hello'));
    await stream.until('the echo', () => stream.bodyBytes === 5);
    stream.sink.onEnd();
    await stream.untilOver();
    expect(stream.calls).toEqual(['head | 101 | Switching Protocols | Upgrade: echo', 'data hello', 'end']);
    await until('the connection is gone', () => origin.pool.live === 0);
  });

  it('may keep what it has received and sent: nothing of it is given back for the next read', async () => {
    const memory = readMemory();
    const heard: Buffer[] = [];
    const { server, origin } = originOf();
    server.on('upgrade', (_request, socket: Duplex) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n');
      socket.on('data', (chunk: Buffer) => {
        heard.push(chunk);
        // As to every member of a room.
        for (let member = 0; member < 3; member++) socket.write(chunk);
      });
    });
    const stream = open(origin, { upgrade: true, fields: ['Host', 'a', 'Upgrade', 'chat'] });
    await stream.until('the 101', () => stream.calls.length > 0);
    stream.sink.onData(memory.copy(Buffer.alloc(30_000, 'a')));
    await stream.until('the echoes', () => stream.bodyBytes === 90_000);
    for (const piece of stream.bodyPieces) release(piece);
    memory.copy(Buffer.alloc(30_000, 'b'));
    memory.copy(Buffer.alloc(30_000, 'c'));
    expect(Buffer.concat(heard).equals(Buffer.alloc(30_000, 'a'))).toBe(true);
  });

  it('that is closed lets its requests finish', async () => {
    const { server, origin } = originOf((_request, response) => setImmediate(() => response.end('done')));
    const stream = open(origin);
    await once(server, 'request');
    server.close();
    await stream.untilOver();
    expect(stream.body.toString()).toBe('done');
  });
});
