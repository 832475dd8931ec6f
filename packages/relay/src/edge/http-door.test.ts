import type * as net from 'node:net';
import type { RequestHead } from '@porthole/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { DoorFixture, type FixtureOptions, RawVisitor } from '../../../../test/contracts/edge-fixture.ts';
import { staysTrue } from '../../../../test/harness/until.ts';
import { HttpDoor } from './http-door.ts';
import { TrustedAddresses } from './trusted-addresses.ts';

let fixture: DoorFixture;

async function start(options: FixtureOptions = {}): Promise<RawVisitor> {
  fixture = await DoorFixture.start(options);
  return fixture.dial();
}

afterEach(() => fixture.close());

const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';

describe('listening', () => {
  it('is refused with ADDRESS_IN_USE when another program has the port', async () => {
    await start();
    const second = new HttpDoor(fixture.parts);
    await expect(second.start({ host: '127.0.0.1', port: fixture.port })).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
    });
  });
});

describe('an agent who asks for a carrier', () => {
  const ASK = (host: string, protocol = 'porthole'): string =>
    `GET /.well-known/porthole HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`;

  it('is handed over with the socket bare and the bytes after his head, on the names of the relay itself', async () => {
    const taken: { socket: net.Socket; head: RequestHead; rest: Buffer }[] = [];
    await start({ agentUpgrade: { accept: (socket, head, rest) => void taken.push({ socket, head, rest }) } });
    const hosts = ['tunnel.test', 'TUNNEL.test.:8080', '127.0.0.1', '[::1]:80', 'localhost:1'];
    for (const host of hosts) {
      const agent = await fixture.dial();
      agent.send(`${ASK(host, host.length % 2 === 0 ? 'WebSocket' : 'porthole')}\x01\x02frames`);
      const { promise, resolve } = Promise.withResolvers<void>();
      const poll = (): void => void (taken.length > 0 ? resolve() : setImmediate(poll));
      poll();
      await promise;
      const { socket, head, rest } = taken.pop() as (typeof taken)[number];
      expect(head.target).toBe('/.well-known/porthole');
      expect(rest.toString('latin1')).toBe('\x01\x02frames');
      for (const event of ['data', 'drain', 'error', 'close']) expect(socket.listenerCount(event)).toBe(0);
      expect(socket.isPaused()).toBe(true);
      agent.send('more');
      const more = new Promise<Buffer>((resolveMore) => socket.once('data', resolveMore));
      socket.resume();
      expect((await more).toString()).toBe('more');
      socket.end('welcome');
      expect(await agent.untilEnd()).toBe('welcome');
      socket.destroy();
    }
    expect(hosts.length).toBe(5);
  });

  it('never comes in by the name of a tunnel, nor without an upgrade', async () => {
    const taken: unknown[] = [];
    const visitor = await start({ agentUpgrade: { accept: (...all) => void taken.push(all) } });
    visitor.send(ASK('a.test'));
    (await fixture.target.next()).answer(404, ['Content-Length', '0'], '');
    await visitor.untilText('404');
    fixture.registry.hosts.set('tunnel.test', { state: 'ready', target: fixture.target });
    visitor.send(ASK('tunnel.test'));
    (await fixture.target.next()).answer(404, ['Content-Length', '0'], '');
    await visitor.untilText('404');
    for (const request of [ASK('none.test'), 'GET /.well-known/porthole HTTP/1.1\r\nHost: localhost\r\n\r\n']) {
      visitor.take();
      visitor.send(request);
      await visitor.untilText('Porthole-Error: TUNNEL_NOT_FOUND');
    }
    expect(taken).toHaveLength(0);
  });
});

describe('the names of the relay itself', () => {
  it('say what this is', async () => {
    const visitor = await start();
    for (const host of ['tunnel.test', '127.0.0.1', 'localhost']) {
      visitor.take();
      visitor.send('GET / HTTP/1.1', `Host: ${host}`, 'Accept: text/html,*/*', '', '');
      await visitor.untilText('</html>');
      expect(visitor.received).toMatch(/^HTTP\/1\.1 404 Not Found\r\n[\s\S]*This is a Porthole relay/);
    }
  });
});

