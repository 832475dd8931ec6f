/** A link to relays of other releases, and to one that wants nobody, played by hand. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { encodeFrame, encodeHandshake, ERRORS, FRAME, HandshakeReader, type Welcome } from '@porthole/protocol';
import { describe, expect, it, vi } from 'vitest';
import { expose } from './expose.ts';
import { openRelayLink } from './open-relay-link.ts';

const NOTHING = Buffer.alloc(32).toString('base64url');
const WELCOME: Welcome = {
  lane: 0,
  epoch: 0,
  received: 0,
  random: NOTHING,
  bound: false,
  identity: 'ada',
  graceMs: 60_000,
  heartbeatMs: 60_000,
  maxLanes: 1,
};

/** Code, 60 s left, no text. */
const GO_AWAY = Buffer.from([0, ERRORS.GOING_AWAY.wire, 0, 0, 234, 96]);

/** Takes every agent in and gives every claim an address, without a word about features. */
class EarlierRelay implements AsyncDisposable {
  readonly #server = createServer((socket) => this.#greet(socket));
  readonly #sockets: Socket[] = [];
  url = '';
  claims = 0;
  /** Sends every agent away as soon as it is there. */
  sendsAway = false;

  async start(): Promise<this> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #greet(socket: Socket): void {
    this.#sockets.push(socket);
    const reader = new HandshakeReader();
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: porthole\r\n\r\n');
      const challenge = { versions: [1], nonce: NOTHING, software: 'porthole-relay/0.0.1' };
      socket.write(encodeHandshake({ type: 'challenge', value: challenge }));
      const onHello = (chunk: Buffer): void => {
        if (reader.feed(chunk) === undefined) return;
        socket.off('data', onHello);
        socket.on('data', (frames: Buffer) => this.#look(socket, frames));
        socket.write(encodeHandshake({ type: 'welcome', value: WELCOME }));
        if (this.sendsAway) socket.write(encodeFrame(FRAME.goAway, 0, GO_AWAY));
      };
      socket.on('data', onHello);
    });
  }

  #look(socket: Socket, frames: Buffer): void {
    if (!frames.includes('"claim"')) return;
    this.claims += 1;
    const id = Number(/"id":(\d+)/.exec(frames.toString('latin1'))?.[1]);
    const given = { type: 'claimed', id, name: 'open', url: 'http://open.relay.test' };
    socket.write(encodeFrame(FRAME.message, 0, Buffer.from(JSON.stringify(given))));
  }
}

const fetch = (): Response => new Response('ok');

describe('a relay of an earlier release', () => {
  it('is asked for nothing it would leave out: a tunnel for some is not opened to all', async () => {
    await using relay = await new EarlierRelay().start();
    for (const wish of [{ clientCa: 'PEM' }, { remotePort: 7000 }]) {
      await expect(expose({ relay: relay.url, fetch, ...wish })).rejects.toMatchObject({
        code: 'NOT_SUPPORTED',
        detail: expect.stringContaining('the relay is too old'),
      });
    }
    expect(relay.claims).toBe(0);
    await using tunnel = await expose({ relay: relay.url, fetch });
    expect(tunnel.name).toBe('open');
  });
});

describe('a relay that sends every agent away at once', () => {
  it('is dialed after growing pauses, as if it were not there', async () => {
    await using relay = await new EarlierRelay().start();
    relay.sendsAway = true;
    const random = vi.spyOn(Math, 'random').mockReturnValue(0);
    const pauses: number[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const link = openRelayLink({
      relay: relay.url,
      events: {
        onConnected: () => {},
        onFinished: () => {},
        onInterrupted: ({ code, message }, nextTryInMs) => {
          // Not "this side", which would be the agent.
          expect([code, message]).toEqual(['RELAY_STOPPING', 'The relay is stopping.']);
          if (pauses.push(nextTryInMs) === 3) resolve();
        },
      },
    });
    link.start();
    await promise;
    await link.close(0);
    random.mockRestore();
    expect(pauses).toEqual([62.5, 125, 250]);
  });
});
