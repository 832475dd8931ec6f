/** Tunnels over a link that the test plays: what is printed, when it ends, with which code. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  PortholeError,
  type ClaimedMessage,
  type LinkEvents,
  type OnOriginFailed,
  type Origin,
  type RelayLink,
  type TunnelClaim,
  type TunnelEvents,
} from '@porthole/agent';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CliEvent, levelOf } from './output/events.ts';
import type { Output } from './output/output.ts';
import { plainLines } from './output/plain-lines.ts';
import { planTunnel, type TunnelPlan } from './plan.ts';
import { runTunnels } from './run-tunnels.ts';
import { askAll } from './running/status-socket.ts';
import { DOUBLED_MS, StopRequests } from './stop-requests.ts';

class FakeLink implements RelayLink {
  readonly started = Promise.withResolvers<void>();
  readonly closing = Promise.withResolvers<number>();
  readonly mayClose = Promise.withResolvers<void>();
  readonly tunnels: { claim: TunnelClaim; origin: Origin; events: TunnelEvents }[] = [];
  events!: LinkEvents;

  start(): void {
    this.started.resolve();
  }
  openTunnel(claim: TunnelClaim, origin: Origin, events: TunnelEvents) {
    this.tunnels.push({ claim, origin, events });
    return { id: this.tunnels.length, release() {} };
  }
  close(drainMs: number): Promise<void> {
    this.closing.resolve(drainMs);
    if (drainMs === 0) this.mayClose.resolve();
    return this.mayClose.promise;
  }
  claimed(index: number, name: string): void {
    const message: ClaimedMessage = { type: 'claimed', id: index + 1, name, url: `https://${name}.t.example` };
    this.tunnels[index]?.events.onClaimed(message);
  }
}

let folder: string;
let link: FakeLink;
/** What is told to everybody, and what to those only who look closely. */
let events: CliEvent[];
let closely: CliEvent[];
/** What each origin has to call. */
let failing: OnOriginFailed[];
let nowMs: number;
let stops: StopRequests;
const output: Output = {
  event: (event, level = levelOf(event)) => void (level === 'debug' ? closely : events).push(event),
  watch() {},
  stopping() {},
  close: () => Promise.resolve(),
};
const origin: Origin = { openExchange: () => expect.unreachable(), openRaw: () => expect.unreachable(), close() {} };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'porthole-run-'));
  link = new FakeLink();
  events = [];
  closely = [];
  failing = [];
  nowMs = 0;
  stops = new StopRequests(() => nowMs);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function plan(kind: 'http' | 'tcp' | 'serve', target: string, label?: string): TunnelPlan {
  return planTunnel(kind, target, {}, { folder, home: folder }, label);
}

function run(plans: TunnelPlan[]): Promise<number> {
  const choice = {
    relay: 'https://t.example',
    token: undefined,
    ca: undefined,
    logLevel: 'info',
    note: undefined,
  } as const;
  return runTunnels({
    plans,
    choice,
    output,
    stops,
    now: () => nowMs,
    pid: process.pid,
    uid: process.getuid?.(),
    statusFolder: folder,
    certificateFolder: '/nowhere',
    openOrigin: (_plan, onFailed) => {
      failing.push(onFailed);
      return origin;
    },
    openLink: (_choice, linkEvents) => {
      link.events = linkEvents;
      return link;
    },
  });
}

