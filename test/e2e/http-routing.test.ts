/** Whoever spells an address differently gets the same tunnel or none; what is ambiguous never reaches an origin. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../harness/agent.ts';
import { type RawOrigin, plainAnswer, readRequestBody, startRawOrigin } from '../harness/raw-origin.ts';
import { askOnce, connectVisitor, readAnswer } from '../harness/raw-visitor.ts';
import { type Stage, startStage } from '../harness/stage.ts';

let mine: RawOrigin;
let other: RawOrigin;
let stage: Stage;
let otherAgent: AgentUnderTest;

beforeAll(async () => {
  const answering = (who: string) =>
    startRawOrigin(async (request) => {
      await readRequestBody(request);
      await request.wire.send(plainAnswer(who));
    });
  mine = await answering('mine');
  other = await answering('other');
  stage = await startStage(mine.port, { agent: { name: 'mine' } });
  otherAgent = await startAgent({ relayUrl: stage.relay.url, token: stage.token, target: other.port, name: 'other' });
});
afterAll(async () => {
  await otherAgent?.close();
  await stage?.close();
  await mine?.close();
  await other?.close();
});

async function bodyFor(request: string): Promise<string> {
  const answer = await askOnce(stage.url, request);
  return answer.status === 200 ? answer.body.toString() : `${answer.status} ${answer.field('porthole-error')}`;
}

describe('spellings of an address', () => {
  it.each([
    ['as it is', 'mine.localhost'],
    ['with the port', 'mine.localhost:PORT'],
    ['with another port', 'mine.localhost:1'],
    ['in capitals', 'MINE.LocalHost'],
    ['with a dot at its end', 'mine.localhost.'],
  ])('%s lead to the tunnel', async (_what, host) => {
    expect(await bodyFor(`GET / HTTP/1.1\r\nHost: ${host.replace('PORT', String(stage.port))}\r\n\r\n`)).toBe('mine');
  });

  it.each([
    ['a look-alike suffix', 'mine.evillocalhost'],
    ['a prefix', 'xmine.localhost'],
    ['a label more', 'a.mine.localhost'],
    ['an address', '127.0.0.1'],
    ['two dots', 'mine.localhost..'],
    ['an empty label', 'mine..localhost'],
    ['an encoded dot', 'mine%2elocalhost'],
  ])('%s does not', async (_what, host) => {
    expect(await bodyFor(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toMatch(/^4\d\d /);
  });

  it('an absolute-form target decides, not Host', async () => {
    expect(await bodyFor(`GET http://other.localhost/x HTTP/1.1\r\nHost: mine.localhost\r\n\r\n`)).toBe('other');
    const seen = other.requests.at(-1);
    expect(seen?.line).toBe('GET /x HTTP/1.1');
    expect(seen?.field('host')).toBe('other.localhost');
  });

  it('a path that looks like another host stays a path', async () => {
    for (const path of ['//other.localhost/', '/http://other.localhost/', '/@other.localhost/', '/\\other.localhost']) {
      expect(await bodyFor(`GET ${path} HTTP/1.1\r\nHost: mine.localhost\r\n\r\n`)).toMatch(/^(mine|400 BAD_REQUEST)$/);
    }
  });
});

describe('ambiguous requests', () => {
  const cases: readonly [string, string][] = [
    [
      'both lengths and chunks',
      'POST / HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['two different lengths', 'POST / HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello'],
    ['a list of lengths', 'POST / HTTP/1.1\r\nHost: H\r\nContent-Length: 5, 6\r\n\r\nhello'],
    ['a signed length', 'POST / HTTP/1.1\r\nHost: H\r\nContent-Length: +5\r\n\r\nhello'],
    ['a tab before the coding ends', 'POST / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n'],
    ['chunked not last', 'POST / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'],
    [
      'chunked twice',
      'POST / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost: H\r\nX-A : b\r\n\r\n'],
    ['a folded line', 'GET / HTTP/1.1\r\nHost: H\r\nX-A: b\r\n c\r\n\r\n'],
    ['bare line feeds', 'GET / HTTP/1.1\nHost: H\n\n'],
    ['a bare carriage return', 'GET / HTTP/1.1\r\nHost: H\r\nX-A: b\rc\r\n\r\n'],
    ['NUL', 'GET / HTTP/1.1\r\nHost: H\r\nX-A: b\0c\r\n\r\n'],
    ['two hosts', 'GET / HTTP/1.1\r\nHost: H\r\nHost: other.localhost\r\n\r\n'],
    ['no host', 'GET / HTTP/1.1\r\n\r\n'],
    ['userinfo in the host', 'GET / HTTP/1.1\r\nHost: mine.localhost@other.localhost\r\n\r\n'],
    ['two spaces in the line', 'GET  / HTTP/1.1\r\nHost: H\r\n\r\n'],
    ['chunks in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    [
      'a chunk size with a sign',
      'POST / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n',
    ],
    [
      'a chunk that is longer than said',
      'POST / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n',
    ],
  ];

  it.each(cases)('%s: 400 and close, and the smuggled request never runs', async (_what, bytes) => {
    const before = mine.requests.length;
    await using visitor = await connectVisitor(stage.url);
    await visitor.send(
      Buffer.from(
        `${bytes.replace('Host: H\r\n', 'Host: mine.localhost\r\n').replace('Host: H\n', 'Host: mine.localhost\n')}GET /smuggled HTTP/1.1\r\nHost: mine.localhost\r\n\r\n`,
        'latin1',
      ),
    );
    const answer = await readAnswer(visitor);
    expect(answer.status).toBe(400);
    await visitor.untilEnded();
    expect(visitor.take().toString()).toBe('');
    expect(mine.requests.slice(before).filter((request) => request.line.includes('smuggled'))).toEqual([]);
  });
});
