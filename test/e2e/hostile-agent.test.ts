/** An agent with a valid token and bad intentions: what it asks for costs itself, and neither the relay nor another tunnel. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startOrigin } from '../harness/origin.ts';
import { residentBytes } from '../harness/process-usage.ts';
import { CLOSE, dialCarrier, frame, MESSAGE, OPEN, type RawCarrier } from '../harness/raw-carrier.ts';
import { askOnce, connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import { sceneOfFile } from '../harness/scene.ts';

const MIB = 1024 * 1024;
const FLOW_CONTROL = 4;
const HEAD = 0x02;
const DATA = 0x03;
const TRAILERS = 0x04;

const scene = sceneOfFile(startOrigin, { relay: { tcpPorts: 4 } });
let mallory: string;

beforeAll(async () => {
  mallory = await scene.stage.relay.addToken('mallory');
});
afterEach(async () => {
  expect((await askOnce(scene.stage.url, getRequest(scene.stage.url, '/size/100'))).body.length).toBe(100);
  expect(scene.stage.relay.program.exit).toBeUndefined();
});

async function loggedIn(): Promise<RawCarrier> {
  const carrier = await dialCarrier(scene.stage.port);
  await carrier.logIn(mallory);
  return carrier;
}

async function nextMessage(carrier: RawCarrier): Promise<Record<string, unknown>> {
  return JSON.parse((await carrier.nextOf(MESSAGE)).payload.toString()) as Record<string, unknown>;
}

describe('a claim for something absurd', () => {
  it.each([
    ['a domain as long as a message', { protocol: 'http', domain: 'x'.repeat(16_300) }, 'NAME_NOT_ALLOWED'],
    ['a protocol as long as a message', { protocol: 'x'.repeat(16_300) }, 'NOT_SUPPORTED'],
    ['a name as long as a message', { protocol: 'http', name: '\u{1f600}'.repeat(4_000) }, 'NAME_INVALID'],
    ['half a port', { protocol: 'tcp', port: 0.5 }, 'PORT_NOT_ALLOWED'],
    ['a port without end', { protocol: 'tcp', port: 1e308 }, 'PORT_NOT_ALLOWED'],
    ['a port below all', { protocol: 'tcp', port: -1 }, 'PORT_NOT_ALLOWED'],
  ])('%s is refused in a few words', async (_what, claim, code) => {
    await using carrier = await loggedIn();
    await carrier.send(MESSAGE, JSON.stringify({ type: 'claim', id: 1, ...claim }));
    const answer = await nextMessage(carrier);
    expect(answer).toMatchObject({ type: 'refused', id: 1, code });
    expect(String(answer['detail']).length).toBeLessThan(300);
  });

  it('in bytes that are no UTF-8 is refused too', async () => {
    await using carrier = await loggedIn();
    const around = '{"type":"claim","id":1,"protocol":"http","domain":"~"}'.split('~') as [string, string];
    const payload = Buffer.concat([Buffer.from(around[0]), Buffer.alloc(16_000, 0xff), Buffer.from(around[1])]);
    await carrier.send(MESSAGE, payload);
    expect(await nextMessage(carrier)).toMatchObject({ type: 'refused', code: 'NAME_NOT_ALLOWED' });
  });

  it('and taken back again and again is answered with a limit', async () => {
    await using carrier = await loggedIn();
    const pair = (id: number): Buffer =>
      Buffer.concat([
        frame(MESSAGE, `{"type":"claim","id":${id},"protocol":"http"}`),
        frame(MESSAGE, `{"type":"release","id":${id}}`),
      ]);
    for (let round = 0; round < 20; round++)
      await carrier.wire.send(Buffer.concat(Array.from({ length: 200 }, (_, at) => pair(round * 200 + at + 1))));
    await carrier.send(MESSAGE, '{"type":"claim","id":100000,"protocol":"http"}');
    let answer = await nextMessage(carrier);
    while (answer['id'] !== 100_000) answer = await nextMessage(carrier);
    expect(answer['type']).toBe('claimed');
  });
});

/** The code in the CLOSE that these frames end in, if they do. */
function lastCode(frames: Buffer): number | undefined {
  let at = 0;
  while (at < frames.length && frames[at] !== CLOSE) at += 8 + frames.readUInt16BE(at + 2);
  return at < frames.length ? frames.readUInt16BE(at + 8) : undefined;
}

