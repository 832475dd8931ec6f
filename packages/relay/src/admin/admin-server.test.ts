import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AdminServer } from './admin-server.ts';

let server: AdminServer;
let port: number;
let notReady: string | undefined;
let notAlive: string | undefined;
let errors: unknown[];

beforeEach(async () => {
  notReady = undefined;
  notAlive = undefined;
  errors = [];
  server = new AdminServer(
    { host: '127.0.0.1', port: 0 },
    {
      sources: {
        notAlive: async () => notAlive,
        notReady: async () => notReady,
        metrics: async () => 'porthole_x 1\n',
        status: async () => ({ sessions: [] }),
      },
      onError: (error) => errors.push(error),
    },
  );
  port = await server.start();
});

afterEach(() => server.close());

async function raw(head: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.end(`${head}\r\n\r\n`);
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  await once(socket, 'close');
  return text;
}

const statusOf = async (head: string): Promise<number> =>
  Number((await raw(`${head}\r\nConnection: close`)).split(' ')[1]);

describe('the admin address', () => {
  it('answers health, readiness, metrics and status', async () => {
    expect(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text()).toBe('ok\n');
    expect(await raw(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close`)).toMatch(
      /^HTTP\/1.1 200 [^]*\r\n\r\nok\n$/,
    );
    expect(await raw(`GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close`)).toMatch(
      /version=0\.0\.4[^]*porthole_x 1\n$/,
    );
    expect(await raw(`GET /api/status?x HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close`)).toMatch(
      /application\/json[^]*"sessions": \[\]/,
    );
    expect(await statusOf('GET / HTTP/1.1\r\nHost: localhost')).toBe(404);
  });

  it('is not ready while the relay starts or drains, and alive all the same', async () => {
    expect(await statusOf('GET /readyz HTTP/1.1\r\nHost: localhost')).toBe(200);
    notReady = 'draining';
    expect(await raw('GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close')).toMatch(
      /^HTTP\/1.1 503 [^]*draining\n$/,
    );
    expect(await statusOf('GET /healthz HTTP/1.1\r\nHost: localhost')).toBe(200);
    notAlive = 'no worker answers';
    expect(await raw('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close')).toMatch(
      /^HTTP\/1.1 503 [^]*no worker answers\n$/,
    );
  });

  it('refuses what a web page could send through DNS rebinding', async () => {
    for (const host of [
      'evil.example.com',
      `evil.example.com:${port}`,
      'localhost.evil.com',
      '127.0.0.1.evil.com',
      '192.168.0.1',
      '0.0.0.0',
      '[::2]',
      '',
    ]) {
      expect([host, await statusOf(`GET /metrics HTTP/1.1\r\nHost: ${host}`)]).toEqual([host, 403]);
    }
    expect(await statusOf('GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example.com')).toBe(403);
    expect(await statusOf('GET /metrics HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site')).toBe(403);
    expect(await statusOf('GET /metrics HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: none')).toBe(200);
  });

  it('only reads', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      expect([method, await statusOf(`${method} /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0`)]).toEqual([
        method,
        405,
      ]);
    }
    expect(await raw('HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close')).toMatch(/200[^]*\r\n\r\n$/);
  });

  it('says that its address is taken', async () => {
    const second = new AdminServer(
      { host: '127.0.0.1', port },
      {
        sources: {
          notAlive: async () => undefined,
          notReady: async () => undefined,
          metrics: async () => '',
          status: async () => null,
        },
        onError: () => {},
      },
    );
    await expect(second.start()).rejects.toMatchObject({ code: 'ADDRESS_IN_USE', detail: `admin 127.0.0.1:${port}` });
    await second.close();
  });
});
