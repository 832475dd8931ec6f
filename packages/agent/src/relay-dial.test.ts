import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { PortholeError, WEBSOCKET_PROTOCOL } from '@porthole/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { type DialedCarrier, relayDial } from './relay-dial.ts';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function listen<Kind extends Server | HttpServer>(server: Kind): Promise<URL> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

/** Answers each connection's head with `answer`, and notes the heads. */
function scripted(answer: (head: string, index: number) => string): { server: Server; heads: string[] } {
  const heads: string[] = [];
  const server = createServer((socket) => {
    let received = '';
    const onData = (chunk: Buffer): void => {
      received += chunk.toString('latin1');
      if (!received.includes('\r\n\r\n')) return;
      socket.off('data', onData);
      heads.push(received);
      const text = answer(received, heads.length - 1);
      if (text === 'RESET') socket.resetAndDestroy();
      else socket.write(text, 'latin1');
    };
    socket.on('data', onData);
  });
  return { server, heads };
}

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: porthole\r\n\r\n';

/** Takes WebSockets, and meets the plain upgrade with a status (or takes it). */
function webSocketRelay(plain: string): { server: HttpServer; paths: string[]; upgrades: string[] } {
  const server = createHttpServer((_request, response) => response.writeHead(404).end());
  const webSockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has(WEBSOCKET_PROTOCOL) ? WEBSOCKET_PROTOCOL : false),
  });
  const paths: string[] = [];
  const upgrades: string[] = [];
  server.on('upgrade', (request, socket: Socket, head) => {
    const kind = request.headers.upgrade ?? '';
    upgrades.push(kind);
    paths.push(request.url ?? '');
    if (kind !== 'websocket') socket.end(plain);
    else
      webSockets.handleUpgrade(request, socket, head, (webSocket) =>
        webSocket.send(Buffer.from('hello from the relay')),
      );
  });
  return { server, paths, upgrades };
}

function discard(dialed: DialedCarrier): void {
  if (dialed.kind === 'upgrade') dialed.socket.destroy();
  else dialed.webSocket.terminate();
}

async function failure(promise: Promise<unknown>): Promise<PortholeError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof PortholeError)) throw new Error('no PortholeError', { cause: error });
  return error;
}

describe('the plain upgrade', () => {
  it('is asked for at the well-known path, and keeps bytes that came with the 101', async () => {
    const { server, heads } = scripted(() => `${SWITCH}first bytes`);
    const relay = await listen(server);
    const dialed = await relayDial({ relay, software: 'test/1' })();
    expect(dialed).toMatchObject({ kind: 'upgrade' });
    if (dialed.kind === 'upgrade') expect(dialed.head.toString()).toBe('first bytes');
    expect(heads[0]).toBe(
      `GET /.well-known/porthole HTTP/1.1\r\nHost: ${relay.host}\r\nUser-Agent: test/1\r\nConnection: Upgrade\r\nUpgrade: porthole\r\n\r\n`,
    );
    discard(dialed);
  });
});

describe('a relay that goes down', () => {
  it('is not tried as a WebSocket as well where the upgrade has worked, until that fails again and again', async () => {
    const { server, heads } = scripted((_head, index) => (index === 0 ? SWITCH : 'RESET'));
    const dial = relayDial({ relay: await listen(server) });
    discard(await dial());
    await expect(dial()).rejects.toMatchObject({ code: 'RELAY_UNREACHABLE' });
    expect(heads).toHaveLength(2);
    for (let i = 0; i < 19; i += 1) await expect(dial()).rejects.toMatchObject({ code: 'RELAY_UNREACHABLE' });
    await expect(dial()).rejects.toMatchObject({ code: 'NOT_A_RELAY' });
    expect(heads.at(-1)).toMatch(/Upgrade: websocket/i);
  });
});

describe('a relay that is busy', () => {
  it('is not tried in another way as well', async () => {
    const { server, heads } = scripted(
      () => 'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n',
    );
    const dialed = relayDial({ relay: await listen(server) })();
    await expect(dialed).rejects.toMatchObject({ code: 'RELAY_UNREACHABLE', detail: expect.stringContaining('503') });
    expect(heads).toHaveLength(1);
  });
});

describe('the WebSocket', () => {
  it.each([
    'HTTP/1.1 400 Bad Request\r\n\r\n',
    'HTTP/1.1 426 Upgrade Required\r\n\r\n',
    'HTTP/1.1 502 Bad Gateway\r\n\r\n',
    '',
  ])('is tried when the upgrade meets %j', async (plain) => {
    const { server, upgrades } = webSocketRelay(plain);
    const dialed = await relayDial({ relay: await listen(server) })();
    expect(dialed.kind).toBe('websocket');
    expect(upgrades).toEqual(['porthole', 'websocket']);
    if (dialed.kind !== 'websocket') return;
    // The relay has spoken already; nothing of it is lost before somebody listens.
    await new Promise(setImmediate);
    const webSocket = dialed.webSocket as WebSocket;
    const message = once(webSocket, 'message');
    webSocket.resume();
    expect(String((await message)[0])).toBe('hello from the relay');
    expect(webSocket.extensions).toBe('');
    discard(dialed);
  });

  it('is remembered when it worked', async () => {
    const { server, upgrades } = webSocketRelay('HTTP/1.1 400 Bad Request\r\n\r\n');
    const dial = relayDial({ relay: await listen(server) });
    discard(await dial());
    discard(await dial());
    expect(upgrades).toEqual(['porthole', 'websocket', 'websocket']);
  });

  it('is tried when the upgrade is reset', async () => {
    const inner = webSocketRelay('');
    const innerUrl = await listen(inner.server);
    const outer = createServer((socket) => {
      socket.once('data', (chunk: Buffer) => {
        if (chunk.includes('Upgrade: porthole')) return socket.resetAndDestroy();
        const onward = connect(Number(innerUrl.port), '127.0.0.1');
        onward.on('error', () => {});
        onward.write(chunk);
        socket.pipe(onward).pipe(socket);
      });
    });
    const dialed = await relayDial({ relay: await listen(outer) })();
    expect(dialed.kind).toBe('websocket');
    discard(dialed);
  });
});

