/** The library against a real relay: targets, servers without a port, fetch handlers, events, endings. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { Agent, expose, type Tunnel } from '@porthole/agent';
import { startCarrierCutter } from '../harness/carrier-cutter.ts';
import { type RelayInProcess, startRelayInProcess } from '../harness/in-process.ts';
import { startOrigin } from '../harness/origin.ts';
import { askOnce, connectVisitor, getRequest, postRequest } from '../harness/raw-visitor.ts';
import { everythingIsHere } from '../harness/stage.ts';
import { within } from '../harness/until.ts';

let relay: RelayInProcess;

beforeAll(async () => {
  relay = await startRelayInProcess({ heartbeat: '1s', wait: '1s', domain: 'localhost,also.localhost' });
});
afterAll(() => relay?.close());

const get = (url: string, path = '/') => askOnce(url, getRequest(url, path));

describe('expose', () => {
  it('puts a target on a public address, until the block is left', async () => {
    await using origin = await startOrigin();
    let url: string;
    {
      await using tunnel = await expose({ relay: relay.url, target: origin.port });
      ({ url } = tunnel);
      expect(tunnel.name).toMatch(/^[a-z]+-[a-z]+/);
      expect((await get(url, '/size/10')).body.length).toBe(10);
    }
    expect((await get(url)).status).toBe(404);
  });

  it('puts a target under several domains, all of them or none', async () => {
    await using origin = await startOrigin();
    const domain = ['also.localhost', 'localhost'];
    await using holder = await expose({ relay: relay.url, target: origin.port, name: 'twofold', domain });
    expect(holder.urls).toEqual(domain.map((each) => `http://twofold.${each}:${relay.port}`));
    for (const url of holder.urls) expect((await get(url, '/size/10')).status).toBe(200);
    const opening = expose({
      relay: relay.url,
      target: origin.port,
      name: 'single',
      domain: [...domain, 'nobody.test'],
    });
    await expect(opening).rejects.toMatchObject({
      code: 'NAME_NOT_ALLOWED',
      detail: expect.stringContaining('none of the 3 domains is served'),
    });
    expect((await get(`http://single.localhost:${relay.port}`)).status).toBe(404);
  });

  it('puts a server that listens nowhere on a public address, WebSockets included', async () => {
    const server = createServer((request, response) => void request.pipe(response));
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(String(data).toUpperCase())));
    await using tunnel = await expose({ relay: relay.url, server });
    expect(server.listening).toBe(false);
    expect((await askOnce(tunnel.url, postRequest(tunnel.url, '/', 'through'))).body.toString()).toBe('through');
    const visitor = new WebSocket(tunnel.url.replace('http', 'ws'), { lookup: everythingIsHere });
    await once(visitor, 'open');
    const answer = once(visitor, 'message');
    visitor.send('loud');
    expect(String((await within('the answer', answer))[0])).toBe('LOUD');
    const closed = once(visitor, 'close');
    visitor.close(1000);
    await within('the close', closed);
  });

  it('puts a fetch handler on a public address, streams included', async () => {
    await using tunnel = await expose({
      relay: relay.url,
      fetch: async (request) => {
        const { pathname } = new URL(request.url);
        if (pathname === '/stream') {
          const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
          const writer = writable.getWriter();
          void (async () => {
            for (const word of ['one ', 'two ', 'three']) await writer.write(new TextEncoder().encode(word));
            await writer.close();
          })();
          return new Response(readable);
        }
        return Response.json({ method: request.method, body: await request.text() }, { status: 201 });
      },
    });
    const answer = await askOnce(tunnel.url, postRequest(tunnel.url, '/x', 'hello'));
    expect([answer.status, JSON.parse(answer.body.toString())]).toEqual([201, { method: 'POST', body: 'hello' }]);
    expect((await get(tunnel.url, '/stream')).body.toString()).toBe('one two three');
  });

  it('tells of every turn of its life', async () => {
    await using origin = await startOrigin();
    await using cutter = await startCarrierCutter({ port: relay.port });
    const tunnel: Tunnel = await expose({ relay: cutter.url, target: origin.port, name: 'eventful' });
    const interrupted = once(tunnel, 'interrupted');
    const resumed = once(tunnel, 'resumed');
    cutter.cut();
    await within('interrupted', interrupted);
    expect((await within('resumed', resumed))[0]).toEqual({ streamsKept: true });
    expect((await get(tunnel.url, '/size/3')).body.length).toBe(3);
    const closed = once(tunnel, 'closed');
    await tunnel.close();
    expect((await within('closed', closed))[0]).toEqual({ reason: undefined });
    await tunnel.close();
    expect(tunnel.closed).toBe(true);
  });

  it('rejects with the code of the refusal', async () => {
    await expect(expose({ relay: relay.url, target: 1, name: 'not a name' })).rejects.toMatchObject({
      code: 'NAME_INVALID',
    });
    await expect(expose({ relay: relay.url, target: 'ftp://x' })).rejects.toMatchObject({ code: 'TARGET_INVALID' });
    await expect(expose({ relay: relay.url })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('can be given up while it opens, and closed by a signal afterwards', async () => {
    await using cutter = await startCarrierCutter({ port: relay.port });
    cutter.refuse(true);
    const giveUp = new AbortController();
    const opening = expose({ relay: cutter.url, target: 1, signal: giveUp.signal });
    giveUp.abort();
    await expect(opening).rejects.toThrow();

    await using origin = await startOrigin();
    const stop = new AbortController();
    const tunnel = await expose({ relay: relay.url, target: origin.port, signal: stop.signal });
    const closed = once(tunnel, 'closed');
    stop.abort();
    await within('closed', closed);
    expect((await get(tunnel.url)).status).toBe(404);
  });
});

describe('an agent of the library', () => {
  it('carries several tunnels over one link, each closing for itself', async () => {
    await using origin = await startOrigin();
    await using agent = new Agent({ relay: relay.url });
    const one = await agent.expose({ target: origin.port, name: 'first-of-two' });
    const two = await agent.expose({ fetch: () => new Response('two'), name: 'second-of-two' });
    expect((await get(one.url, '/size/1')).body.length).toBe(1);
    await one.close();
    expect((await get(one.url)).status).toBe(404);
    expect((await get(two.url)).body.toString()).toBe('two');
  });

  it('lets an answer under way finish when its tunnel closes', async () => {
    await using origin = await startOrigin();
    await using tunnel = await expose({ relay: relay.url, target: origin.port });
    await using visitor = await connectVisitor(tunnel.url);
    await visitor.send(getRequest(tunnel.url, '/size/30000000'));
    await visitor.untilReceived(1);
    const closing = tunnel.close();
    await visitor.readUntil('\r\n\r\n');
    expect((await visitor.readBytes(30_000_000, 20_000)).length).toBe(30_000_000);
    await closing;
  });
});
