import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DoorFixture, type RawVisitor } from '../../../../test/contracts/edge-fixture.ts';
import type { FakeStream } from '../../../../test/contracts/fake-target.ts';
import { quietValue } from '../../../../test/harness/until.ts';

let fixture: DoorFixture;
let visitor: RawVisitor;

beforeEach(async () => {
  fixture = await DoorFixture.start();
  visitor = await fixture.dial();
});
afterEach(() => fixture.close());

const GET = 'GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n';

/** Asks for a small page on the same connection and expects exactly it. */
async function expectNextRequestWorks(): Promise<void> {
  visitor.take();
  visitor.send(GET);
  const stream = await fixture.target.next();
  expect(stream.request.target).toBe('/next');
  stream.answer(200, ['Content-Length', '4'], 'next');
  await visitor.until(() => visitor.received.endsWith('next'));
  expect(visitor.received).toBe('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext');
}

describe('a request on its way to the target', () => {
  it('arrives with path, order, case and duplicates kept and hop-by-hop fields gone', async () => {
    visitor.send(
      'GET //a/../%2F?x=%zz HTTP/1.1',
      'HOST: a.test:81',
      'X-Two: 1',
      'x-two: 2',
      'Connection: x-gone',
      'X-Gone: 1',
      'Keep-Alive: 1',
      '',
      '',
    );
    const { request } = await fixture.target.next();
    expect(request).toMatchObject({
      method: 'GET',
      target: '//a/../%2F?x=%zz',
      scheme: 'http',
      authority: 'a.test:81',
    });
    expect(request).toMatchObject({ visitorAddress: '127.0.0.1', bodiless: true, upgrade: false });
    expect(request.fields).toEqual([
      'HOST',
      'a.test:81',
      'X-Two',
      '1',
      'x-two',
      '2',
      'X-Forwarded-For',
      '127.0.0.1',
      'X-Forwarded-Host',
      'a.test:81',
      'X-Forwarded-Proto',
      'http',
      'Via',
      '1.1 relay-under-test',
    ]);
  });

  it('sends the body on as it comes, of a known length or chunked, with trailers', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 6', '', 'abc');
    const first = await fixture.target.next();
    await first.untilBody('abc');
    expect(first.ended).toBe(false);
    visitor.send('def');
    await first.untilEnded();
    expect(first.body).toBe('abcdef');
    first.answer(204, [], '');
    await visitor.untilText('204');

    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Transfer-Encoding: chunked', '', '3', 'abc', '');
    const second = await fixture.target.next();
    await second.untilBody('abc');
    visitor.send('1', 'd', '0', 'X-Sum: 7', '', '');
    await second.untilEnded();
    expect(second.body).toBe('abcd');
    expect(second.trailers).toBe('X-Sum\x007');
    expect(second.request.fields.join()).not.toMatch(/content-length|transfer-encoding/i);
    second.answer(204, [], '');
    await visitor.untilText('204');
  });

  it('is read the same however its bytes are split', async () => {
    const text = 'POST /s HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
    for (const byte of text) {
      visitor.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const stream = await fixture.target.next();
    await stream.untilEnded();
    expect(stream.body).toBe('abc');
    stream.answer(200, ['Content-Length', '0'], '');
    await visitor.untilText('200');
    await expectNextRequestWorks();
  });

  it('never reaches the target when it is not valid HTTP, and is answered before the close', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Content-Length: 1', 'Transfer-Encoding: chunked', '', 'x');
    const answer = await visitor.untilEnd();
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toContain('\r\nPorthole-Error: BAD_REQUEST\r\n');
    expect(answer).toContain('\r\nConnection: close\r\n');
    expect(fixture.target.streams).toHaveLength(0);
  });

  it('is given up when its chunks turn out broken: the stream is reset, the visitor told', async () => {
    visitor.send('POST / HTTP/1.1', 'Host: a.test', 'Transfer-Encoding: chunked', '', '3', 'abc', 'zz', '');
    const stream = await fixture.target.next();
    expect(await stream.untilReset()).toBe('CANCELLED');
    expect(await visitor.untilEnd()).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe('the answer, for every method and status', () => {
  const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND'];
  const STATUSES = [200, 201, 204, 205, 206, 301, 304, 401, 404, 426, 500, 599];

  for (const method of METHODS) {
    it(`keeps ${method} in step with the next request`, async () => {
      for (const status of STATUSES) {
        for (const length of ['known', 'unknown'] as const) {
          visitor.take();
          visitor.send(`${method} / HTTP/1.1`, 'Host: a.test', '', '');
          const stream = await fixture.target.next();
          const bodiless = method === 'HEAD' || status === 204 || status === 304;
          const fields = length === 'known' ? ['Content-Length', '5'] : [];
          stream.answer(status, ['X-Case', 'Kept', ...fields], bodiless ? '' : 'hello');
          await expectAnswer(status, bodiless, length, stream);
        }
      }
      await expectNextRequestWorks();
    });
  }

  async function expectAnswer(
    status: number,
    bodiless: boolean,
    length: 'known' | 'unknown',
    stream: FakeStream,
  ): Promise<void> {
    let expected = `HTTP/1.1 ${status} OK\r\nX-Case: Kept\r\n`;
    if (length === 'known' && status !== 204) expected += 'Content-Length: 5\r\n';
    if (length === 'unknown' && !bodiless) expected += 'Transfer-Encoding: chunked\r\n';
    expected += '\r\n';
    if (!bodiless) expected += length === 'known' ? 'hello' : '5\r\nhello\r\n0\r\n\r\n';
    await visitor.until(() => visitor.received.length >= expected.length);
    expect(visitor.received).toBe(expected);
    expect(stream.resetCode).toBeUndefined();
  }
});

describe('the answer', () => {
  it('has every byte of values kept and nothing added', async () => {
    visitor.send(GET);
    const stream = await fixture.target.next();
    stream.answer(200, ['set-cookie', 'a=\x80\xff', 'Set-Cookie', 'b', 'X-Empty', '', 'Content-Length', '1'], 'x');
    await visitor.until(() => visitor.received.endsWith('x'));
    expect(visitor.received).toBe(
      'HTTP/1.1 200 OK\r\nset-cookie: a=\x80\xff\r\nSet-Cookie: b\r\nX-Empty: \r\nContent-Length: 1\r\n\r\nx',
    );
  });

  it('goes out chunk by chunk as it comes, the head alone first', async () => {
    visitor.send(GET);
    const stream = await fixture.target.next();
    stream.head(200, ['Content-Type', 'text/plain']);
    await visitor.untilText('\r\n\r\n');
    stream.data('one');
    await visitor.untilText('3\r\none\r\n');
    stream.data('two').sendFields(['X-Sum', '6', 'Content-Length', '9']).finish();
    await visitor.untilText('3\r\ntwo\r\n0\r\nX-Sum: 6\r\n\r\n');
    await expectNextRequestWorks();
  });

  it('passes interim answers on in order, before the final one', async () => {
    visitor.send(GET);
    const stream = await fixture.target.next();
    stream
      .head(103, ['Link', '</a.css>'], 'Early Hints')
      .head(102, [], 'Processing')
      .answer(200, ['Content-Length', '0'], '');
    await visitor.untilText('200 OK\r\nContent-Length: 0\r\n\r\n');
    expect(visitor.received).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>\r\n\r\nHTTP\/1\.1 102 Processing\r\n\r\nHTTP\/1\.1 200/,
    );
    await expectNextRequestWorks();
  });

  it('says close and closes when the visitor asks for it', async () => {
    visitor.send('GET / HTTP/1.1', 'Host: a.test', 'Connection: close', '', '');
    (await fixture.target.next()).answer(200, ['Content-Length', '2'], 'ok');
    expect(await visitor.untilEnd()).toBe('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
  });

  it('is no clean end when the stream breaks off, whatever delimits it', async () => {
    for (const [version, fields] of [
      ['1.1', ['Content-Length', '9']],
      ['1.1', []],
      ['1.0', []],
    ] as const) {
      const reader = await fixture.dial();
      reader.send(`GET / HTTP/${version}`, 'Host: a.test', '', '');
      const stream = await fixture.target.next();
      stream.head(200, [...fields]).data('part');
      await reader.untilText('part');
      stream.abort('ORIGIN_TRUNCATED');
      await reader.untilClosed();
      expect(reader.received).not.toContain('0\r\n\r\n');
      expect(reader.error?.code).toBe('ECONNRESET');
    }
    expect(fixture.parts.counters.truncatedTotal).toBe(3);
  });

  it('is broken off when the target sends fewer or more bytes than it announced', async () => {
    for (const body of ['short', 'much too long']) {
      const reader = await fixture.dial();
      reader.send(GET);
      (await fixture.target.next()).answer(200, ['Content-Length', '9'], body);
      await reader.untilClosed();
      expect(reader.error?.code).toBe('ECONNRESET');
    }
  });

  it('is a 502 when the head makes no sense', async () => {
    for (const fields of [
      ['Content-Length', '1', 'Content-Length', '2'],
      ['Bad Name', 'x'],
      ['X', 'a\x01b'],
    ]) {
      visitor.take();
      visitor.send(GET);
      const stream = await fixture.target.next();
      stream.head(200, fields);
      await visitor.untilText('\r\nPorthole-Error: ORIGIN_BAD_RESPONSE\r\n');
      expect(stream.resetCode).toBe('PROTOCOL_ERROR');
    }
    await visitor.untilText('ORIGIN_BAD_RESPONSE: ');
    await expectNextRequestWorks();
  });
});

describe('HTTP/1.0', () => {
  it('gets answers delimited by the close, without interim ones', async () => {
    visitor.send('GET / HTTP/1.0', 'Host: a.test', '', '');
    (await fixture.target.next()).head(103).answer(200, [], 'hello');
    expect(await visitor.untilEnd()).toBe('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello');
  });

  it('keeps the connection when asked to and the length is known', async () => {
    visitor.send('GET / HTTP/1.0', 'Host: a.test', 'Connection: keep-alive', '', '');
    (await fixture.target.next()).answer(200, ['Content-Length', '2'], 'ok');
    await visitor.untilText('ok');
    expect(visitor.received).toBe('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok');
    await expectNextRequestWorks();
  });
});

describe('pipelining', () => {
  it('answers in order, one exchange at a time', async () => {
    visitor.send(
      'GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a.test\r\n\r\n',
    );
    for (const path of ['/1', '/2', '/3']) {
      const stream = await fixture.target.next();
      expect(stream.request.target).toBe(path);
      expect(fixture.target.streams.at(-1)).toBe(stream);
      stream.answer(200, ['Content-Length', '2'], path);
      await visitor.untilText(`\r\n\r\n${path}`);
    }
    await expectNextRequestWorks();
  });

  it('reads ahead no more than a little while an exchange is under way', async () => {
    visitor.send('GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n');
    const stream = await fixture.target.next();
    const junk = Buffer.alloc(8 * 1024 * 1024, 'GET /2 HTTP/1.1\r\nHost: none.test\r\n\r\n');
    visitor.socket.write(junk);
    const taken = await quietValue(() => visitor.socket.bytesWritten - visitor.socket.writableLength);
    expect(taken).toBeLessThan(junk.length);
    stream.answer(200, ['Content-Length', '2'], '/1');
    await visitor.untilText('/1');
    await visitor.untilText('TUNNEL_NOT_FOUND');
  });

  it.each([
    ['a request behind it', `${GET}${GET}`],
    ['bytes behind a wish to upgrade', `${GET.slice(0, -2)}Connection: upgrade\r\nUpgrade: x\r\n\r\nearly`],
  ])('does not hide that the visitor has gone: %s', async (_what, bytes) => {
    for (const leave of ['resetAndDestroy', 'end'] as const) {
      const leaver = await fixture.dial();
      leaver.send(bytes);
      const stream = await fixture.target.next();
      leaver.socket[leave]();
      expect(await stream.untilReset()).toBe('CANCELLED');
    }
  });

  it('answers what was sent before the visitor ended his side', async () => {
    visitor.send(`${GET}${GET}`);
    visitor.socket.end();
    for (const body of ['1', '2']) (await fixture.target.next()).answer(200, ['Content-Length', '1'], body);
    await visitor.untilClosed();
    expect(visitor.received).toMatch(/\r\n\r\n1HTTP[^]*\r\n\r\n2$/);
  });

  it('answers many requests at once from one read, its own answers included', async () => {
    const one = 'GET / HTTP/1.1\r\nHost: none.test\r\n\r\n';
    visitor.send(one.repeat(1000));
    await visitor.until(() => visitor.received.split('\r\nPorthole-Error: TUNNEL_NOT_FOUND\r\n').length === 1001);
    await visitor.until(() => visitor.received.endsWith('\n'));
    await expectNextRequestWorks();
  });
});
