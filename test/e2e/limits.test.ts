/** Every limit answers by name, with its knob, and harms nobody else; and what must have no limit has none. */
import { afterAll, describe, expect, it } from 'vitest';
import { launchAgent, startAgent } from '../harness/agent.ts';
import { plainAnswer, readRequestBody, startRawOrigin } from '../harness/raw-origin.ts';
import { askOnce, connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import { sceneOfFile } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import type { Wire } from '../harness/wire.ts';

const scene = sceneOfFile(
  () =>
    startRawOrigin(async (request) => {
      const body = await readRequestBody(request, 60_000);
      if (request.line.includes('/hold')) await hold.promise;
      await request.wire.send(plainAnswer(String(body.length)));
    }),
  {
    relay: {
      config: {
        limits: {
          max_head_bytes: 16_384,
          max_fields: 100,
          max_target_bytes: 4096,
          head_timeout: '1s',
          idle_timeout: '2s',
          max_visitors_per_address: 40,
          max_streams_per_session: 10,
          max_tunnels_per_user: 3,
        },
      },
    },
  },
);
let hold = Promise.withResolvers<void>();
afterAll(async () => {
  hold.resolve();
});

const get = (path: string, extra = ''): string => getRequest(scene.stage.url, path, extra);

describe('limits', () => {
  it.each([
    ['a head of 20 KB', () => get('/', `X: ${'y'.repeat(20_000)}\r\n`), 431, 'HEAD_TOO_LARGE', 'limits.max_head_bytes'],
    [
      '101 fields',
      () => get('/', Array.from({ length: 101 }, (_unused, i) => `x${i}: y\r\n`).join('')),
      431,
      'TOO_MANY_FIELDS',
      'limits.max_fields',
    ],
    ['a target of 5 KB', () => get(`/${'p'.repeat(5000)}`), 414, 'TARGET_TOO_LONG', 'limits.max_target_bytes'],
  ])('%s: answered with the limit and its knob', async (_what, request, status, code, knob) => {
    const answer = await askOnce(scene.stage.url, request());
    expect([answer.status, answer.field('porthole-error')]).toEqual([status, code]);
    expect(answer.body.toString()).toContain(knob);
  });

  it('a head that takes too long: 408, and dribbling does not help', async () => {
    await using slow = await connectVisitor(scene.stage.url);
    await slow.send(`GET / HTTP/1.1\r\nHost: ${scene.stage.host}\r\n`);
    const dribble = setInterval(() => slow.socket.write('x: y\r\n'), 200);
    const answer = await readAnswer(slow);
    clearInterval(dribble);
    expect([answer.status, answer.field('porthole-error')]).toEqual([408, 'HEAD_TIMEOUT']);
  });

  it('a connection that stays idle between requests is closed, silently', async () => {
    await using idle = await connectVisitor(scene.stage.url);
    await idle.send(get('/'));
    expect((await readAnswer(idle)).status).toBe(200);
    await idle.untilEnded(90_000);
    expect(idle.unreadBytes).toBe(0);
  });

  it('no more streams at once than the session may have: 503 STREAM_LIMIT, then service again', async () => {
    hold = Promise.withResolvers<void>();
    const visitors: Wire[] = [];
    for (let i = 0; i < 10; i++) {
      const visitor = await connectVisitor(scene.stage.url);
      await visitor.send(get('/hold'));
      visitors.push(visitor);
    }
    await until(
      'ten are held',
      () => scene.origin.requests.filter((request) => request.line.includes('/hold')).length === 10,
    );
    const answer = await askOnce(scene.stage.url, get('/'));
    expect([answer.status, answer.field('porthole-error')]).toEqual([503, 'STREAM_LIMIT']);
    hold.resolve();
    for (const visitor of visitors) {
      expect((await readAnswer(visitor)).status).toBe(200);
      await visitor.close();
    }
    expect((await askOnce(scene.stage.url, get('/'))).status).toBe(200);
  });

  it('no more connections from one address than allowed; those that stand go on', async () => {
    const visitors = await Promise.all(Array.from({ length: 60 }, () => connectVisitor(scene.stage.url)));
    await until('some are closed', () => visitors.filter((visitor) => visitor.ended || visitor.closed).length >= 20);
    const open = visitors.filter((visitor) => !visitor.ended && !visitor.closed);
    expect(open.length).toBeLessThanOrEqual(40);
    const [first] = open;
    await first?.send(get('/'));
    expect(first === undefined ? 0 : (await readAnswer(first)).status).toBe(200);
    for (const visitor of visitors) await visitor.close();
    await until('service is back', async () => {
      try {
        return (await askOnce(scene.stage.url, get('/'), { deadlineMs: 1_000 })).status === 200;
      } catch {
        return false;
      }
    });
  });

  it('no more tunnels than the user may have: refused by name', async () => {
    const more = await Promise.all(
      [1, 2].map((i) =>
        startAgent({
          relayUrl: scene.stage.relay.url,
          token: scene.stage.token,
          target: scene.origin.port,
          name: `more-${i}`,
        }),
      ),
    );
    const refused = launchAgent({
      relayUrl: scene.stage.relay.url,
      token: scene.stage.token,
      target: scene.origin.port,
      name: 'more-3',
    });
    expect((await refused.program.exited).code).toBe(3);
    expect(refused.program.tail()).toContain('TUNNEL_LIMIT');
    for (const agent of [...more, refused]) await agent.close();
  });
});

describe.concurrent('what has no limit', () => {
  it('the time to the first byte of an answer: the idle limit does not touch it', async () => {
    hold = Promise.withResolvers<void>();
    await using visitor = await connectVisitor(scene.stage.url);
    const start = performance.now();
    await visitor.send(get('/hold'));
    const waiting = readAnswer(visitor, { deadlineMs: 20_000 });
    setTimeout(() => hold.resolve(), 3_000);
    expect((await waiting).status).toBe(200);
    expect(performance.now() - start).toBeGreaterThan(2_500);
  });

  it('the time an upload takes: a trickle longer than every limit passes', async () => {
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`POST / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nContent-Length: 20\r\n\r\n`);
    let sent = 0;
    const trickle = setInterval(() => {
      visitor.socket.write('x');
      if (++sent === 20) clearInterval(trickle);
    }, 150);
    const answer = await readAnswer(visitor, { deadlineMs: 20_000 });
    clearInterval(trickle);
    expect([answer.status, answer.body.toString()]).toEqual([200, '20']);
  });
});