describe('what is no relay', () => {
  it('is named by what it answered', async () => {
    const { server } = scripted(() => 'HTTP/1.1 404 Not Found\r\nServer: nginx/1.22\r\nContent-Length: 0\r\n\r\n');
    const error = await failure(relayDial({ relay: await listen(server) })());
    expect(error.code).toBe('NOT_A_RELAY');
    expect(error.detail).toMatch(
      /^http:\/\/127\.0\.0\.1:\d+: upgrade: 404 Not Found; WebSocket: 404 Not Found \(Server: nginx\/1\.22\)$/,
    );
  });

  it('may speak something else altogether', async () => {
    const { server } = scripted(() => 'SSH-2.0-OpenSSH_9.2\r\n');
    const error = await failure(relayDial({ relay: await listen(server) })());
    expect(error.code).toBe('NOT_A_RELAY');
    expect(error.detail).toContain('it does not speak HTTP');
  });

  it('may be nothing at all', async () => {
    const server = createServer();
    const relay = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    const error = await failure(relayDial({ relay })());
    expect(error.code).toBe('RELAY_UNREACHABLE');
    expect(error.detail).toContain('ECONNREFUSED');
  });

  it('may never answer', async () => {
    const error = await failure(relayDial({ relay: await listen(createServer()), timeoutMs: 150 })());
    expect(error).toMatchObject({ code: 'RELAY_UNREACHABLE', detail: 'no answer in time' });
  });

  it('is left alone when the caller gives up', async () => {
    const abort = new AbortController();
    const server = createServer(() => abort.abort(new Error('enough')));
    expect((await failure(relayDial({ relay: await listen(server) })(abort.signal))).detail).toContain('enough');
  });
});

describe('through an HTTP proxy', () => {
  function proxy(wanted?: string): { server: Server; asked: string[] } {
    const asked: string[] = [];
    const server = createServer((socket) => {
      socket.once('data', (chunk: Buffer) => {
        const head = chunk.toString('latin1');
        asked.push(head);
        if (wanted !== undefined && !head.includes(`Proxy-Authorization: Basic ${wanted}\r\n`)) {
          socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
          return;
        }
        const [host = '', port = ''] = (head.split(' ')[1] ?? '').split(':');
        const onward = connect(Number(port), host, () => {
          socket.write('HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n');
          socket.pipe(onward).pipe(socket);
        });
        onward.on('error', () => socket.destroy());
      });
    });
    return { server, asked };
  }

  it('both carriers go, with its credentials', async () => {
    const { server, upgrades } = webSocketRelay('HTTP/1.1 501 Not Implemented\r\n\r\n');
    const relay = await listen(server);
    const between = proxy(Buffer.from('user:pass').toString('base64'));
    const { host } = await listen(between.server);
    const dialed = await relayDial({ relay, proxy: { httpProxy: `http://user:pass@${host}` } })();
    expect(dialed.kind).toBe('websocket');
    expect(upgrades).toEqual(['porthole', 'websocket']);
    expect(between.asked.map((head) => head.split('\r\n')[0])).toEqual(Array(2).fill(`CONNECT ${relay.host} HTTP/1.1`));
    discard(dialed);
  });

  it('a refusal names the proxy, and no password', async () => {
    const { server } = scripted(() => SWITCH);
    const relay = await listen(server);
    const { host } = await listen(proxy('wanted').server);
    const error = await failure(relayDial({ relay, proxy: { httpProxy: `http://user:secret@${host}` } })());
    expect(error.code).toBe('PROXY_FAILED');
    expect(error.detail).toBe(
      `the HTTP proxy http://${host} answered 407 Proxy Authentication Required to CONNECT ${relay.host} (it wants a user name and password)`,
    );
  });

  it.each(['http', 'https'])(
    'that is not there (%s://) is named as what is not there, without its password',
    async (scheme) => {
      const { server } = scripted(() => SWITCH);
      const relay = await listen(server);
      const gone = createServer();
      const { host } = await listen(gone);
      await new Promise((resolve) => gone.close(resolve));
      const error = await failure(relayDial({ relay, proxy: { httpProxy: `${scheme}://user:secret@${host}` } })());
      expect(error.code).toBe('PROXY_FAILED');
      expect(error.message).toBe(
        `The HTTP proxy on the way to the relay could not be used. (${scheme}://${host}: connect ECONNREFUSED ${host})`,
      );
      expect(error.hint).toMatch(/HTTPS_PROXY.*NO_PROXY/);
    },
  );

  it('that cannot get to the relay itself is not to blame', async () => {
    const { server } = scripted(() => 'HTTP/1.1 503 Service Unavailable\r\n\r\n');
    const { host } = await listen(server);
    const error = await failure(
      relayDial({ relay: new URL('http://relay.test'), proxy: { httpProxy: `http://${host}` } })(),
    );
    expect(error.code).toBe('RELAY_UNREACHABLE');
    expect(error.detail).toContain(`the HTTP proxy http://${host} answered 503`);
  });

  it('is not used for a relay that is exempt', async () => {
    const { server } = scripted(() => SWITCH);
    const dialed = await relayDial({
      relay: await listen(server),
      proxy: { httpProxy: 'http://127.0.0.1:9', noProxy: '127.0.0.1' },
    })();
    expect(dialed.kind).toBe('upgrade');
    discard(dialed);
  });
});
