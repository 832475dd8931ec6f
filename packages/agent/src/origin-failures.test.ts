import type { PortholeError, TunnelProtocol } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { closesAtOnce, diesInBody, refusingPort, speaks, startBadOrigin } from '../../../test/harness/bad-origin.ts';
import { exchangeRequest, FakeStream } from '../../../test/harness/fake-stream.ts';
import { plainAnswer, startRawOrigin } from '../../../test/harness/raw-origin.ts';
import { OriginFailures, type OriginFailure } from './origin-failures.ts';
import { originFor, type OriginOptions } from './origin-for.ts';

const OPENING = { visitorAddress: '192.0.2.1', visitorPort: 4711, localAddress: '127.0.0.1', localPort: 7000 };
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';

/** What is told of `count` visits, one after the other, and what the last of them met. */
async function failuresOf(
  protocol: TunnelProtocol,
  target: string,
  { count = 1, upgrade = false, ...options }: OriginOptions & { count?: number; upgrade?: boolean } = {},
): Promise<{ told: PortholeError[]; stream: FakeStream }> {
  const told: PortholeError[] = [];
  const origin = originFor(protocol, target, {
    waitForOriginMs: 0,
    onFailed: (reason) => told.push(reason),
    ...options,
  });
  let stream = new FakeStream();
  for (let i = 0; i < count; i++) {
    stream = new FakeStream();
    stream.sink =
      protocol === 'http' ? origin.openExchange(exchangeRequest({ upgrade }), stream) : origin.openRaw(OPENING, stream);
    if (upgrade) await stream.until('the 101', () => stream.calls.length > 0);
    await stream.untilOver();
  }
  origin.close();
  return { told, stream };
}

describe('an origin that fails a visitor', () => {
  it.each<[TunnelProtocol, OriginOptions]>([
    ['http', {}],
    ['http', { originProtocol: 'h2' }],
    ['tcp', {}],
  ])('because nobody listens names both attempts (%s, %j)', async (protocol, options) => {
    const port = await refusingPort();
    const { told, stream } = await failuresOf(protocol, `localhost:${port}`, options);
    expect(told.map(({ code, detail }) => [code, detail])).toEqual([
      ['ORIGIN_REFUSED', `127.0.0.1:${port}: ECONNREFUSED; [::1]:${port}: ECONNREFUSED`],
    ]);
    expect(stream.calls).toEqual(['reset ORIGIN_REFUSED']);
  });

  it.each([
    ['ORIGIN_CLOSED', closesAtOnce],
    ['ORIGIN_TRUNCATED', diesInBody(100, 10)],
    ['ORIGIN_BAD_RESPONSE', speaks('SSH-2.0-OpenSSH_9.2\r\n')],
  ])('in the middle is told as well: %s', async (code, answer) => {
    await using origin = await startBadOrigin(answer);
    const { told } = await failuresOf('http', `127.0.0.1:${origin.port}`);
    expect(told.map((reason) => reason.code)).toEqual([code]);
  });

  it('because it does not speak TLS says that, in words', async () => {
    await using origin = await startRawOrigin();
    const failed = failuresOf('http', `https://127.0.0.1:${origin.port}`);
    await (await origin.accept()).send('HTTP/1.1 400 Bad Request\r\n\r\n');
    const { told } = await failed;
    expect(told.map(({ code }) => code)).toEqual(['ORIGIN_TLS']);
    expect(told[0]?.detail).toBe(`127.0.0.1:${origin.port}: it does not speak TLS (ERR_SSL_WRONG_VERSION_NUMBER)`);
  });
});

describe('nothing is told', () => {
  it('of an origin that answers', async () => {
    await using origin = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer()));
    expect((await failuresOf('http', `127.0.0.1:${origin.port}`, { count: 3 })).told).toEqual([]);
  });

  it('of a visitor who leaves', async () => {
    const told: PortholeError[] = [];
    await using server = await startRawOrigin();
    const origin = originFor('http', `127.0.0.1:${server.port}`, { onFailed: (reason) => told.push(reason) });
    const stream = new FakeStream();
    stream.sink = origin.openExchange(exchangeRequest(), stream);
    const wire = await server.accept();
    stream.sink.onReset('CANCELLED', '');
    await wire.untilEnded();
    expect(told).toEqual([]);
    origin.close();
  });

  it('of how an upgraded or a raw connection ends: that is between the two who talk over it', async () => {
    await using web = await startRawOrigin(async ({ wire }) => {
      await wire.send(SWITCH);
      wire.reset();
    });
    const upgraded = await failuresOf('http', `127.0.0.1:${web.port}`, { upgrade: true });
    expect(upgraded.stream.calls.at(-1)).toBe('reset ORIGIN_TRUNCATED');
    expect(upgraded.told).toEqual([]);
  });
});

describe('an origin that goes on failing', () => {
  it('is told at once, then every ten seconds with how often, for each reason', async () => {
    let nowMs = 0;
    const told: [number, OriginFailure][] = [];
    const failures = new OriginFailures(
      (failure) => told.push([nowMs, failure]),
      () => nowMs,
    );
    const { told: reasons } = await failuresOf('http', `127.0.0.1:${await refusingPort()}`);
    const [reason] = reasons;
    if (reason === undefined) throw new Error('nothing was told');
    for (; nowMs < 25_000; nowMs += 10) failures.note(reason);
    expect(told.map(([atMs, { times }]) => [atMs, times])).toEqual([
      [0, 1],
      [10_000, 1_000],
      [20_000, 1_000],
    ]);
    expect(told[0]?.[1].reason.hint).toContain('Start the service');
  });
});
