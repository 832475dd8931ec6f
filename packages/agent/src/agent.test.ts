import { createServer } from 'node:http';
import { type ClaimedMessage, PortholeError } from '@porthole/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { Agent } from './agent.ts';
import { expose } from './expose.ts';
import { exchangeRequest, FakeStream } from '../../../test/harness/fake-stream.ts';
import { closesAtOnce, startBadOrigin } from '../../../test/harness/bad-origin.ts';
import type { Origin } from './origin.ts';
import type { LinkEvents, LinkedTunnel, RelayLink, TunnelClaim, TunnelEvents } from './relay-link.ts';

const RELAY = 'https://relay.test';
const fetch = (): Response => new Response('ok');

class FakeLink implements RelayLink {
  readonly events: LinkEvents;
  readonly claims: { claim: TunnelClaim; origin: Origin; events: TunnelEvents; isReleased: boolean }[] = [];
  started = 0;
  closedWith: number[] = [];
  /** Answers claims by itself. */
  isGenerous = true;

  constructor(events: LinkEvents) {
    this.events = events;
  }

  start(): void {
    this.started++;
  }

  openTunnel(claim: TunnelClaim, origin: Origin, events: TunnelEvents): LinkedTunnel {
    const id = this.claims.length + 1;
    const entry = { claim, origin, events, isReleased: false };
    this.claims.push(entry);
    if (this.isGenerous) setImmediate(() => events.onClaimed(claimed(id)));
    return {
      id,
      release: () => {
        entry.isReleased = true;
      },
    };
  }

  close(drainMs: number): Promise<void> {
    this.closedWith.push(drainMs);
    return Promise.resolve();
  }
}

function claimed(id: number, name = `name-${id}`): ClaimedMessage {
  return { type: 'claimed', id, name, url: `https://${name}.relay.test` };
}

let link: FakeLink;
const openLink = (events: LinkEvents): RelayLink => {
  link = new FakeLink(events);
  return link;
};
const openStubborn = (events: LinkEvents): RelayLink => {
  openLink(events);
  link.isGenerous = false;
  return link;
};

const agents: Agent[] = [];
afterEach(async () => {
  for (const agent of agents.splice(0)) await agent.close(0);
});

