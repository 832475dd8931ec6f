import { once } from 'node:events';
import * as net from 'node:net';
import { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Listener } from '../../../../test/harness/listener.ts';
import { DirectWrites } from './direct-writes.ts';

let direct: DirectWrites;
let listener: Listener;
let near: net.Socket;
let far: net.Socket;

beforeEach(async () => {
  direct = new DirectWrites();
  const server = net.createServer({ allowHalfOpen: true });
  listener = await new Listener(server).listen();
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  near = net.connect(listener.port, '127.0.0.1');
  [far] = await accepted;
  await once(near, 'connect');
  for (const socket of [near, far]) socket.on('error', () => undefined);
});

afterEach(async () => {
  near.destroy();
  far.destroy();
  await listener.close();
});

async function readAll(socket: net.Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of socket) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** Writes until the system takes no more: `waits`. Returns all that was written. */
function fill(socket: net.Socket): Buffer {
  const pieces: Buffer[] = [];
  for (let count = 0; count < 10_000; count += 1) {
    const piece = Buffer.alloc(16_000, String.fromCharCode(97 + (count % 26)));
    pieces.push(piece);
    if (direct.write(socket, piece) !== 'sent') return Buffer.concat(pieces);
  }
  throw new Error('the system takes everything');
}

describe('a write past the stream', () => {
  it('sends text and bytes, in order with what the stream writes', async () => {
    expect(direct.write(near, 'caf\xe9 ')).toBe('sent');
    near.write('and ');
    expect(direct.write(near, Buffer.from('bread'))).toBe('sent');
    near.end('.');
    expect((await readAll(far)).toString('latin1')).toBe('caf\xe9 and bread.');
  });

  it('waits for a peer who does not read, and leaves what follows to the stream, which says when to stop', async () => {
    const written = fill(near);
    expect(direct.write(near, 'more')).toBeUndefined();
    near.write('through the stream');
    expect(near.writableLength).toBeGreaterThan(0);
    near.end();
    const read = await readAll(far);
    expect(read.equals(Buffer.concat([written, Buffer.from('through the stream')]))).toBe(true);
  });

  it('is possible again once what waited has been taken', async () => {
    const written = fill(near);
    const drained = once(near, 'drain');
    let read = 0;
    for await (const piece of far.iterator({ destroyOnReturn: false })) {
      read += (piece as Buffer).length;
      if (read === written.length) break;
    }
    await drained;
    expect(direct.write(near, 'once more')).toBe('sent');
  });

  it('fails as the stream would when the peer has gone', async () => {
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => near.once('error', resolve));
    far.resetAndDestroy();
    // Before the event loop has told this end.
    await new Promise<void>((resolve) => {
      far.once('close', () => resolve(void direct.write(near, 'anybody?')));
    });
    expect(['ECONNRESET', 'EPIPE']).toContain((await failed).code);
    expect(near.destroyed).toBe(true);
    expect(direct.write(near, 'nobody')).toBeUndefined();
  });

  it('fails as the stream would when the peer goes while it waits', async () => {
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => near.once('error', resolve));
    fill(near);
    far.resetAndDestroy();
    expect(['ECONNRESET', 'EPIPE']).toContain((await failed).code);
    expect(near.destroyed).toBe(true);
  });

  it('is not for sockets that are not open, are not plain, or are none', async () => {
    const connecting = net.connect(listener.port, '127.0.0.1');
    expect(direct.write(connecting, 'early')).toBeUndefined();
    connecting.destroy();
    expect(direct.write(new TLSSocket(far), 'plain')).toBeUndefined();
    expect(direct.write(new Duplex({ read() {}, write() {} }), 'nothing')).toBeUndefined();
    near.end();
    expect(direct.write(near, 'late')).toBeUndefined();
  });
});
