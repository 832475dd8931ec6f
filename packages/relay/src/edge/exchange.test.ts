import { PortholeError } from '@porthole/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DoorFixture, type RawVisitor } from '../../../../test/contracts/edge-fixture.ts';
import { FakeTarget } from '../../../../test/contracts/fake-target.ts';

let fixture: DoorFixture;
let visitor: RawVisitor;

beforeEach(async () => {
  fixture = await DoorFixture.start({ timeouts: { halfCloseMs: 30, lingerMs: 60 } });
  visitor = await fixture.dial();
});
afterEach(() => fixture.close());

const GET = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';

async function expectNextRequestWorks(): Promise<void> {
  visitor.take();
  visitor.send(GET);
  (await fixture.target.next()).answer(200, ['Content-Length', '4'], 'next');
  await visitor.until(() => visitor.received.endsWith('\r\n\r\nnext'));
}

describe('Expect: 100-continue', () => {
  const HEAD = 'POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n';

  it('waits for the target to say so', async () => {
    visitor.send(HEAD);
    const stream = await fixture.target.next();
    expect(stream.request.fields).toContain('100-continue');
    expect(visitor.received).toBe('');
    stream.head(100, [], 'Continue');
    expect(await visitor.untilText('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    visitor.send('abc');
    await stream.untilEnded();
    stream.answer(200, ['Content-Length', '2'], 'ok');
    await visitor.untilText('ok');
    await expectNextRequestWorks();
  });

  it('passes a refusal on, says close and closes, since the body may or may not follow', async () => {
    visitor.send(HEAD);
    const stream = await fixture.target.next();
    stream.answer(401, ['Content-Length', '2'], 'no');
    expect(await visitor.untilEnd()).toBe('HTTP/1.1 401 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
    expect(stream.resetCode).toBe('NO_ERROR');
  });

  it('is answered 417 when something else is expected', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Expect: magic', 'Content-Length: 3', '', '');
    expect(await visitor.untilEnd()).toMatch(/^HTTP\/1\.1 417 [\s\S]*Porthole-Error: EXPECTATION_FAILED/);
  });
});

describe('an answer before the request is complete', () => {
  it('reaches a visitor who is still sending, who is then let finish writing', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 9000000', '', 'abc');
    const stream = await fixture.target.next();
    await stream.untilBody('abc');
    stream.answer(413, ['Content-Length', '3'], 'big');
    expect(await visitor.untilEnd()).toBe('HTTP/1.1 413 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig');
    expect(stream.resetCode).toBe('NO_ERROR');
    visitor.socket.write(Buffer.alloc(100_000));
    visitor.socket.end();
    await visitor.untilClosed();
    expect(visitor.error).toBeUndefined();
  });

  it('does not stop a body that the target goes on reading', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 6', '', 'abc');
    const stream = await fixture.target.next();
    stream.answer(200, ['Content-Length', '2'], 'ok');
    await visitor.untilText('ok');
    visitor.send('def');
    await stream.untilEnded();
    expect(stream.body).toBe('abcdef');
    await expectNextRequestWorks();
  });

  it('closes when the target wants no more of the body', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 6', '', 'abc');
    const stream = await fixture.target.next();
    stream.answer(200, ['Content-Length', '2'], 'ok').abort('NO_ERROR');
    expect(await visitor.untilEnd()).toMatch(/ok$/);
  });
});

describe('a visitor who leaves', () => {
  it('ends the stream when he resets the connection', async () => {
    visitor.send(GET);
    const stream = await fixture.target.next();
    stream.head(200, []);
    await visitor.untilText('200');
    visitor.socket.resetAndDestroy();
    expect(await stream.untilReset()).toBe('CANCELLED');
    expect(fixture.parts.counters.abortsTotal).toBe(1);
  });

  it('ends the stream soon when he closes while the target is silent', async () => {
    visitor.send(GET);
    const stream = await fixture.target.next();
    visitor.socket.destroy();
    expect(await stream.untilReset()).toBe('CANCELLED');
  });

  it('ends the stream at once when he closes in the middle of his body', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 6', '', 'abc');
    const stream = await fixture.target.next();
    await stream.untilBody('abc');
    visitor.socket.end();
    expect(await stream.untilReset()).toBe('CANCELLED');
    await visitor.untilClosed();
    expect(visitor.received).toBe('');
  });

  it('still gets what he asked for when he only closed his sending side and the target is not silent', async () => {
    visitor.send('GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n');
    visitor.socket.end();
    (await fixture.target.next()).answer(200, ['Content-Length', '3'], 'one');
    (await fixture.target.next()).answer(200, ['Content-Length', '3'], 'two');
    expect(await visitor.untilEnd()).toMatch(/one[\s\S]*two$/);
    await visitor.untilClosed();
    expect(visitor.error).toBeUndefined();
  });
});