describe('expose', () => {
  it('gives a tunnel with its address, and closes the link with it', async () => {
    const tunnel = await expose(
      { relay: RELAY, token: 't', fetch, name: 'shop', domain: 'd.test', pool: true },
      openLink,
    );
    expect(tunnel.url).toBe('https://name-1.relay.test');
    expect(tunnel.name).toBe('name-1');
    expect(link.claims[0]?.claim).toEqual({ protocol: 'http', name: 'shop', domain: 'd.test', pool: true });
    expect(link.started).toBe(1);
    await tunnel.close(1234);
    expect(link.claims[0]?.isReleased).toBe(true);
    expect(link.closedWith).toEqual([1234]);
    expect(tunnel.closed).toBe(true);
  });

  it('is usable with await using', async () => {
    {
      await using tunnel = await expose({ relay: RELAY, fetch }, openLink);
      expect(tunnel.closed).toBe(false);
    }
    expect(link.closedWith.length).toBe(1);
  });

  it.each([
    ['nothing to serve', {}],
    ['two things to serve', { target: 3000, fetch }],
    ['a server behind TCP', { server: createServer(), protocol: 'tcp' as const }],
    ['a relay that is no URL', { fetch, relay: 'relay.test' }],
    ['a relay of another scheme', { fetch, relay: 'ftp://relay.test' }],
  ])('refuses %s', async (_name, options) => {
    await expect(expose({ relay: RELAY, ...options }, openLink)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('refuses a target that makes no sense', async () => {
    await expect(expose({ relay: RELAY, target: 'http://host/path' }, openLink)).rejects.toMatchObject({
      code: 'TARGET_INVALID',
    });
  });

  it('rejects with the code of a refusal', async () => {
    const opening = expose({ relay: RELAY, fetch, name: 'shop' }, openStubborn);
    setImmediate(() => link.claims[0]?.events.onRefused('NAME_TAKEN', 'shop'));
    await expect(opening).rejects.toMatchObject({ code: 'NAME_TAKEN', detail: 'shop' });
    expect(link.closedWith.length).toBe(1);
  });

  it('rejects when the relay refuses the agent', async () => {
    const opening = expose({ relay: RELAY, fetch }, openStubborn);
    setImmediate(() => link.events.onFinished(new PortholeError('TOKEN_INVALID')));
    await expect(opening).rejects.toMatchObject({ code: 'TOKEN_INVALID' });
  });

  it('rejects with what kept it from the relay when the time is over', async () => {
    const opening = expose({ relay: RELAY, fetch, openTimeoutMs: 50 }, openStubborn);
    setImmediate(() => link.events.onInterrupted(new PortholeError('RELAY_UNREACHABLE', 'ECONNREFUSED'), 1_000));
    await expect(opening).rejects.toMatchObject({ code: 'RELAY_UNREACHABLE', detail: 'ECONNREFUSED' });
    expect(link.claims[0]?.isReleased).toBe(true);
  });

  it('gives up with the signal’s reason', async () => {
    await expect(expose({ relay: RELAY, fetch, signal: AbortSignal.abort(new Error('no')) }, openLink)).rejects.toThrow(
      'no',
    );
    const abort = new AbortController();
    const opening = expose({ relay: RELAY, fetch, signal: abort.signal }, openStubborn);
    setImmediate(() => abort.abort(new Error('enough')));
    await expect(opening).rejects.toThrow('enough');
    expect(link.closedWith.length).toBe(1);
  });

  it('closes the tunnel when the signal is aborted later', async () => {
    const abort = new AbortController();
    const tunnel = await expose({ relay: RELAY, fetch, signal: abort.signal }, openLink);
    const closed = new Promise((resolve) => tunnel.once('closed', resolve));
    abort.abort();
    expect(await closed).toEqual({ reason: undefined });
  });
});

describe('a tunnel', () => {
  it('tells of its life: opened, interrupted, resumed, closed', async () => {
    const tunnel = await expose({ relay: RELAY, fetch }, openLink);
    const told: unknown[] = [];
    tunnel.on('opened', ({ url }) => told.push(['opened', url]));
    tunnel.on('interrupted', ({ reason, nextTryInMs }) => told.push(['interrupted', reason.code, nextTryInMs]));
    tunnel.on('resumed', ({ streamsKept }) => told.push(['resumed', streamsKept]));
    tunnel.on('closed', ({ reason }) => told.push(['closed', reason?.code]));
    await new Promise(setImmediate);
    const connected = (resumed: boolean): void => link.events.onConnected({ resumed, carrier: 'upgrade', rttMs: 1 });
    connected(false);
    link.events.onInterrupted(new PortholeError('RELAY_UNREACHABLE'), 0);
    connected(true);
    link.events.onInterrupted(new PortholeError('SESSION_GONE'), 50);
    connected(false);
    link.claims[0]?.events.onClaimed(claimed(1, 'other'));
    link.claims[0]?.events.onRefused('SESSION_REPLACED', '');
    await tunnel.close();
    expect(told).toEqual([
      ['opened', 'https://name-1.relay.test'],
      ['interrupted', 'RELAY_UNREACHABLE', 0],
      ['resumed', true],
      ['interrupted', 'SESSION_GONE', 50],
      ['opened', 'https://other.relay.test'],
      ['resumed', false],
      ['closed', 'SESSION_REPLACED'],
    ]);
    expect(tunnel.url).toBe('https://other.relay.test');
  });
});

describe('a tunnel whose origin fails', () => {
  it('tells why, once for many, with what to do; the log hears it, too', async () => {
    await using target = await startBadOrigin(closesAtOnce);
    const logged: unknown[] = [];
    const ignore = (): void => {};
    const log = { debug: ignore, info: ignore, warn: (...line: unknown[]) => logged.push(line) };
    const tunnel = await expose({ relay: RELAY, target: `127.0.0.1:${target.port}`, log }, openLink);
    const told: unknown[] = [];
    tunnel.on('originFailed', ({ reason: { code, detail, hint }, times }) => told.push([code, detail, hint, times]));
    for (let i = 0; i < 3; i++) {
      const stream = new FakeStream();
      const sink = link.claims[0]?.origin.openExchange(exchangeRequest(), stream);
      if (sink !== undefined) stream.sink = sink;
      await stream.untilOver();
      expect(stream.calls).toEqual(['reset ORIGIN_CLOSED']);
    }
    await new Promise(setImmediate);
    const detail = 'the connection was closed';
    expect(told).toEqual([['ORIGIN_CLOSED', detail, 'Look into the log of the local service.', 1]]);
    expect(logged).toEqual([['origin failed', { code: 'ORIGIN_CLOSED', detail, times: 1 }]]);
    await tunnel.close();
  });
});

describe('a tunnel with several domains', () => {
  const both = ['a.test', 'b.test'];

  it('has an address under each, opened when all stand', async () => {
    const tunnel = await expose({ relay: RELAY, fetch, name: 'shop', domain: both }, openLink);
    expect(link.claims.map(({ claim }) => claim)).toEqual(
      both.map((domain) => ({ protocol: 'http', name: 'shop', domain })),
    );
    expect([tunnel.url, tunnel.urls]).toEqual([
      'https://name-1.relay.test',
      ['https://name-1.relay.test', 'https://name-2.relay.test'],
    ]);
    await tunnel.close();
    expect(link.claims.map(({ isReleased }) => isReleased)).toEqual([true, true]);
  });

  it('is refused as a whole when one of them is, and gives the others back', async () => {
    const opening = expose({ relay: RELAY, fetch, domain: both }, openStubborn);
    const [a, b] = link.claims;
    a?.events.onClaimed(claimed(1));
    b?.events.onRefused('NAME_TAKEN', 'b.test: its holder can free it');
    a?.events.onRefused('CANCELLED', '');
    await expect(opening).rejects.toMatchObject({
      code: 'NAME_TAKEN',
      detail: 'b.test: its holder can free it; none of the 2 domains is served',
    });
    expect(a?.isReleased).toBe(true);
  });

  it('tells of its addresses once for each session', async () => {
    const tunnel = await expose({ relay: RELAY, fetch, domain: both }, openLink);
    let opened = 0;
    tunnel.on('opened', () => opened++);
    await new Promise(setImmediate);
    for (const [index, { events }] of link.claims.entries()) events.onClaimed(claimed(index + 1));
    expect(opened).toBe(2);
    await tunnel.close();
  });
});

describe('an agent', () => {
  it('shares one link between its tunnels, which end by themselves', async () => {
    const agent = new Agent({ relay: RELAY }, openLink);
    agents.push(agent);
    const [one, two] = await Promise.all([agent.expose({ fetch }), agent.expose({ target: 3000 })]);
    expect(link.started).toBe(1);
    await one.close();
    expect(link.closedWith).toEqual([]);
    expect(link.claims.map((each) => each.isReleased)).toEqual([true, false]);
    const closed = new Promise((resolve) => two.once('closed', resolve));
    await agent.close(7);
    expect(await closed).toEqual({ reason: undefined });
    expect(link.closedWith).toEqual([7]);
    await expect(agent.expose({ fetch })).rejects.toMatchObject({ code: 'GOING_AWAY' });
  });

  it('logs words, never its token', async () => {
    const lines: string[] = [];
    const note = (message: string, fields: object): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
    const agent = new Agent(
      { relay: RELAY, token: 'canary-token', log: { debug: note, info: note, warn: note } },
      openLink,
    );
    agents.push(agent);
    await agent.expose({ fetch });
    link.events.onInterrupted(new PortholeError('RELAY_UNREACHABLE', 'ECONNRESET'), 10);
    expect(lines.join('\n')).toContain('ECONNRESET');
    expect(lines.join('\n')).not.toContain('canary-token');
  });
});