describe('a running command', () => {
  it('tells its address once, drains when asked to stop, and exits with 0', async () => {
    const code = run([plan('http', '3000')]);
    await link.started.promise;
    link.events.onConnected({ resumed: false, carrier: 'upgrade', rttMs: 1 });
    link.claimed(0, 'brave-otter');
    link.claimed(0, 'brave-otter');
    stops.request();
    expect(await link.closing.promise).toBeGreaterThan(0);
    link.mayClose.resolve();
    expect(await code).toBe(0);
    expect(events).toEqual([
      {
        event: 'tunnel',
        name: 'brave-otter',
        protocol: 'http',
        url: 'https://brave-otter.t.example',
        target: 'http://localhost:3000',
      },
      { event: 'closed' },
    ]);
  });

  it('stays through interruptions of any number and says when it is back', async () => {
    const code = run([plan('tcp', 'db.internal:5432')]);
    await link.started.promise;
    link.events.onConnected({ resumed: false, carrier: 'upgrade', rttMs: undefined });
    for (let i = 0; i < 3; i++) link.events.onInterrupted(new PortholeError('RELAY_UNREACHABLE', 'ECONNREFUSED'), 100);
    link.events.onConnected({ resumed: true, carrier: 'upgrade', rttMs: undefined });
    stops.request();
    link.mayClose.resolve();
    expect(await code).toBe(0);
    expect(events.map((event) => event.event)).toEqual(['interrupted', 'resumed', 'closed']);
    expect(events[0]).toMatchObject({ code: 'RELAY_UNREACHABLE', hint: expect.stringContaining('Check'), tries: 1 });
    expect(closely.map((event) => ('tries' in event ? event.tries : event.event))).toEqual([
      'connected',
      2,
      3,
      'connected',
    ]);
  });

  it('tells why an origin failed, of which tunnel, and once for many', async () => {
    const code = run([plan('http', '3000', 'web'), plan('tcp', '5432')]);
    await link.started.promise;
    const reason = new PortholeError('ORIGIN_REFUSED', '127.0.0.1: ECONNREFUSED');
    for (let i = 0; i < 100; i++) for (const onFailed of failing) onFailed(reason);
    stops.request();
    link.mayClose.resolve();
    expect(await code).toBe(0);
    const { message, hint } = reason;
    const told = { event: 'origin_failed', code: 'ORIGIN_REFUSED', message, hint, times: 1 };
    expect(events).toEqual([
      { ...told, target: 'http://localhost:3000', tunnel: 'web' },
      { ...told, target: 'localhost:5432' },
      { event: 'closed' },
    ]);
  });

  it('ends with 3 when the relay refuses the token', async () => {
    const code = run([plan('http', '3000')]);
    await link.started.promise;
    link.events.onFinished(new PortholeError('TOKEN_INVALID'));
    expect(await code).toBe(3);
    expect(events).toEqual([
      expect.objectContaining({ event: 'error', code: 'TOKEN_INVALID', hint: expect.stringContaining('token add') }),
    ]);
  });

  it('goes on while one of its tunnels stands, and ends with 3 when none is left', async () => {
    const code = run([plan('http', '3000', 'web'), plan('http', '4000', 'api')]);
    await link.started.promise;
    link.tunnels[0]?.events.onRefused('NAME_TAKEN', 'shop');
    link.claimed(1, 'api');
    link.tunnels[1]?.events.onRefused('SESSION_REPLACED', '');
    expect(await code).toBe(3);
    expect(events.map((event) => [event.event, 'tunnel' in event ? event.tunnel : ''])).toEqual([
      ['refused', 'web'],
      ['tunnel', 'api'],
      ['refused', 'api'],
    ]);
  });

  it('tells all addresses of a tunnel with several domains at once, or the refusal of one', async () => {
    const both = planTunnel('http', '3000', { domain: ['a.test', 'b.test'] }, { folder, home: folder });
    const code = run([both]);
    await link.started.promise;
    link.claimed(0, 'a');
    expect(events).toEqual([]);
    link.claimed(1, 'b');
    const urls = ['https://a.t.example', 'https://b.t.example'];
    expect(events).toMatchObject([{ event: 'tunnel', name: 'a', url: urls[0], urls }]);
    expect(plainLines(events[0] as CliEvent)).toEqual(urls.map((url) => `${url} -> http://localhost:3000`));
    expect(await askAll(folder)).toMatchObject([{ tunnels: [{ url: urls[0], urls }] }]);
    link.tunnels[1]?.events.onRefused('NAME_TAKEN', 'b.test');
    expect(await code).toBe(3);
    expect(events[1]).toMatchObject({ event: 'refused', code: 'NAME_TAKEN' });
  });

  it('stops at once when somebody insists, but not because one Ctrl-C came twice', async () => {
    const code = run([plan('http', '3000')]);
    await link.started.promise;
    stops.request();
    stops.request();
    await link.closing.promise;
    expect(events).toEqual([]);
    nowMs += DOUBLED_MS;
    stops.request();
    expect(await code).toBe(1);
  });

  it('refuses a folder that is not there before it dials', async () => {
    await expect(run([plan('serve', 'nowhere')])).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  it('tells the truth of the moment to whoever asks for its status, and leaves nothing behind', async () => {
    const code = run([plan('serve', '.', 'files')]);
    await link.started.promise;
    link.events.onConnected({ resumed: false, carrier: 'upgrade', rttMs: 1 });
    link.claimed(0, 'files');
    expect(await askAll(folder)).toMatchObject([
      {
        pid: process.pid,
        state: 'connected',
        tunnels: [{ tunnel: 'files', state: 'open', url: 'https://files.t.example', requests: 0 }],
      },
    ]);
    link.events.onInterrupted(new PortholeError('RELAY_UNREACHABLE'), 2000);
    expect(await askAll(folder)).toMatchObject([{ state: 'reconnecting', reason: 'The relay could not be reached.' }]);
    stops.request();
    link.mayClose.resolve();
    await code;
    expect(readdirSync(folder)).toEqual([]);
    expect(await askAll(folder)).toEqual([]);
  });
});

describe('plans', () => {
  it('of end-to-end tunnels may have a password, and bytes go on as they are only with a PROXY header', () => {
    const wish = { endToEnd: true, basicAuth: 'a:b', hostHeader: 'rewrite' };
    const web = planTunnel('http', '1', wish, { folder, home: folder });
    expect([web.claims[0].protocol, web.spoken, web.basicAuth]).toEqual(['tls', 'http', 'a:b']);
    const raw = planTunnel('http', '1', { endToEnd: true, proxyProtocol: 'v2' }, { folder, home: folder });
    expect([raw.claims[0].protocol, raw.spoken]).toEqual(['tls', 'tcp']);
  });

  it.each([
    ['http', '3000', 'http://localhost:3000'],
    ['http', 'https://[::1]:3443', 'https://[::1]:3443'],
    ['http', 'unix:/run/app.sock', 'unix:/run/app.sock'],
    ['tcp', '5432', 'localhost:5432'],
  ] as const)('show %s %s as %s', (kind, target, shown) => expect(plan(kind, target).shownTarget).toBe(shown));

  it.each([
    ['a target without sense', () => plan('http', 'x:y:z'), 'TARGET_INVALID'],
    ['a scheme for TCP', () => plan('tcp', 'http://localhost:1'), 'TARGET_INVALID'],
    ['a name without sense', () => planTunnel('http', '1', { name: 'A_b' }, { folder, home: folder }), 'NAME_INVALID'],
    [
      'a domain twice',
      () => planTunnel('http', '1', { domain: ['a.test', 'a.test'] }, { folder, home: folder }),
      'USAGE',
    ],
    ['a port without sense', () => planTunnel('tcp', '1', { remotePort: '70000' }, { folder, home: folder }), 'USAGE'],
    [
      'a credential without colon',
      () => planTunnel('http', '1', { basicAuth: 'user' }, { folder, home: folder }),
      'BASIC_AUTH_INVALID',
    ],
    [
      'a password where nothing is looked at',
      () =>
        planTunnel('http', '1', { endToEnd: true, proxyProtocol: 'v2', basicAuth: 'a:b' }, { folder, home: folder }),
      'USAGE',
    ],
    [
      'a check without sense',
      () => planTunnel('http', 'https://a', { originVerify: 'maybe' }, { folder, home: folder }),
      'USAGE',
    ],
    [
      'a file that is not there',
      () => planTunnel('http', '1', { originCaFile: 'nowhere' }, { folder, home: folder }),
      'FILE_UNREADABLE',
    ],
  ])('refuse %s', (_what, make, code) => expect(make).toThrowError(expect.objectContaining({ code })));
});