describe('a stream that fails before the head', () => {
  for (const [code, status] of [
    ['ORIGIN_REFUSED', 502],
    ['ORIGIN_TIMEOUT', 504],
    ['STREAM_LIMIT', 503],
    ['CANCELLED', 502],
    ['SESSION_LOST', 502],
  ] as const) {
    it(`is answered ${status} for ${code}, without what only the agent may know`, async () => {
      visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 1', '', 'x');
      const stream = await fixture.target.next();
      await stream.untilEnded();
      stream.abort(code, 'connect 10.1.2.3:5432');
      const answer = await visitor.untilText(`${code}: `);
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(answer).toContain(`\r\nPorthole-Error: ${code}\r\n`);
      expect(answer).not.toContain('10.1.2.3');
      await expectNextRequestWorks();
    });
  }

  it('is a 502 when it ends without any head, or talks body first', async () => {
    visitor.send(GET);
    (await fixture.target.next()).finish();
    await visitor.untilText('ORIGIN_CLOSED: ');
    visitor.send(GET);
    (await fixture.target.next()).data('body');
    await visitor.untilText('ORIGIN_BAD_RESPONSE: ');
    await expectNextRequestWorks();
  });

  it('is answered with the reason when it cannot even be opened', async () => {
    fixture.target.refusal = new PortholeError('STREAM_LIMIT');
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 1', '', 'x');
    await visitor.untilText('STREAM_LIMIT: ');
    await expectNextRequestWorks();
  });
});

describe('a second try', () => {
  it('is made once for a lost session when nothing can have happened', async () => {
    visitor.send(GET);
    (await fixture.target.next()).abort('SESSION_LOST');
    (await fixture.target.next()).abort('GOING_AWAY');
    await visitor.untilText('GOING_AWAY: ');
    expect(fixture.target.streams).toHaveLength(2);
    expect(fixture.parts.counters.retriedTotal).toBe(1);
  });

  it('goes to whoever serves the address now', async () => {
    const heir = new FakeTarget();
    visitor.send(GET);
    const stream = await fixture.target.next();
    fixture.registry.hosts.set('a.test', { state: 'ready', target: heir });
    stream.abort('GOING_AWAY');
    (await heir.next()).answer(200, ['Content-Length', '4'], 'heir');
    await visitor.untilText('heir');
  });

  it('is not made for a POST, nor after a part of the body went out', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', '', '');
    (await fixture.target.next()).abort('SESSION_LOST');
    await visitor.untilText('SESSION_LOST: ');
    visitor.take();
    visitor.send('PUT / HTTP/1.1', 'Host: a.test', 'Content-Length: 1', '', 'x');
    (await fixture.target.next()).abort('SESSION_LOST');
    await visitor.untilText('SESSION_LOST: ');
    expect(fixture.target.streams).toHaveLength(2);
  });

  it('is made for any method, body and trailers included, when nothing of it was used', async () => {
    visitor.send(
      'POST / HTTP/1.1',
      'Host: a.test',
      'Transfer-Encoding: chunked',
      '',
      '3',
      'abc',
      '0',
      'X-Sum: 7',
      '',
      '',
    );
    const first = await fixture.target.next();
    await first.untilEnded();
    first.abort('STREAM_REFUSED');
    const second = await fixture.target.next();
    await second.untilEnded();
    expect([second.body, second.trailers]).toEqual(['abc', first.trailers]);
    second.answer(200, ['Content-Length', '2'], 'ok');
    await visitor.untilText('ok');
    await expectNextRequestWorks();
  });

  it('goes on with a body that is still coming, waits while the agent is away, and notices a visitor who leaves', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 6', '', 'abc');
    const first = await fixture.target.next();
    await first.untilBody('abc');
    fixture.registry.hosts.set('a.test', { state: 'away' });
    first.abort('STREAM_REFUSED');
    await fixture.registry.until(() => fixture.registry.waiting.size === 1);
    visitor.send('def');
    fixture.registry.goOn({ state: 'ready', target: fixture.target });
    const second = await fixture.target.next();
    await second.untilEnded();
    expect(second.body).toBe('abcdef');
    second.abort('GOING_AWAY');
    await visitor.untilText('GOING_AWAY: ');
    fixture.registry.hosts.set('a.test', { state: 'ready', target: fixture.target });
    visitor.take();
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 1', '', 'x');
    const third = await fixture.target.next();
    await third.untilEnded();
    fixture.registry.hosts.set('a.test', { state: 'away' });
    third.abort('STREAM_REFUSED');
    await fixture.registry.until(() => fixture.registry.waiting.size === 1);
    visitor.socket.destroy();
    await fixture.registry.until(() => fixture.registry.cancelled === 1);
  });

  it('is not made when more of the body has gone out than is kept', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 100000', '', 'x'.repeat(100_000));
    const stream = await fixture.target.next();
    await stream.untilEnded();
    stream.abort('STREAM_REFUSED');
    expect(await visitor.untilText('STREAM_REFUSED: ')).toMatch(/^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: /);
  });

  it('that finds nobody says how the first one ended', async () => {
    visitor.send(GET);
    const stream = await fixture.target.next();
    fixture.registry.hosts.delete('a.test');
    stream.abort('SESSION_LOST');
    await visitor.untilText('SESSION_LOST: ');
  });

  it('is made for any method when the stream could not be opened, with its body', async () => {
    fixture.target.refusal = new PortholeError('GOING_AWAY');
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 1', '', 'x');
    const stream = await fixture.target.next();
    await stream.untilEnded();
    expect(stream.body).toBe('x');
    stream.answer(204, [], '');
    await visitor.untilText('204');
  });
});

