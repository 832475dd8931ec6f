/** Header fields: order, case, duplicates and bytes kept; hop-by-hop ones gone; forwarding fields that nobody can forge. */
import { describe, expect, it } from 'vitest';
import { type SeenRequest, plainAnswer } from '../harness/raw-origin.ts';
import { connectVisitor, readAnswer } from '../harness/raw-visitor.ts';
import { scriptedScene } from '../harness/scene.ts';

const FORWARDING = ['via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'];

const scene = scriptedScene();

/** What the origin saw of one GET with these header lines. */
async function seenWith(lines: string, path = '/'): Promise<SeenRequest> {
  const seen = Promise.withResolvers<SeenRequest>();
  scene.script = async (request) => {
    seen.resolve(request);
    await request.wire.send(plainAnswer());
  };
  await using visitor = await connectVisitor(scene.stage.url);
  await visitor.send(Buffer.from(`GET ${path} HTTP/1.1\r\nHost: ${scene.stage.host}\r\n${lines}\r\n`, 'latin1'));
  expect((await readAnswer(visitor)).status).toBe(200);
  return await seen.promise;
}

/** The answer's head at the visitor when the origin sends these lines. */
async function answerWith(lines: string, status = '200 OK') {
  scene.script = async (request) =>
    request.wire.send(Buffer.from(`HTTP/1.1 ${status}\r\n${lines}Content-Length: 2\r\n\r\nok`, 'latin1'));
  await using visitor = await connectVisitor(scene.stage.url);
  await visitor.send(`GET / HTTP/1.1\r\nHost: ${scene.stage.host}\r\n\r\n`);
  return await readAnswer(visitor);
}

