import { once } from 'node:events';
import * as net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { TappedSocket } from '@porthole/protocol/node';
import { VisitorReads } from './visitor-reads.ts';

const open: { destroy(): void }[] = [];
const servers: net.Server[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.destroy();
  for (const server of servers.splice(0)) server.close();
});

/** Pairs of a visitor's end and what the relay has of it, all of one listener. */
async function pairs(count: number): Promise<{ visitor: net.Socket; relay: TappedSocket }[]> {
  const reads = new VisitorReads();
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const made: { visitor: net.Socket; relay: TappedSocket }[] = [];
  for (let i = 0; i < count; i += 1) {
    const visitor = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    const [accepted] = (await once(server, 'connection')) as [net.Socket];
    const relay = reads.adopt(accepted);
    if (!(relay instanceof TappedSocket)) throw new Error('this Node does not allow it');
    open.push(visitor, relay);
    made.push({ visitor, relay });
  }
  return made;
}

describe('reads into shared memory', () => {
  it('keep what visitors who send at the same time say apart', async () => {
    const all = await pairs(8);
    const sent = all.map((_, i) => Buffer.alloc(300_000 + i, 65 + i));
    const got = await Promise.all(
      all.map(async ({ visitor, relay }, i) => {
        const parts: Buffer[] = [];
        relay.tap.reader = (chunk, owned) => parts.push(owned ? chunk : Buffer.from(chunk));
        relay.resume();
        visitor.end(sent[i] as Buffer);
        await once(relay, 'end');
        return Buffer.concat(parts);
      }),
    );
    for (const [i, bytes] of got.entries()) expect(bytes.equals(sent[i] as Buffer)).toBe(true);
  });

  it('read nothing while paused, and the rest afterwards', async () => {
    const [pair] = await pairs(1);
    const { visitor, relay } = pair as { visitor: net.Socket; relay: TappedSocket };
    let bytes = 0;
    relay.tap.reader = (chunk) => {
      bytes += chunk.length;
      relay.pause();
    };
    relay.resume();
    visitor.end(Buffer.alloc(1_000_000));
    while (bytes < 1_000_000) {
      const before = bytes;
      await new Promise((resolve) => setImmediate(resolve));
      if (bytes > before) expect(relay.isPaused()).toBe(true);
      relay.resume();
    }
    expect(bytes).toBe(1_000_000);
  });

  it('become an ordinary socket again for who takes the connection over', async () => {
    const [pair] = await pairs(1);
    const { visitor, relay } = pair as { visitor: net.Socket; relay: TappedSocket };
    const first = await new Promise<string>((resolve) => {
      relay.tap.reader = (chunk) => resolve(chunk.toString());
      relay.resume();
      visitor.write('first');
    });
    expect(first).toBe('first');
    relay.pause();
    relay.tap.reader = undefined;
    relay.unshift(Buffer.from('put back, '));
    visitor.end(Buffer.alloc(700_000, 'x'));
    let text = '';
    relay.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    relay.resume();
    await once(relay, 'end');
    expect(text).toBe(`put back, ${'x'.repeat(700_000)}`);
    relay.end('bye');
    const [answer] = (await once(visitor, 'data')) as [Buffer];
    expect(answer.toString()).toBe('bye');
  });
});