describe('while the agent is away', () => {
  beforeEach(() => fixture.registry.hosts.set('a.test', { state: 'away' }));

  it('a request waits, its body unread, and goes on when the agent is back', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 4000000', '', '');
    await fixture.registry.until(() => fixture.registry.waiting.size === 1);
    visitor.socket.write(Buffer.alloc(4_000_000, 'x'));
    expect(fixture.parts.counters.waitingOpen).toBe(1);
    fixture.registry.goOn({ state: 'ready', target: fixture.target });
    const stream = await fixture.target.next();
    await stream.untilEnded();
    expect(stream.body).toHaveLength(4_000_000);
    stream.answer(204, [], '');
    await visitor.untilText('204');
  });

  it('a request is told to come again when it waited in vain, or too many wait', async () => {
    visitor.send(GET);
    await fixture.registry.until(() => fixture.registry.waiting.size === 1);
    fixture.registry.goOn({ state: 'away' });
    expect(await visitor.untilText('AGENT_AWAY: ')).toMatch(/^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: \d+\r\n/);
    fixture.registry.maxWaiting = 0;
    visitor.send(GET);
    await visitor.untilText('WAIT_LIMIT: ');
  });

  it('a visitor who leaves gives his place back', async () => {
    visitor.send(GET);
    await fixture.registry.until(() => fixture.registry.waiting.size === 1);
    visitor.socket.destroy();
    await fixture.registry.until(() => fixture.registry.cancelled === 1);
    const other = await fixture.dial();
    other.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 1', '', 'x');
    await fixture.registry.until(() => fixture.registry.waiting.size === 1);
    other.socket.destroy();
    await fixture.registry.until(() => fixture.registry.cancelled === 2);
  });
});

describe('trailers that came while the agent was away', () => {
  it('are answered 431 when no stream takes them', async () => {
    fixture.registry.hosts.set('a.test', { state: 'away' });
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Transfer-Encoding: chunked', '', '0', 'X-Sum: 7', '', '');
    await fixture.registry.until(() => fixture.registry.waiting.size === 1);
    fixture.target.script = (stream) => {
      stream.sendTrailers = () => {
        throw new PortholeError('HEAD_TOO_LARGE');
      };
    };
    fixture.registry.goOn({ state: 'ready', target: fixture.target });
    expect(await visitor.untilText('HEAD_TOO_LARGE: ')).toMatch(/^HTTP\/1\.1 431 /);
    expect((await fixture.target.next()).resetCode).toBe('CANCELLED');
  });
});

