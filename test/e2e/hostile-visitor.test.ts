/** Visitors who know how it works inside: nothing they send becomes frames, lines or somebody else's request. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startOrigin } from '../harness/origin.ts';
import { seededRandom } from '../harness/random.ts';
import { askOnce, connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import { sceneOfFile } from '../harness/scene.ts';
import { DEFAULT_DEADLINE_MS, within } from '../harness/until.ts';
import { type LongVisit, visitWebSocket } from '../harness/visits.ts';

const scene = sceneOfFile(startOrigin);
let bystander: LongVisit;

beforeAll(async () => {
  bystander = await visitWebSocket(scene.stage.url);
});
afterAll(async () => {
  await bystander?.stop();
});
afterEach(async () => {
  expect((await askOnce(scene.stage.url, getRequest(scene.stage.url, '/size/100'))).body.length).toBe(100);
  await bystander.untilCount(bystander.count + 5);
  expect(scene.stage.relay.program.exit).toBeUndefined();
});

describe('a head about as long as a frame', () => {
  /** A GET whose head has exactly this many bytes. */
  function headOf(bytes: number): string {
    const start = `GET /size/1 HTTP/1.1\r\nHost: ${scene.stage.host}\r\nX: `;
    return `${start}${'a'.repeat(bytes - start.length - 4)}\r\n\r\n`;
  }

  // Were its length cut to 16 bits, what is behind it would be read as frames of the session.
  it('is passed on or refused with 431, and never cut', async () => {
    const seen = new Map<number, number>();
    for (let bytes = 65_340; bytes <= 65_536; bytes += 14)
      seen.set(bytes, (await askOnce(scene.stage.url, headOf(bytes))).status);
    expect(new Set(seen.values())).toEqual(new Set([200, 431]));
  });
});

describe('noise at the public door', () => {
  const pieces = [
    'GET / HTTP/1.1\r\n',
    'POST /echo HTTP/1.1\r\n',
    'OPTIONS * HTTP/1.1\r\n',
    'Host: HOST\r\n',
    'Host: \r\n',
    '\r\n',
    '\r\n\r\n',
    '\n',
    'Content-Length: 5\r\n',
    'Content-Length: 0\r\n',
    'Transfer-Encoding: chunked\r\n',
    '5\r\nhello\r\n',
    '0\r\n\r\n',
    '0\r\nA: b\r\n\r\n',
    'Connection: Upgrade\r\nUpgrade: websocket\r\n',
    'Connection: close\r\n',
    'Expect: 100-continue\r\n',
    'X: ',
    '\0',
    'hello',
    'ffffffffffffffff\r\n',
    'GET http://HOST/size/3 HTTP/1.1\r\n',
    'GET / HTTP/1.0\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01\x02\x00',
  ]; // prettier-ignore

  /** What a visitor was told before the connection ended. */
  function outcomeOf(received: string): string {
    if (received === '') return 'closed';
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(received)?.[1];
    if (status !== undefined) return status;
    // The preface of HTTP/2 is one of the pieces: its first frame is SETTINGS, type 4 of stream 0.
    return /^\0..\x04\0\0{4}/s.test(received) ? 'HTTP/2' : JSON.stringify(received);
  }

  it('in 300 connections, seeded, is answered or closed', async () => {
    const outcomes = new Map<string, number[]>();
    for (let seed = 1; seed <= 300; seed++) {
      const random = seededRandom(seed);
      await using visitor = await connectVisitor(scene.stage.url);
      const count = random.between(1, 12);
      // Half of them begin as a sound request does.
      let bytes = seed % 2 === 0 ? `GET / HTTP/1.1\r\nHost: ${scene.stage.host}\r\n` : '';
      for (let i = 0; i < count; i++) bytes += pieces[random.between(0, pieces.length - 1)];
      // Whoever is refused at the first bytes may find the connection closed under the later ones.
      await visitor
        .sendSplit(bytes.replaceAll('HOST', scene.stage.host), random.between(1, 200))
        .catch(() => undefined);
      if (seed % 3 === 0) {
        visitor.reset();
        continue;
      }
      visitor.end();
      await within(`seed ${seed} is answered or closed`, visitor.untilEnded(2 * DEFAULT_DEADLINE_MS));
      const outcome = outcomeOf(visitor.take().toString('latin1'));
      outcomes.set(outcome, [...(outcomes.get(outcome) ?? []), seed]);
    }
    // The seeds beside them are for the message when this fails.
    expect(Object.fromEntries(outcomes)).toEqual({
      '200': expect.any(Array),
      '400': expect.any(Array),
      'HTTP/2': expect.any(Array),
      closed: expect.any(Array),
    });
  });
});

describe('requests one behind the other', () => {
  it('by the thousand in one write are answered in order', async () => {
    await using visitor = await connectVisitor(scene.stage.url);
    const all = Array.from({ length: 1_000 }, (_, at) => getRequest(scene.stage.url, `/size/${at % 7}`)).join('');
    const sent = visitor.send(all);
    for (let at = 0; at < 1_000; at++) expect((await readAnswer(visitor)).body.length).toBe(at % 7);
    await sent;
  });
});
