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
import { originFor } from './origin-for.ts';
import type { OriginTrust } from './origin-trust.ts';
import { type OriginTarget, parseTarget } from './target.ts';

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
  const elsewhere = { ...parseTarget('https://localhost:1'), loopback: false };
  const here = parseTarget('https://localhost:1');

  async function ask(where: OriginTarget, trust: OriginTrust): Promise<FakeStream> {
    const body = Buffer.alloc(300_000, 'abc');
    const server = createHttpsServer(identity, (_request, response) => response.end(body));
    const port = await listen(server);
    const target: OriginTarget = { ...where, address: { kind: 'host', host: 'localhost', port } };
    const origin = new HttpOrigin({ opener: new NetOpener(target, { connectTimeoutMs: 5_000, trust }) });
    cleanups.push(() => origin.close());
    const stream = new FakeStream();
    stream.sink = origin.openExchange(exchangeRequest(), stream);
    await stream.untilOver();
    if (stream.ended) expect(stream.body.equals(body)).toBe(true);
    return stream;
  }

  const ca = authority.certificatePem;
  const { fingerprint256 } = certificate.x509;

  it.each<[string, OriginTarget, OriginTrust]>([
    ['on this machine may have any certificate', here, {}],
    ['on this machine is checked with the authorities that are given', here, { ca }],
    ['elsewhere may have any if that is wanted', elsewhere, { verify: 'off' }],
    ['elsewhere may have one of a known authority', elsewhere, { ca }],
    ['may have the certificate that is named', elsewhere, { verify: `sha256:${fingerprint256}` }],
    [
      'may have it named without colons',
      here,
      { verify: `sha256:${fingerprint256.replaceAll(':', '').toLowerCase()}` },
    ],
    ['may be asked for by another name', elsewhere, { ca, serverName: 'localhost' }],
    ['may be an address', elsewhere, { ca, serverName: '127.0.0.1' }],
  ])('%s', async (_name, target, trust) => {
    expect((await ask(target, trust)).calls.at(-1)).toBe('end');
  });

  it.each<[string, OriginTarget, OriginTrust, RegExp]>([
    ['elsewhere with an unknown certificate', elsewhere, {}, /SELF_SIGNED|UNABLE_TO/],
    ['on this machine with an unknown one, if it is to be checked', here, { verify: 'on' }, /SELF_SIGNED|UNABLE_TO/],
    ['with a certificate for another name', here, { ca, serverName: 'other.test' }, /ALTNAME/],
    [
      'with another certificate than the one named',
      here,
      { verify: `sha256:${'0'.repeat(64)}` },
      /has SHA-256 [0-9A-F]{2}:/,
    ],
  ])('%s is refused, naming the reason', async (_name, target, trust, reason) => {
    const stream = await ask(target, trust);
    expect(stream.calls).toEqual(['reset ORIGIN_TLS']);
    expect(stream.resetDetail).toMatch(reason);
  });

  it.each<[string, OriginTrust]>([
    ['another word', { verify: 'yes' }],
    ['half a fingerprint', { verify: 'sha256:ab:cd' }],
    ['authorities that nobody will ask', { verify: 'off', ca }],
  ])('takes no %s', (_what, trust) => {
    expect(() => originFor('http', 'https://localhost:1', { trust })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });
});

describe('a relay with TLS', () => {
  async function tlsRelay(shown = certificate): Promise<URL> {
    const server = createServer({ key: shown.keyPem, cert: shown.chainPem }, (socket) => {
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

  async function failure(relay: URL, ca?: string): Promise<PortholeError> {
    const error = await relayDial({ relay, ca })().catch((reason: unknown) => reason);
    if (!(error instanceof PortholeError)) throw new Error('no PortholeError', { cause: error });
    // Neither the source files of OpenSSL nor the options of Node are what a person can do something about.
    expect(error.message).not.toMatch(/routines|\.\.\/|node/i);
    return error;
  }

  const old = { notBefore: new Date('2020-01-01'), notAfter: new Date('2020-02-01') };
  it.each([
    ['of an unknown authority', certificate, undefined, /of an authority that is not known here \([A-Z_]+\)$/],
    ['for other names', authority.issue(['other.test']), authority.certificatePem, /for other names .*other\.test/],
    ['out of date', authority.issue(['localhost'], old), authority.certificatePem, /has expired/],
  ])('whose certificate is %s says so, and what to do', async (_what, shown, ca, why) => {
    const relay = await tlsRelay(shown);
    const error = await failure(relay, ca);
    expect(error.code).toBe('RELAY_NOT_TRUSTED');
    expect(error.detail).toMatch(new RegExp(`^${relay.host}: its certificate `));
    expect(error.detail).toMatch(why);
    expect(error.hint).toContain('--ca-file');
  });

  it('that does not speak TLS is told apart from one that is not there', async () => {
    const plain = createPlainServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    });
    const port = await listen(plain);
    const error = await failure(new URL(`https://127.0.0.1:${port}`));
    expect([error.code, error.detail]).toEqual(['RELAY_NOT_TLS', `127.0.0.1:${port}`]);
    expect(error.hint).toContain('http://');
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