describe('whoever asks and does not take the answers', () => {
  it.each([
    ['streams into the relay', (id: number) => frame(OPEN, Buffer.from([1, 0, 0, 0, 1]), 2 * id)],
    [
      'claims of nonsense',
      (id: number) => frame(MESSAGE, `{"type":"claim","id":${id},"protocol":"${'x'.repeat(500)}"}`),
    ],
  ])('%s: ends its session, the relay stays small and its log short', async (_what, ask) => {
    const before = residentBytes(scene.stage.relay.pid);
    await using carrier = await loggedIn();
    carrier.wire.pause();
    // The relay keeps its last words for one heartbeat: whoever floods on for longer has not heard them.
    const sessionsEnded = (): number =>
      scene.stage.relay.program.countLines((line) => line.includes('"session closed"'));
    const ended = sessionsEnded();
    let id = 1;
    for (let round = 0; round < 1_000 && sessionsEnded() === ended; round++) {
      const asked = Buffer.concat(Array.from({ length: 1_000 }, () => ask(id++)));
      await carrier.wire.send(asked).catch(() => undefined);
    }
    carrier.wire.resume();
    expect(lastCode(await carrier.wire.readToEnd())).toBe(FLOW_CONTROL);
    expect((residentBytes(scene.stage.relay.pid) - before) / MIB).toBeLessThan(150);
    // 20 lines a minute, and the file may see the next minute begin.
    const refusals = scene.stage.relay.program.errorLines.filter((line) => line.includes('"claim refused"'));
    expect(refusals.length).toBeLessThanOrEqual(40);
  });
});

describe('an answer that breaks the rules', () => {
  /** What a visitor sees of frames that answer his request; `asked` is his method. */
  async function answerTo(asked: string, ...frames: readonly [number, string, number?][]): Promise<string> {
    await using carrier = await loggedIn();
    const url = await carrier.claim('mallorys');
    await using visitor = await connectVisitor(url);
    await visitor.send(getRequest(url).replace('GET', asked));
    const { stream } = await carrier.nextOf(OPEN);
    const bytes = frames.map(([type, payload, flags]) =>
      frame(type, Buffer.from(payload, 'latin1'), stream, flags ?? 0),
    );
    await carrier.wire.send(Buffer.concat(bytes));
    try {
      let answer = await readAnswer(visitor, { method: asked });
      while (answer.status < 200) answer = await readAnswer(visitor, { method: asked });
      return `${answer.status} ${answer.head}${answer.body}${visitor.take()}`;
    } catch (error) {
      return String(error);
    }
  }

  it.each([
    ['data before the head', [[DATA, 'x']]],
    ['trailers before the head', [[TRAILERS, 'a\0b']]],
    ['an end before the head', [[DATA, '', 1]]],
    ['a blank behind a name', [[HEAD, '200\0OK\0Content-Length : 5\r\n', 1]]],
    ['two lengths', [[HEAD, '200\0OK\0Content-Length: 5\r\ncontent-length: 6\r\n']]],
    ['a reason with an escape', [[HEAD, '200\0\x1b[2J\0', 1]]],
    ['an end as the only interim answer', [[HEAD, '100\0Continue\0', 1]]],
  ] as const)('%s becomes 502', async (_what, frames) => {
    expect(await answerTo('GET', ...(frames as unknown as [number, string, number?][]))).toMatch(/^502 /);
  });

  it('a body where there can be none is cut off', async () => {
    expect(await answerTo('HEAD', [HEAD, '200\0OK\0Content-Length: 5\r\n'], [DATA, 'hello', 1])).not.toContain('hello');
    expect(await answerTo('GET', [HEAD, '204\0No Content\0'], [DATA, 'hello', 1])).not.toContain('hello');
  });

  it('framing fields of its own do not reach the visitor', async () => {
    const answer = await answerTo('GET', [HEAD, '200\0OK\0Transfer-Encoding: gzip\r\nConnection: keep-alive\r\n', 1]);
    expect(answer).toMatch(/^200 /);
    expect(answer).not.toContain('gzip');
  });

  it('interim answers are bounded in number and in bytes', async () => {
    const many = Array.from({ length: 100 }, (): [number, string] => [HEAD, '103\0Early Hints\0Link: x\r\n']);
    expect(await answerTo('GET', ...many, [HEAD, '200\0OK\0', 1])).toMatch(/^502 /);
    const large = Array.from({ length: 5 }, (): [number, string] => [
      HEAD,
      `103\0Early Hints\0Link: ${'x'.repeat(60_000)}\r\n`,
    ]);
    expect(await answerTo('GET', ...large, [HEAD, '200\0OK\0', 1])).toMatch(/^502 /);
  });
});
