/** TLS on both sides of the agent: to origins and to the relay. */
import { once } from 'node:events';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer as createPlainServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer } from 'node:tls';
import { PortholeError, WEBSOCKET_PROTOCOL } from '@porthole/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { TestAuthority } from '../../../test/harness/certificates.ts';
import { exchangeRequest, FakeStream } from '../../../test/harness/fake-stream.ts';
import { HttpOrigin } from './http-origin.ts';
import { NetOpener } from './origin-socket.ts';
import { relayDial } from './relay-dial.ts';
import { parseTarget } from './target.ts';

const authority = new TestAuthority();
const certificate = authority.issue(['localhost', '127.0.0.1']);
const identity = { key: certificate.keyPem, cert: certificate.chainPem };
const cleanups: (() => unknown)[] = [];

afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

async function listen(server: Server): Promise<number> {
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
  return (server.address() as AddressInfo).port;
}

describe('an https:// origin', () => {
  async function ask(settings: {
    isLoopback: boolean;
    insecure: boolean;
    ca: string | undefined;
  }): Promise<FakeStream> {
    const body = Buffer.alloc(300_000, 'abc');
    const server = createHttpsServer(identity, (_request, response) => response.end(body));
    const target = { ...parseTarget(`https://localhost:${await listen(server)}`), loopback: settings.isLoopback };
    const origin = new HttpOrigin({ opener: new NetOpener(target, { connectTimeoutMs: 5_000, ...settings }) });
    cleanups.push(() => origin.close());
    const stream = new FakeStream();
    stream.sink = origin.openExchange(exchangeRequest(), stream);
    await stream.untilOver();
    if (stream.ended) expect(stream.body.equals(body)).toBe(true);
    return stream;
  }

  it.each([
    ['on this machine may have any certificate', { isLoopback: true, insecure: false, ca: undefined }],
    ['elsewhere may have any if that is wanted', { isLoopback: false, insecure: true, ca: undefined }],
    [
      'elsewhere may have one of a known authority',
      { isLoopback: false, insecure: false, ca: authority.certificatePem },
    ],
  ])('%s', async (_name, settings) => {
    expect((await ask(settings)).calls.at(-1)).toBe('end');
  });

  it('elsewhere with an unknown certificate is refused, naming the reason', async () => {
    const stream = await ask({ isLoopback: false, insecure: false, ca: undefined });
    expect(stream.calls).toEqual(['reset ORIGIN_TLS']);
    expect(stream.resetDetail).toMatch(/SELF_SIGNED|UNABLE_TO/);
  });
});

describe('a relay with TLS', () => {
  async function tlsRelay(): Promise<URL> {
    const server = createServer(identity, (socket) => {
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: porthole\r\n\r\nhi'),
      );
      socket.on('error', () => {});
    });
    return new URL(`https://localhost:${await listen(server)}`);
  }

  async function connectProxy(): Promise<string> {
    const server = createPlainServer((socket) => {
      socket.once('data', (chunk: Buffer) => {
        const port = /:(\d+) /.exec(chunk.toString('latin1'))?.[1];
        const onward = connect(Number(port), '127.0.0.1', () => {
          socket.write('HTTP/1.1 200 OK\r\n\r\n');
          socket.pipe(onward).pipe(socket);
        });
        onward.on('error', () => {});
      });
    });
    return `http://127.0.0.1:${await listen(server)}`;
  }

  it('is dialed with a certificate authority of its own, straight and through a proxy', async () => {
    const relay = await tlsRelay();
    for (const proxy of [{}, { httpsProxy: await connectProxy() }]) {
      const dialed = await relayDial({ relay, ca: authority.certificatePem, proxy })();
      expect(dialed.kind).toBe('upgrade');
      if (dialed.kind !== 'upgrade') return;
      expect(dialed.head.toString()).toBe('hi');
      expect('exportKeyingMaterial' in dialed.socket).toBe(true);
      dialed.socket.destroy();
    }
  });

  it('that is not trusted is unreachable, naming the reason', async () => {
    const error = await relayDial({ relay: await tlsRelay() })().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(PortholeError);
    expect(error).toMatchObject({ code: 'RELAY_UNREACHABLE' });
    expect((error as PortholeError).detail).toMatch(/certificate/);
  });

  it('is reached by WebSocket over TLS through a proxy', async () => {
    const server = createHttpsServer(identity);
    const webSockets = new WebSocketServer({ noServer: true, handleProtocols: () => WEBSOCKET_PROTOCOL });
    server.on('upgrade', (request, socket: Socket, head) => {
      if (request.headers.upgrade !== 'websocket') return socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      webSockets.handleUpgrade(request, socket, head, (webSocket) => webSocket.send(Buffer.from('hi')));
    });
    const relay = new URL(`wss://localhost:${await listen(server)}`);
    const dialed = await relayDial({
      relay,
      ca: authority.certificatePem,
      proxy: { httpsProxy: await connectProxy() },
    })();
    if (dialed.kind !== 'websocket') throw new Error('no WebSocket');
    const webSocket = dialed.webSocket as WebSocket;
    const message = once(webSocket, 'message');
    webSocket.resume();
    expect(String((await message)[0])).toBe('hi');
    dialed.webSocket.terminate();
  });
});
