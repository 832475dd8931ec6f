import { createServer, type AddressInfo, type Server } from 'node:net';
import { PortholeError } from '@porthole/protocol';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { tempFolder } from '../../../test/harness/temp-folder.ts';
import { staysTrue, until } from '../../../test/harness/until.ts';
import { DEFAULT_WAIT, OriginDialer } from './origin-dial.ts';
import { NetOpener, type Opening, type OriginOpener, type SocketOutcome } from './origin-socket.ts';
import { parseTarget } from './target.ts';

const SETTINGS = { connectTimeoutMs: 2_000 };
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function listen(where: { host: string; port?: number } | { path: string }): Promise<Server> {
  const server = createServer((socket) => {
    cleanups.push(() => socket.destroy());
    socket.on('error', () => {});
  });
  cleanups.push(() => server.close());
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen('path' in where ? where : { port: 0, ...where }, () => resolve(server));
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function opened(opener: OriginOpener): Promise<SocketOutcome> {
  return new Promise((resolve) => opener.open(resolve));
}

function expectSocket(outcome: SocketOutcome): void {
  if (outcome instanceof PortholeError) throw outcome;
  outcome.socket.destroy();
}

async function refusedPort(): Promise<number> {
  const server = await listen({ host: '127.0.0.1' });
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('a port of this machine', () => {
  it.each(['127.0.0.1', '::1'])('is found when the service listens on %s only', async (host) => {
    const opener = new NetOpener(parseTarget(String(portOf(await listen({ host })))), SETTINGS);
    // With timers standing still, the second family cannot have had its turn by waiting for the first.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    cleanups.push(() => vi.useRealTimers());
    expectSocket(await opened(opener));
    expectSocket(await opened(opener));
  });

  it('that nobody listens on names both attempts', async () => {
    const port = await refusedPort();
    expect(await opened(new NetOpener(parseTarget(`localhost:${port}`), SETTINGS))).toMatchObject({
      code: 'ORIGIN_REFUSED',
      detail: `127.0.0.1:${port}: ECONNREFUSED; [::1]:${port}: ECONNREFUSED`,
    });
  });

  it('is dialed by the address in the brackets', async () => {
    expectSocket(await opened(new NetOpener(parseTarget(`[::1]:${portOf(await listen({ host: '::1' }))}`), SETTINGS)));
  });
});

describe('other origins', () => {
  it('are reached over a unix socket', async () => {
    const folder = tempFolder();
    cleanups.push(() => folder.remove());
    const path = `${folder.path}/app.sock`;
    expect(await opened(new NetOpener(parseTarget(`unix:${path}`), SETTINGS))).toMatchObject({
      code: 'ORIGIN_REFUSED',
    });
    await listen({ path });
    expectSocket(await opened(new NetOpener(parseTarget(`unix:${path}`), SETTINGS)));
  });

  it('that no route leads to are unreachable', async () => {
    expect(await opened(new NetOpener(parseTarget('255.255.255.255:80'), SETTINGS))).toMatchObject({
      code: 'ORIGIN_UNREACHABLE',
    });
  });

  it('that speak no TLS are told from those that refuse', async () => {
    const server = await listen({ host: '127.0.0.1' });
    server.on('connection', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(await opened(new NetOpener(parseTarget(`https://127.0.0.1:${portOf(server)}`), SETTINGS))).toMatchObject({
      code: 'ORIGIN_TLS',
    });
  });

  it('that accept and say nothing to a TLS greeting run into the time limit', async () => {
    const server = await listen({ host: '127.0.0.1' });
    const opener = new NetOpener(parseTarget(`https://127.0.0.1:${portOf(server)}`), {
      ...SETTINGS,
      connectTimeoutMs: 100,
    });
    expect(await opened(opener)).toMatchObject({ code: 'ORIGIN_TIMEOUT' });
  });
});

/** Refuses until told otherwise. */
class ScriptedOpener implements OriginOpener {
  attempts = 0;
  isUp = false;

  open(done: (outcome: SocketOutcome) => void): Opening {
    this.attempts++;
    const immediate = setImmediate(() => {
      if (this.isUp) done({ socket: { destroy() {} }, tap: {} } as never);
      else done(new PortholeError('ORIGIN_REFUSED', 'scripted'));
    });
    return { cancel: () => clearImmediate(immediate) };
  }
}

describe('waiting for an origin that refuses', () => {
  it('ends as soon as it is back, for all who wait', async () => {
    const port = await refusedPort();
    const dialer = new OriginDialer(new NetOpener(parseTarget(`127.0.0.1:${port}`), SETTINGS));
    const outcomes = Promise.all(Array.from({ length: 20 }, () => opened(dialer)));
    const probe = new NetOpener(parseTarget(`127.0.0.1:${port}`), SETTINGS);
    await opened(probe);
    await opened(probe);
    await listen({ host: '127.0.0.1', port });
    for (const outcome of await outcomes) expectSocket(outcome);
    expect(dialer.waiting).toBe(0);
  });

  it('ends with the refusal when the time is over', async () => {
    const dialer = new OriginDialer(new ScriptedOpener(), { ...DEFAULT_WAIT, waitForOriginMs: 120 });
    expect(await opened(dialer)).toMatchObject({ code: 'ORIGIN_REFUSED', detail: 'scripted; waited 120 ms' });
    expect(dialer.waiting).toBe(0);
  });

  it('is for a bounded number of requests', async () => {
    const opener = new ScriptedOpener();
    const dialer = new OriginDialer(opener, { waitForOriginMs: 5_000, maxWaiting: 2 });
    const [first, second, third] = [opened(dialer), opened(dialer), opened(dialer)];
    expect(await third).toMatchObject({ code: 'ORIGIN_REFUSED', detail: 'scripted; 2 requests wait for it already' });
    opener.isUp = true;
    expectSocket(await first);
    expectSocket(await second);
  });

  it('stops when nobody waits any more', async () => {
    const opener = new ScriptedOpener();
    const dialer = new OriginDialer(opener);
    let isCalled = false;
    const opening = dialer.open(() => {
      isCalled = true;
    });
    await until('it waits', () => dialer.waiting === 1);
    opening.cancel();
    expect(dialer.waiting).toBe(0);
    const { attempts } = opener;
    await staysTrue('no further attempt', () => opener.attempts === attempts && !isCalled, 300);
  });

  it('asks with one prober, however many wait', async () => {
    const opener = new ScriptedOpener();
    const dialer = new OriginDialer(opener, { ...DEFAULT_WAIT, waitForOriginMs: 400 });
    await Promise.all(Array.from({ length: 50 }, () => opened(dialer)));
    expect(opener.attempts).toBeLessThan(50 + 8);
  });

  it('does not happen when it is switched off', async () => {
    const opener = new ScriptedOpener();
    expect(await opened(new OriginDialer(opener, { ...DEFAULT_WAIT, waitForOriginMs: 0 }))).toMatchObject({
      code: 'ORIGIN_REFUSED',
    });
    expect(opener.attempts).toBe(1);
  });
});

describe('an origin that is waited for', () => {
  it('is told of after a second, once, long before the first visitor hears of it; a short restart is not', async () => {
    const port = await refusedPort();
    const told: [number, PortholeError][] = [];
    const started = performance.now();
    const dialer = new OriginDialer(new NetOpener(parseTarget(`localhost:${port}`), SETTINGS), {
      ...DEFAULT_WAIT,
      onWaiting: (reason) => told.push([performance.now() - started, reason]),
    });
    const waiting = [opened(dialer), opened(dialer)];
    await until('it is told', () => told.length > 0);
    expect(told[0]?.[0]).toBeGreaterThan(900);
    expect(told[0]?.[1]).toMatchObject({
      code: 'ORIGIN_REFUSED',
      detail: `127.0.0.1:${port}: ECONNREFUSED; [::1]:${port}: ECONNREFUSED; requests wait for it`,
    });
    await staysTrue('once', () => told.length === 1, 700);
    await listen({ host: '127.0.0.1', port });
    for (const outcome of await Promise.all(waiting)) expectSocket(outcome);
  });
});