describe('fields of requests', () => {
  it('arrive in order, with their case, duplicates, empty values and high bytes', async () => {
    const own =
      'x-ODD-case: 1\r\nAccept: a\r\nx-dup: one\r\nX-Dup: two\r\nX-Empty:\r\nX-Utf8: n\xc3\xa4me\r\nX-High: \x80\xff\r\nx_under: y\r\nCookie: a=b; c="d"\r\n';
    const seen = await seenWith(own);
    const kept = seen.fields.filter(
      ([name]) => !FORWARDING.includes(name.toLowerCase()) && name.toLowerCase() !== 'host',
    );
    expect(kept).toEqual([
      ['x-ODD-case', '1'],
      ['Accept', 'a'],
      ['x-dup', 'one'],
      ['X-Dup', 'two'],
      ['X-Empty', ''],
      ['X-Utf8', 'n\xc3\xa4me'],
      ['X-High', '\x80\xff'],
      ['x_under', 'y'],
      ['Cookie', 'a=b; c="d"'],
    ]);
  });

  it('carry the true forwarding fields, and cost under 300 bytes more', async () => {
    const lines = 'User-Agent: test\r\n';
    const seen = await seenWith(lines);
    expect(seen.field('x-forwarded-for')).toBe('127.0.0.1');
    expect(seen.field('x-forwarded-host')).toBe(scene.stage.host);
    expect(seen.field('x-forwarded-proto')).toBe('http');
    expect(seen.field('via')).toMatch(/^1\.1 \S+$/);
    expect(seen.field('host')).toBe(scene.stage.host);
    const sent = `GET / HTTP/1.1\r\nHost: ${scene.stage.host}\r\n${lines}\r\n`;
    expect(seen.head.length - sent.length).toBeLessThan(300);
  });

  it('cannot forge where they come from', async () => {
    const forged =
      'X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\n' +
      'Forwarded: for=6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nx_forwarded-host: evil.example\r\nProxy: http://evil.example\r\n';
    const seen = await seenWith(forged);
    expect(seen.head).not.toContain('6.6.6.6');
    expect(seen.head).not.toContain('evil.example');
    expect(seen.field('x-forwarded-proto')).toBe('http');
  });

  it('lose what belongs to one hop, nominated fields included', async () => {
    const seen = await seenWith(
      'Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: gzip, trailers\r\nX-Stays: 1\r\n',
    );
    for (const gone of ['x-hop', 'keep-alive', 'proxy-connection', 'proxy-authorization'])
      expect(seen.field(gone)).toBeUndefined();
    expect(seen.field('x-stays')).toBe('1');
    expect(seen.field('te') ?? 'trailers').toBe('trailers');
  });

  it('keep what nobody may nominate away', async () => {
    const seen = await seenWith(
      'Connection: close, Host, Authorization, Cookie, X-Forwarded-For, Content-Type\r\nAuthorization: Bearer t\r\nCookie: a=b\r\nContent-Type: x/y\r\n',
    );
    expect([seen.field('authorization'), seen.field('cookie'), seen.field('content-type')]).toEqual([
      'Bearer t',
      'a=b',
      'x/y',
    ]);
    expect(seen.field('host')).toBe(scene.stage.host);
    expect(seen.field('x-forwarded-for')).toBe('127.0.0.1');
  });

  it.each([
    '//double//slash',
    '/%2F%2f',
    '/./dot/../dots/..',
    '/?',
    '/?a=b?c&&=%zz',
    '/%ff%00',
    '/a;b=c,d',
    "/!$&'()*+,;=:@~-._",
    '/[]{}|^`',
    '/%E2%82%AC',
    '/trailing/',
  ])('leave the path %s as it is', async (path) => {
    expect((await seenWith('', path)).line).toBe(`GET ${path} HTTP/1.1`);
  });

  it('may be large: 8 and 30 KB in one field, 90 fields', async () => {
    for (const size of [8_000, 30_000]) {
      expect((await seenWith(`X-Big: ${'b'.repeat(size)}\r\n`)).field('x-big')).toHaveLength(size);
    }
    const many = Array.from({ length: 90 }, (_unused, i) => `x-${i}: ${i}\r\n`).join('');
    expect((await seenWith(many)).field('x-89')).toBe('89');
  });

  it('are forwarded whole when the head is cut at every byte', async () => {
    const seen = Promise.withResolvers<SeenRequest>();
    scene.script = async (request) => {
      seen.resolve(request);
      await request.wire.send(plainAnswer());
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.sendSplit(`GET /split HTTP/1.1\r\nHost: ${scene.stage.host}\r\nX-A: b\r\n\r\n`);
    expect((await readAnswer(visitor)).status).toBe(200);
    expect((await seen.promise).field('x-a')).toBe('b');
  });
});

describe('fields of answers', () => {
  it('are exactly those of the origin: the relay adds nothing to a good answer', async () => {
    const answer = await answerWith('Date: Tue, 03 Nov 2026 10:00:00 GMT\r\nServer: x\r\nx-ODD: 1\r\n');
    expect(answer.head).toBe(
      'HTTP/1.1 200 OK\r\nDate: Tue, 03 Nov 2026 10:00:00 GMT\r\nServer: x\r\nx-ODD: 1\r\nContent-Length: 2\r\n\r\n',
    );
  });

  it('keep order, case, duplicates and bytes', async () => {
    const lines =
      'set-cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nSet-Cookie: c=3; Expires=Tue, 03 Nov 2026 10:00:00 GMT\r\nContent-Disposition: attachment; filename="n\xc3\xa4me.txt"\r\nX-High: \x80\xff\r\nX-Empty:\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: Bearer\r\n';
    const answer = await answerWith(lines);
    expect(answer.all('set-cookie')).toEqual(['a=1; Path=/', 'b=2', 'c=3; Expires=Tue, 03 Nov 2026 10:00:00 GMT']);
    expect(answer.all('www-authenticate')).toEqual(['Basic', 'Bearer']);
    expect(answer.field('content-disposition')).toBe('attachment; filename="n\xc3\xa4me.txt"');
    expect(answer.field('x-high')).toBe('\x80\xff');
    expect(answer.field('x-empty')).toBe('');
    expect(answer.head).toContain('\r\nset-cookie: a=1');
  });

  it('keep UTF-8 wherever Content-Length stands', async () => {
    scene.script = async (request) =>
      request.wire.send(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: \xc3\xa9\r\n\r\n', 'latin1'));
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`GET / HTTP/1.1\r\nHost: ${scene.stage.host}\r\n\r\n`);
    expect((await readAnswer(visitor)).field('x-a')).toBe('\xc3\xa9');
  });

  it.each(['\x01', '\x00', '\x7f'])(
    'with a control byte are passed as they are or refused with 502, and nothing breaks',
    async (byte) => {
      const answer = await answerWith(`X-Ctl: a${byte}b\r\n`);
      if (answer.status === 502) expect(answer.field('porthole-error')).toBe('ORIGIN_BAD_RESPONSE');
      else expect(answer.field('x-ctl')).toBe(`a${byte}b`);
      expect((await answerWith('')).status).toBe(200);
    },
  );

  it('lose what belongs to one hop', async () => {
    const answer = await answerWith(
      'Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nX-Stays: 1\r\n',
    );
    for (const gone of ['x-hop', 'keep-alive']) expect(answer.field(gone)).toBeUndefined();
    expect(answer.field('x-stays')).toBe('1');
  });

  it('keep an empty reason and an odd one', async () => {
    expect((await answerWith('', '200 ')).reason).toBe('');
    expect((await answerWith('', '299 Not  Quite "OK"')).reason).toBe('Not  Quite "OK"');
  });

  it('may be 30 KB', async () => {
    const answer = await answerWith(`X-Big: ${'b'.repeat(30_000)}\r\n`);
    expect([answer.status, answer.field('x-big')?.length]).toEqual([200, 30_000]);
  });
});
