import * as net from 'node:net';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { listen } from './listening.ts';

const servers: net.Server[] = [];

function newServer(): net.Server {
  const server = net.createServer();
  servers.push(server);
  return server;
}

afterEach(async () => {
  for (const server of servers.splice(0)) if (server.listening) await once(server.close(), 'close');
});

it('a port that is taken is an error with a remedy', async () => {
  const unexpected = (error: Error): never => expect.unreachable(error.message);
  const { port } = await listen(newServer(), { port: 0, host: '127.0.0.1' }, 'port 0', unexpected);
  await expect(listen(newServer(), { port, host: '127.0.0.1' }, `port ${port}`, unexpected)).rejects.toMatchObject({
    code: 'ADDRESS_IN_USE',
    detail: `port ${port}`,
  });
});

it('what goes wrong with a single connection later is told, and the listener goes on', async () => {
  const errors: Error[] = [];
  const server = newServer();
  const { port } = await listen(server, { port: 0, host: '127.0.0.1' }, 'port 0', (error) => errors.push(error));
  const error = Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' });
  server.emit('error', error);
  expect(errors).toEqual([error]);
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const visitor = net.connect(port, '127.0.0.1');
  (await accepted)[0].destroy();
  await once(visitor, 'close');
});

it.each([
  ['EACCES', 'ADDRESS_FORBIDDEN'],
  ['EADDRNOTAVAIL', 'ADDRESS_NOT_HERE'],
])('%s is no other program: %s', async (systemCode, code) => {
  const server = newServer();
  server.listen = () => {
    server.emit('error', Object.assign(new Error(`listen ${systemCode}`), { code: systemCode }));
    return server;
  };
  await expect(listen(server, { port: 80 }, 'port 80', () => undefined)).rejects.toMatchObject({
    code,
    detail: `port 80: ${systemCode}`,
  });
});
