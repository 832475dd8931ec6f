/** The WebSocket matrix: kinds and sizes of messages, fragments, ping, close codes, subprotocols, compression passed through. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import { startOrigin } from '../harness/origin.ts';
import { everythingIsHere } from '../harness/stage.ts';
import { within } from '../harness/until.ts';
import { sceneOfFile } from '../harness/scene.ts';

const scene = sceneOfFile(() => startOrigin({ compressWebSocket: true }));

async function open(options: ClientOptions = {}, protocols: string[] = []): Promise<WebSocket> {
  const url = `${scene.stage.url.replace('http', 'ws')}/socket?x=1`;
  const socket = new WebSocket(url, protocols, {
    lookup: everythingIsHere,
    perMessageDeflate: false,
    maxPayload: 64 * 1024 * 1024,
    ...options,
  });
  await within('the WebSocket opens', once(socket, 'open'));
  return socket;
}

/** Sends and gives the echo. */
async function echo(socket: WebSocket, data: string | Buffer): Promise<string | Buffer> {
  const answer = once(socket, 'message');
  socket.send(data);
  const [message, isBinary] = (await within('the echo', answer)) as [Buffer, boolean];
  return isBinary ? message : message.toString();
}

async function closed(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await within('the WebSocket closes', once(socket, 'close'))) as [number, Buffer];
  return { code, reason: reason.toString() };
}

describe('a WebSocket through a tunnel', () => {
  it.each([0, 1, 125, 126, 65_535, 65_536, 1024 * 1024, 16 * 1024 * 1024])(
    'echoes %i bytes, text and binary',
    async (size) => {
      const socket = await open();
      const bytes = randomBytes(size);
      const text = 'ä'.repeat(Math.floor(size / 2)) + 'x'.repeat(size % 2);
      expect((await echo(socket, bytes)) as Buffer).toEqual(bytes);
      expect((await echo(socket, text)) === text).toBe(true);
      socket.terminate();
    },
  );

  it('keeps 1,000 messages in order', async () => {
    const socket = await open();
    const seen: string[] = [];
    const all = new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        if (seen.push(String(data)) === 1000) resolve();
      });
    });
    for (let i = 0; i < 1000; i++) socket.send(`message ${i}`);
    await within('1,000 echoes', all);
    expect(seen).toEqual(Array.from({ length: 1000 }, (_unused, i) => `message ${i}`));
    socket.terminate();
  });

  it('carries a message in fragments', async () => {
    const socket = await open();
    const answer = once(socket, 'message');
    socket.send('one ', { fin: false });
    socket.send('two ', { fin: false });
    socket.send('three', { fin: true });
    expect(String((await answer)[0])).toBe('one two three');
    socket.terminate();
  });

  it('carries pings and pongs both ways', async () => {
    const socket = await open();
    const pong = once(socket, 'pong');
    socket.ping('are you there');
    expect(String((await within('the pong', pong))[0])).toBe('are you there');
    const ping = once(socket, 'ping');
    for (const atOrigin of scene.origin.webSockets) atOrigin.ping('and you');
    expect(String((await within('the ping', ping))[0])).toBe('and you');
    socket.terminate();
  });

  it.each([
    [1000, ''],
    [1001, 'going'],
    [1008, 'policy'],
    [3000, 'registered'],
    [4999, 'ä private end'],
  ])("passes the origin's close %i with its reason", async (code, reason) => {
    const socket = await open();
    const end = closed(socket);
    socket.send(`close ${code} ${reason}`);
    expect(await end).toEqual({ code, reason });
  });

  it("passes the visitor's close with its reason", async () => {
    const socket = await open();
    const atOrigin = [...scene.origin.webSockets].at(-1);
    if (atOrigin === undefined) throw new Error('no WebSocket at the origin');
    const end = closed(atOrigin);
    socket.close(4321, 'enough');
    expect(await end).toEqual({ code: 4321, reason: 'enough' });
  });

  it('tells the origin when the visitor vanishes, and the visitor when the origin does', async () => {
    const socket = await open();
    socket.terminate();
    await within(
      'the origin notices',
      scene.origin.whenever(() => scene.origin.webSockets.size === 0),
    );
    const other = await open();
    const end = closed(other);
    for (const atOrigin of scene.origin.webSockets) atOrigin.terminate();
    expect((await end).code).toBe(1006);
  });

  it('negotiates subprotocols end to end', async () => {
    const socket = await open({}, ['other', 'porthole-two']);
    expect(socket.protocol).toBe('porthole-two');
    socket.terminate();
  });

  it('passes permessage-deflate through untouched', async () => {
    const socket = await open({ perMessageDeflate: true });
    expect(socket.extensions).toContain('permessage-deflate');
    const text = 'compress me '.repeat(10_000);
    expect(await echo(socket, text)).toBe(text);
    socket.terminate();
  });

  it('shows the origin the handshake as it was, with forwarding fields', async () => {
    const socket = await open({ headers: { origin: 'http://page.example', cookie: 'a=b', 'x-OWN': '1' } });
    const fields = new Map(JSON.parse((await echo(socket, 'headers')) as string) as [string, string][]);
    const lower = new Map([...fields].map(([name, value]) => [name.toLowerCase(), value]));
    expect(lower.get('host')).toBe(scene.stage.host);
    expect(lower.get('origin')).toBe('http://page.example');
    expect(lower.get('cookie')).toBe('a=b');
    expect(lower.get('upgrade')?.toLowerCase()).toBe('websocket');
    expect(lower.get('connection')?.toLowerCase()).toContain('upgrade');
    expect(lower.get('x-forwarded-for')).toBe('127.0.0.1');
    expect([...fields.keys()]).toContain('x-OWN');
    socket.terminate();
  });

  it('leaves nothing behind when both sides close at the same moment, 200 times', async () => {
    await within(
      'earlier ones are gone',
      scene.origin.whenever(() => scene.origin.webSockets.size === 0),
    );
    for (let round = 0; round < 200; round++) {
      const socket = await open();
      const end = closed(socket);
      if (round % 2 === 0) socket.send('close 1000');
      else socket.close(1000);
      await end;
      await within(
        `round ${round} is over at the origin`,
        scene.origin.whenever(() => scene.origin.webSockets.size === 0),
        5_000,
      );
    }
  });

  it('holds 100 at once', async () => {
    const sockets = await Promise.all(Array.from({ length: 100 }, () => open()));
    const answers = await Promise.all(sockets.map((socket, i) => echo(socket, `to ${i}`)));
    expect(answers).toEqual(sockets.map((_socket, i) => `to ${i}`));
    for (const socket of sockets) socket.terminate();
    await within(
      'all gone',
      scene.origin.whenever(() => scene.origin.webSockets.size === 0),
    );
  });
});
