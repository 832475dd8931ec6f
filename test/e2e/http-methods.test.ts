/** Every method against every kind of status, at byte level, each followed by a second request on the same connection. */
import { describe, expect, it } from 'vitest';
import { plainAnswer, readRequestBody } from '../harness/raw-origin.ts';
import { connectVisitor, readAnswer } from '../harness/raw-visitor.ts';
import { scriptedScene } from '../harness/scene.ts';

const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'PROPFIND',
  'M-SEARCH',
  'PURGE',
  'FOOBAR',
  'get',
];
const BODILESS = new Set([204, 304]);
const STATUSES = [200, 201, 204, 206, 301, 304, 400, 401, 404, 418, 500, 503, 599];
const DATE = 'Date: Tue, 03 Nov 2026 10:00:00 GMT\r\n';

const scene = scriptedScene();

describe('methods and statuses', () => {
  it.each(METHODS)('passes %s with every status on one kept connection, framing untouched', async (method) => {
    await using visitor = await connectVisitor(scene.stage.url);
    const withBody = method !== 'GET' && method !== 'HEAD';
    for (const status of STATUSES) {
      const bodiless = BODILESS.has(status);
      const headers = `${DATE}Content-Type: text/x-${status}\r\n${status === 204 ? '' : 'Content-Length: 5\r\n'}`;
      const head = `HTTP/1.1 ${status} Some Reason\r\n${headers}\r\n`;
      let seenLine = '';
      let seenBody = '';
      scene.script = async (request) => {
        seenLine = request.line;
        seenBody = (await readRequestBody(request)).toString();
        await request.wire.send(bodiless || method === 'HEAD' ? head : `${head}hello`);
      };
      const body = withBody ? `Content-Length: 4\r\n\r\nbody` : '\r\n';
      await visitor.send(`${method} /m?s=${status} HTTP/1.1\r\nHost: ${scene.stage.host}\r\n${body}`);
      const answer = await readAnswer(visitor, { method });
      expect([answer.status, answer.reason]).toEqual([status, 'Some Reason']);
      expect(answer.field('content-type')).toBe(`text/x-${status}`);
      expect(answer.field('content-length')).toBe(status === 204 ? undefined : '5');
      expect(answer.field('transfer-encoding')).toBeUndefined();
      expect(answer.body.toString()).toBe(bodiless || method === 'HEAD' ? '' : 'hello');
      expect(seenLine).toBe(`${method} /m?s=${status} HTTP/1.1`);
      expect(seenBody).toBe(withBody ? 'body' : '');
    }
    expect(visitor.unreadBytes).toBe(0);
    expect(visitor.ended).toBe(false);
  });

  it.each(['CONNECT', 'TRACE'])('refuses %s itself', async (method) => {
    const before = scene.origin.requests.length;
    await using visitor = await connectVisitor(scene.stage.url);
    const target = method === 'CONNECT' ? `${scene.stage.host}` : '/';
    await visitor.send(`${method} ${target} HTTP/1.1\r\nHost: ${scene.stage.host}\r\n\r\n`);
    const answer = await readAnswer(visitor);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.field('porthole-error')).toMatch(/^[A-Z_]+$/);
    expect(scene.origin.requests.length).toBe(before);
  });

  it('keeps Content-Length: 0 and invents none', async () => {
    const seen: (string | undefined)[][] = [];
    scene.script = async (request) => {
      seen.push([request.field('content-length'), request.field('transfer-encoding')]);
      await request.wire.send(plainAnswer());
    };
    await using visitor = await connectVisitor(scene.stage.url);
    for (const [method, extra] of [
      ['PUT', 'Content-Length: 0\r\n'],
      ['POST', ''],
      ['DELETE', ''],
      ['GET', 'Content-Length: 0\r\n'],
    ] as const) {
      await visitor.send(`${method} / HTTP/1.1\r\nHost: ${scene.stage.host}\r\n${extra}\r\n`);
      expect((await readAnswer(visitor)).status).toBe(200);
    }
    expect(seen).toEqual([
      ['0', undefined],
      [undefined, undefined],
      [undefined, undefined],
      ['0', undefined],
    ]);
  });

  it('keeps a chunked upload chunked', async () => {
    const seen: unknown[] = [];
    scene.script = async (request) => {
      seen.push(
        request.field('content-length'),
        request.field('transfer-encoding'),
        (await readRequestBody(request)).toString(),
      );
      await request.wire.send(plainAnswer());
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(
      `POST / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    );
    expect((await readAnswer(visitor)).status).toBe(200);
    expect(seen).toEqual([undefined, 'chunked', 'hello']);
  });

  it('answers pipelined requests in their order', async () => {
    scene.script = async (request) => {
      await request.wire.send(plainAnswer(request.line.split(' ')[1] ?? ''));
    };
    await using visitor = await connectVisitor(scene.stage.url);
    const paths = Array.from({ length: 20 }, (_unused, i) => `/${i}`);
    await visitor.send(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: ${scene.stage.host}\r\n\r\n`).join(''));
    const answers: string[] = [];
    for (const _path of paths) answers.push((await readAnswer(visitor)).body.toString());
    expect(answers).toEqual(paths);
  });

  it('passes a GET with a body', async () => {
    let body = '';
    scene.script = async (request) => {
      body = (await readRequestBody(request)).toString();
      await request.wire.send(plainAnswer());
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`GET / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nContent-Length: 5\r\n\r\nquery`);
    expect((await readAnswer(visitor)).status).toBe(200);
    expect(body).toBe('query');
  });

  it('passes an OPTIONS * on', async () => {
    scene.script = async (request) => request.wire.send(plainAnswer(request.line));
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`OPTIONS * HTTP/1.1\r\nHost: ${scene.stage.host}\r\n\r\n`);
    expect((await readAnswer(visitor)).body.toString()).toBe('OPTIONS * HTTP/1.1');
  });
});
