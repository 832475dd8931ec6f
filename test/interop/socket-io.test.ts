/** socket.io, with long polling, with the upgrade to WebSocket, and with WebSocket alone. */
import { Agent, createServer } from 'node:http';
import { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { Listener } from '../harness/listener.ts';
import { type Stage, everythingIsHere, startStage } from '../harness/stage.ts';
import { within } from '../harness/until.ts';

let listener: Listener;
let server: Server;
let stage: Stage;

beforeAll(async () => {
  const http = createServer();
  listener = new Listener(http);
  // Named, because under the test runner's import conditions `require('ws')` gives engine.io something else.
  server = new Server(http, { pingInterval: 1000, pingTimeout: 2000, wsEngine: WebSocketServer });
  server.on('connection', (socket) => {
    socket.on('say', (text: string, binary: Buffer, answer: (text: string, binary: Buffer) => void) =>
      answer(text, binary),
    );
    socket.on('shout', (text: string) => server.emit('heard', text));
  });
  await listener.listen();
  stage = await startStage(listener.port);
});
afterAll(async () => {
  await server?.close();
  await stage?.close();
  await listener?.close();
});

async function join(transports: string[]): Promise<Socket> {
  const agent = new Agent({ keepAlive: true, lookup: everythingIsHere });
  const socket = io(stage.url, { transports, forceNew: true, agent: agent as unknown as string });
  await within(
    'socket.io connects',
    new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve());
      socket.once('connect_error', reject);
    }),
  );
  return socket;
}

describe('socket.io', () => {
  it.each([[['polling']], [['websocket']], [['polling', 'websocket']]])(
    'over %j: acknowledgements, binary, broadcasts',
    async (transports) => {
      const [one, two] = await Promise.all([join(transports), join(transports)]);
      for (let i = 0; i < 20; i++) {
        const bytes = Buffer.alloc(i * 1000, i);
        const [text, back] = (await within(
          'the answer',
          one.emitWithAck('say', `nr ${i}`, bytes).then((text: string) => [text, bytes]),
        )) as [string, Buffer];
        expect([text, back.length]).toEqual([`nr ${i}`, i * 1000]);
      }
      const heard = Promise.all(
        [one, two].map((socket) => new Promise<string>((resolve) => socket.once('heard', resolve))),
      );
      one.emit('shout', 'everybody');
      expect(await within('the broadcast', heard)).toEqual(['everybody', 'everybody']);
      if (transports.length === 2) {
        await within(
          'the upgrade',
          new Promise<void>((resolve) => {
            if (one.io.engine.transport.name === 'websocket') resolve();
            else one.io.engine.once('upgrade', () => resolve());
          }),
        );
        expect(one.io.engine.transport.name).toBe('websocket');
      }
      one.disconnect();
      two.disconnect();
    },
  );
});