describe('limits', () => {
  it('turn away who comes past the number of connections in all or of one address, and only those', async () => {
    for (const options of [{ maxConnections: 2 }, { maxPerAddress: 2 }]) {
      const first = await start(options);
      const second = await fixture.dial();
      const third = await fixture.dial();
      expect(await third.untilEnd()).toMatch(/^HTTP\/1\.1 503 [\s\S]*VISITOR_LIMIT/);
      for (const visitor of [first, second]) {
        visitor.send(GET);
        (await fixture.target.next()).answer(204, [], '');
        await visitor.untilText('204');
      }
      first.socket.destroy();
      while (fixture.parts.counters.visitorsOpen > 1) await new Promise((resolve) => setImmediate(resolve));
      const fourth = await fixture.dial();
      fourth.send(GET);
      (await fixture.target.next()).answer(204, [], '');
      await fourth.untilText('204');
      expect(fixture.parts.counters.visitorsRefusedTotal).toBe(1);
      if ('maxConnections' in options) await fixture.close();
    }
  });

  it('name the size in the answer to a head that is too large', async () => {
    const visitor = await start({ headLimits: { maxHeadBytes: 4096, maxFields: 20, maxTargetBytes: 1000 } });
    const cases: [string, number, string][] = [
      [`GET / HTTP/1.1\r\nHost: a.test\r\nX: ${'x'.repeat(5000)}\r\n\r\n`, 431, '4096'],
      [`GET / HTTP/1.1\r\nHost: a.test\r\n${'X: y\r\n'.repeat(30)}\r\n`, 431, '20'],
      [`GET /${'x'.repeat(2000)} HTTP/1.1\r\nHost: a.test\r\n\r\n`, 414, '1000'],
    ];
    visitor.socket.destroy();
    for (const [request, status, limit] of cases) {
      const reader = await fixture.dial();
      reader.send(request);
      const answer = await reader.untilEnd();
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(answer).toContain(limit);
    }
  });
});

describe('time-outs', () => {
  it('end a head that drips in, with an answer, however often a byte comes', async () => {
    const visitor = await start({ timeouts: { headMs: 40 } });
    visitor.send('GET / HTTP/1.1\r\nHost: a.test\r\nX: ');
    const dripping = setInterval(() => visitor.send('x'), 5);
    const answer = await visitor.untilEnd();
    clearInterval(dripping);
    expect(answer).toMatch(/^HTTP\/1\.1 408 [\s\S]*HEAD_TIMEOUT/);
  });

  it('close a connection that is idle before or between requests, without a word', async () => {
    const visitor = await start({ timeouts: { headMs: 30, keepAliveIdleMs: 30, lingerMs: 30 } });
    expect(await visitor.untilEnd()).toBe('');
    const other = await fixture.dial();
    other.send(GET);
    (await fixture.target.next()).answer(200, ['Content-Length', '2'], 'ok');
    expect(await other.untilEnd()).toMatch(/ok$/);
  });

  it('do not touch a long silence of the target unless told to', async () => {
    const visitor = await start({ timeouts: { headMs: 20, keepAliveIdleMs: 20, visitorStallMs: 20 } });
    visitor.send(GET);
    const stream = await fixture.target.next();
    await staysTrue('the visitor is kept', () => !visitor.ended, 100);
    stream.head(200, []);
    await visitor.untilText('200');
    await staysTrue('the visitor is kept', () => !visitor.ended, 100);
    stream.data('x').finish();
    await visitor.untilText('0\r\n\r\n');
  });

  it('answer 504 for a silent target where one is set', async () => {
    const visitor = await start({ timeouts: { responseIdleMs: 30 } });
    visitor.send(GET);
    const stream = await fixture.target.next();
    await visitor.untilText('ORIGIN_TIMEOUT: ');
    expect(stream.resetCode).toBe('CANCELLED');
  });

  it('end a request whose body stops coming', async () => {
    const visitor = await start({ timeouts: { visitorStallMs: 30 } });
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 9', '', 'x');
    expect(await (await fixture.target.next()).untilReset()).toBe('CANCELLED');
    await visitor.untilEnd();
  });
});

