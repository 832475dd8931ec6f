/** The edges of an upgrade: bytes that ride with either head, refusals, other protocols, origins that leave. */
import { describe, expect, it } from 'vitest';
import { type SeenRequest, plainAnswer } from '../harness/raw-origin.ts';
import { connectVisitor, readAnswer, readAnswerHead } from '../harness/raw-visitor.ts';
import { scriptedScene } from '../harness/scene.ts';
import { staysTrue } from '../harness/until.ts';

const scene = scriptedScene();

const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n';

const upgrade = (protocol = 'websocket', extra = ''): string =>
  `GET /up HTTP/1.1\r\nHost: ${scene.stage.host}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Key: eA==\r\n${extra}\r\n`;

describe('upgrades', () => {
  it("keep the origin's first bytes that ride with the 101, every time", async () => {
    scene.script = async ({ wire }) => {
      await wire.send(`${SWITCH}first frame`);
      await wire.untilEnded();
    };
    for (let i = 0; i < 50; i++) {
      await using visitor = await connectVisitor(scene.stage.url);
      await visitor.send(upgrade());
      const answer = await readAnswerHead(visitor);
      expect([answer.status, answer.field('upgrade'), answer.field('connection')?.toLowerCase()]).toEqual([
        101,
        'websocket',
        'upgrade',
      ]);
      await visitor.readUntil('first frame');
    }
  });

  it("keep the visitor's bytes that ride with the request, and hold them until the 101", async () => {
    let early = 0;
    scene.script = async ({ wire }) => {
      await staysTrue('nothing before the 101', () => wire.unreadBytes === 0, 50);
      early += wire.unreadBytes;
      await wire.send(SWITCH);
      await wire.readUntil('eager');
      await wire.send('got it');
      await wire.untilEnded();
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`${upgrade()}eager`);
    expect((await readAnswerHead(visitor)).status).toBe(101);
    await visitor.readUntil('got it');
    expect(early).toBe(0);
  });

  it('keep both when the origin answers byte by byte', async () => {
    scene.script = async ({ wire }) => {
      await wire.sendSplit(`${SWITCH}tail`);
      await wire.readUntil('head');
      await wire.send('!');
      await wire.untilEnded();
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`${upgrade()}head`);
    expect((await readAnswerHead(visitor)).status).toBe(101);
    await visitor.readUntil('tail!');
  });

  it('pass the 101 with all its fields', async () => {
    scene.script = async ({ wire }) => {
      await wire.send(
        SWITCH.replace('\r\n\r\n', '\r\nSec-WebSocket-Protocol: a\r\nX-Odd: 1\r\nSet-Cookie: a=b\r\n\r\n'),
      );
      await wire.untilEnded();
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(upgrade('websocket', 'Sec-WebSocket-Protocol: a, b\r\nAccept-Encoding: x-odd\r\n'));
    const answer = await readAnswerHead(visitor);
    expect([
      answer.field('sec-websocket-protocol'),
      answer.field('x-odd'),
      answer.field('set-cookie'),
      answer.field('sec-websocket-accept'),
    ]).toEqual(['a', '1', 'a=b', 'x']);
    expect(scene.origin.requests.at(-1)?.field('accept-encoding')).toBe('x-odd');
  });

  it.each([
    [
      '401 with a body',
      'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 4\r\n\r\nkeys',
      401,
      'keys',
    ],
    ['403 in chunks', 'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n', 403, 'no'],
    ['426', 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n', 426, ''],
    ['200', plainAnswer('plain'), 200, 'plain'],
    ['302', 'HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n', 302, ''],
  ])('that the origin refuses with %s are refused just so', async (_what, bytes, status, body) => {
    scene.script = async ({ wire }) => wire.send(bytes);
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(upgrade());
    const answer = await readAnswer(visitor);
    expect([answer.status, answer.body.toString()]).toEqual([status, body]);
  });

  it('to any other protocol work as well', async () => {
    scene.script = async ({ wire }) => {
      await wire.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x-own/2\r\nConnection: Upgrade\r\n\r\n');
      const line = await wire.readUntil('\n');
      await wire.send(line);
      await wire.untilEnded();
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(upgrade('x-own/2'));
    expect((await readAnswerHead(visitor)).field('upgrade')).toBe('x-own/2');
    await visitor.send('\0\xff raw\n');
    expect(await visitor.readUntil('\n')).toEqual(Buffer.from('\0\xff raw\n', 'latin1'));
  });

  it('to h2c are not handed to the origin', async () => {
    const seen = Promise.withResolvers<SeenRequest>();
    scene.script = async (request) => {
      seen.resolve(request);
      await request.wire.send(plainAnswer());
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(
      `GET / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
    );
    const answer = await readAnswer(visitor);
    if (answer.status !== 200) return void expect(answer.status).toBeGreaterThanOrEqual(400);
    expect((await seen.promise).field('http2-settings')).toBeUndefined();
  });

  it('an origin that closes before it answers gives 502', async () => {
    scene.script = async ({ wire }) => wire.close();
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(upgrade());
    const answer = await readAnswer(visitor);
    expect([answer.status, answer.field('porthole-error')]).toEqual([502, 'ORIGIN_CLOSED']);
  });

  it('either half may close first, and the other goes on', async () => {
    scene.script = async ({ wire }) => {
      await wire.send(SWITCH);
      await wire.untilEnded();
      await wire.send('after your end');
      wire.end();
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(upgrade());
    await readAnswerHead(visitor);
    visitor.end();
    expect((await visitor.readToEnd()).toString()).toBe('after your end');

    const ended = Promise.withResolvers<string>();
    scene.script = async ({ wire }) => {
      await wire.send(SWITCH);
      wire.end();
      ended.resolve((await wire.readToEnd()).toString());
    };
    await using second = await connectVisitor(scene.stage.url);
    await second.send(upgrade());
    await readAnswerHead(second);
    await second.untilEnded();
    await second.send('still here');
    second.end();
    expect(await ended.promise).toBe('still here');
  });

  it('a visitor who leaves before the 101 is noticed by the origin', async () => {
    const left = Promise.withResolvers<void>();
    scene.script = async ({ wire }) => {
      await wire.untilEnded();
      left.resolve();
    };
    await using visitor = await connectVisitor(scene.stage.url);
    const arrived = scene.origin.nextRequest();
    await visitor.send(upgrade());
    await arrived;
    visitor.reset();
    await left.promise;
  });
});