describe('an upgrade', () => {
  const UPGRADE = 'GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  const SWITCH = ['Upgrade', 'websocket', 'Connection', 'Upgrade', 'Sec-WebSocket-Accept', 'x'];

  it('keeps the bytes that ride with either head, and sends none up before the 101', async () => {
    visitor.send(`${UPGRADE}early`);
    const stream = await fixture.target.next();
    expect(stream.request).toMatchObject({ upgrade: true, bodiless: true });
    expect(stream.request.fields).toContain('Upgrade');
    await new Promise((resolve) => setImmediate(resolve));
    expect(stream.chunks).toHaveLength(0);
    stream.head(101, SWITCH, 'Switching Protocols').data('first');
    await visitor.untilText('first');
    expect(visitor.received).toMatch(
      /^HTTP\/1\.1 101 Switching Protocols\r\n(?=[\s\S]*Upgrade: websocket\r\n)(?=[\s\S]*Connection: upgrade\r\n)[\s\S]*\r\n\r\nfirst$/i,
    );
    await stream.untilBody('early');
    visitor.send('late');
    await stream.untilBody('earlylate');
    expect(stream.consumedBytes).toBe(5);
    stream.finish();
    await visitor.untilEnd();
    visitor.send('after your end');
    visitor.socket.end();
    await stream.untilEnded();
    expect(stream.body).toBe('earlylateafter your end');
    await visitor.untilClosed();
    expect(stream.resetCode).toBeUndefined();
  });

  it('keeps the half-close of the visitor', async () => {
    visitor.send(UPGRADE);
    const stream = await fixture.target.next();
    stream.head(101, SWITCH);
    await visitor.untilText('\r\n\r\n');
    visitor.socket.end('bye');
    await stream.untilEnded();
    stream.data('still here').finish();
    expect(await visitor.untilEnd()).toMatch(/still here$/);
  });

  it('is passed on as it is when refused, and the connection goes on as HTTP', async () => {
    for (const [status, fields] of [
      [403, ['Content-Length', '2']],
      [426, ['Upgrade', 'h9', 'Content-Length', '2']],
      [200, ['Content-Length', '2']],
    ] as const) {
      visitor.take();
      visitor.send(UPGRADE);
      const stream = await fixture.target.next();
      stream.answer(status, [...fields], 'no');
      await visitor.until(() => visitor.received.endsWith('\r\n\r\nno'));
      expect(visitor.received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} OK\r\n`));
      expect(stream.ended).toBe(true);
    }
    await expectNextRequestWorks();
  });

  it('that nobody asked for is a bad response', async () => {
    visitor.send(GET);
    (await fixture.target.next()).head(101, SWITCH);
    await visitor.untilText('ORIGIN_BAD_RESPONSE: ');
  });

  it.each(['GOING_AWAY', 'SESSION_LOST'] as const)(
    'tells a WebSocket to come back when its stream ends with %s between two frames',
    async (code) => {
      visitor.send(UPGRADE);
      const stream = await fixture.target.next();
      stream
        .head(101, SWITCH)
        .data(Buffer.from([0x81, 1, 120]))
        .abort(code);
      expect((await visitor.untilEnd()).slice(-7)).toBe('\x81\x01x\x88\x02\x03\xf4');
      visitor.socket.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
      await visitor.untilClosed();
      expect(visitor.error).toBeUndefined();
    },
  );

  it('is cut when its stream ends in the middle of a frame', async () => {
    visitor.send(UPGRADE);
    (await fixture.target.next())
      .head(101, SWITCH)
      .data(Buffer.from([0x81, 5, 120]))
      .abort('GOING_AWAY');
    await visitor.untilClosed();
    expect(visitor.error?.code).toBe('ECONNRESET');
  });

  it('that is reset looks like a reset to the visitor, and the other way round', async () => {
    visitor.send(UPGRADE);
    const stream = await fixture.target.next();
    stream.head(101, SWITCH);
    await visitor.untilText('\r\n\r\n');
    stream.abort('ORIGIN_TRUNCATED');
    await visitor.untilClosed();
    expect(visitor.error?.code).toBe('ECONNRESET');

    const other = await fixture.dial();
    other.send(UPGRADE);
    const second = await fixture.target.next();
    second.head(101, SWITCH);
    await other.untilText('\r\n\r\n');
    other.socket.resetAndDestroy();
    expect(await second.untilReset()).toBe('CANCELLED');
  });
});