describe('forwarding fields', () => {
  const FORGED =
    'GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6, 127.0.0.9\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 6.6.6.6\r\n\r\n';

  it('of a visitor are replaced', async () => {
    const visitor = await start();
    visitor.send(FORGED);
    const { request } = await fixture.target.next();
    expect(request).toMatchObject({ scheme: 'http', visitorAddress: '127.0.0.1' });
    expect(request.fields.join('\n')).not.toContain('6.6.6.6');
  });

  it('of a trusted proxy are kept and added to', async () => {
    const visitor = await start({ trusted: new TrustedAddresses(['127.0.0.0/8']) });
    visitor.send(FORGED);
    const { request } = await fixture.target.next();
    expect(request).toMatchObject({ scheme: 'https', visitorAddress: '6.6.6.6' });
    expect(request.fields).toContain('6.6.6.6, 127.0.0.9, 127.0.0.1');
  });
});

describe('a request that comes back again and again', () => {
  it('is answered 508', async () => {
    const visitor = await start();
    const via = '1.1 relay-under-test, 1.1 other';
    visitor.send('GET / HTTP/1.1', 'Host: a.test', `Via: ${[via, via, via].join(', ')}`, '', '');
    expect(await visitor.untilEnd()).toMatch(/^HTTP\/1\.1 508 [\s\S]*LOOP_DETECTED/);
    expect(fixture.target.streams).toHaveLength(0);
  });
});

describe('draining', () => {
  it('closes who is idle, lets exchanges finish with a last answer, takes nobody new', async () => {
    const busy = await start();
    const idle = await fixture.dial();
    busy.send(GET);
    const stream = await fixture.target.next();
    const drained = fixture.door.drain(20_000);
    await idle.untilEnd();
    idle.socket.end();
    await expect(RawVisitor.dial(fixture.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    stream.answer(200, ['Content-Length', '2'], 'ok');
    expect(await busy.untilEnd()).toBe('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
    busy.socket.end();
    await drained;
  });

  it('cuts what is left at the deadline, so that nothing looks complete', async () => {
    const visitor = await start();
    visitor.send('GET / HTTP/1.0', 'Host: a.test', '', '');
    const stream = await fixture.target.next();
    stream.head(200, []).data('part');
    await visitor.untilText('part');
    await fixture.door.drain(20);
    await visitor.untilClosed();
    expect(visitor.error?.code).toBe('ECONNRESET');
    expect(await stream.untilReset()).toBe('CANCELLED');
  });

  it('tells WebSockets at the deadline to come back, unless a frame is half out', async () => {
    const whole = await start();
    const half = await fixture.dial();
    for (const visitor of [whole, half]) {
      visitor.send('GET / HTTP/1.1', 'Host: a.test', 'Connection: Upgrade', 'Upgrade: websocket', '', '');
      const stream = await fixture.target.next();
      stream
        .head(101, ['Upgrade', 'websocket', 'Connection', 'Upgrade'])
        .data(visitor === whole ? '\x81\x02hi' : '\x81\x03hi');
      await visitor.untilText('hi');
    }
    const drained = fixture.door.drain(20);
    await half.untilClosed();
    expect(half.error?.code).toBe('ECONNRESET');
    await whole.untilEnd();
    // He was about to say something; it must not cost him the close frame, nor end in a reset.
    for (let message = 0; message < 20; message += 1) {
      await new Promise((resolve) => whole.socket.write(Buffer.alloc(10_000), resolve));
    }
    expect(whole.received.endsWith('hi\x88\x02\x03\xf4')).toBe(true);
    whole.socket.end();
    await drained;
    await whole.untilClosed();
    expect(whole.error).toBeUndefined();
  });

  it('does not wait for a WebSocket that does not answer', async () => {
    const visitor = await start();
    visitor.send('GET / HTTP/1.1', 'Host: a.test', 'Connection: Upgrade', 'Upgrade: websocket', '', '');
    (await fixture.target.next()).head(101, ['Upgrade', 'websocket', 'Connection', 'Upgrade']);
    await visitor.untilText('\r\n\r\n');
    await fixture.door.drain(20);
    expect(visitor.received.endsWith('\x88\x02\x03\xf4')).toBe(true);
  });
});
