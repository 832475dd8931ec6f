import * as net from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TurnQueue } from '@porthole/protocol/node';
import { VisitorOutput } from './visitor-output.ts';

let server: net.Server;
let near: net.Socket;
let far: net.Socket;
let turns: TurnQueue;
let received: string;

beforeEach(async () => {
  server = net.createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  far = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  near = await accepted;
  turns = new TurnQueue();
  received = '';
  far.on('data', (chunk) => (received += chunk.toString('latin1')));
});
afterEach(() => {
  near.destroy();
  far.destroy();
  server.close();
});

async function untilReceived(length: number): Promise<void> {
  while (received.length < length) await new Promise((resolve) => far.once('data', resolve));
}

describe('what goes out to a visitor', () => {
  it('is copied out of what was read at once when the visitor stands still, so that a part does not keep the whole', async () => {
    far.pause();
    const output = new VisitorOutput(near, turns);
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    while (!output.blocked) {
      output.bytes(chunk);
      output.flush();
    }
    const read = Buffer.alloc(65_536, 'y');
    const kept = vi.spyOn(near, 'write');
    output.bytes(read.subarray(0, 100));
    const before = performance.now();
    vi.spyOn(performance, 'now').mockReturnValue(before + 1_000);
    output.bytes(read.subarray(100, 20_000));
    vi.mocked(performance.now).mockRestore();
    read.fill('z');
    far.resume();
    near.on('drain', () => output.drained());
    await vi.waitFor(() => expect(received.endsWith(`x${'y'.repeat(20_000)}`)).toBe(true), 5_000);
    expect(kept).toHaveBeenCalled();
  });

  it('is copied out when nothing further comes, too', async () => {
    far.pause();
    const output = new VisitorOutput(near, turns);
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    while (!output.blocked) {
      output.bytes(chunk);
      output.flush();
    }
    const read = Buffer.alloc(300_000, 'y');
    for (let at = 0; at < read.length; at += 10_000) output.bytes(read.subarray(at, at + 10_000));
    const write = vi.spyOn(near, 'write');
    output.tick(performance.now() + 1_000);
    read.fill('z');
    far.resume();
    near.on('drain', () => output.drained());
    await vi.waitFor(() => expect(received.endsWith(`x${'y'.repeat(300_000)}`)).toBe(true), 5_000);
    const pieces = write.mock.calls.map(([piece]) => piece as unknown as Buffer);
    expect(pieces.every((piece) => piece.buffer !== read.buffer)).toBe(true);
  });

  it('holds back what follows a little that the system does not take at once, until it has', async () => {
    far.pause();
    const output = new VisitorOutput(near, turns);
    let sent = 0;
    while (!output.blocked && sent < 100_000_000) {
      output.bytes(Buffer.alloc(16_000, 'x'));
      output.flush();
      sent += 16_000;
    }
    expect([output.blocked, near.writableLength]).toEqual([true, 0]);
    output.text('end');
    near.on('drain', () => output.drained());
    far.resume();
    await untilReceived(sent + 3);
    expect(received.endsWith('xend')).toBe(true);
    expect(output.blocked).toBe(false);
  });

  it('leaves in one write per turn, in order, text and bytes alike', async () => {
    const write = vi.spyOn(Reflect.get(near, '_handle') as { writeBuffer(): number }, 'writeBuffer');
    const output = new VisitorOutput(near, turns);
    for (const turn of ['1', '2']) {
      output.text(`a${turn}\xff`);
      output.bytes(Buffer.from('b'));
      output.text('c');
      output.text('d');
      output.bytes(Buffer.from('e'));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await untilReceived(14);
    expect(received).toBe('a1\xffbcdea2\xffbcde');
    expect(write).toHaveBeenCalledTimes(2);
  });

  it('keeps its order and bytes whatever the sizes of the pieces', async () => {
    const output = new VisitorOutput(near, turns);
    const sizes = [1, 2047, 2048, 2049, 16384, 3, 65536, 5, 70000, 1, 1, 300_000, 7, 2000];
    let expected = '';
    for (const [i, size] of sizes.entries()) {
      const piece = String.fromCharCode(97 + i).repeat(size);
      expected += piece;
      if (i % 2 === 0) output.bytes(Buffer.from(piece));
      else output.text(piece);
    }
    await untilReceived(expected.length);
    expect(received === expected).toBe(true);
  });

  it('does not change under way when the kernel has not taken it yet', async () => {
    far.pause();
    const first = new VisitorOutput(near, turns);
    near.on('drain', () => first.drained());
    let expected = '';
    for (let i = 0; i < 600; i++) {
      const text = String(i % 10).repeat(20_000);
      first.text(text);
      first.bytes(Buffer.from('|'));
      expected += `${text}|`;
      if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(first.blocked).toBe(true);
    far.resume();
    await untilReceived(expected.length);
    expect(received === expected).toBe(true);
  });

  it('ends only after everything is out', async () => {
    far.pause();
    const output = new VisitorOutput(near, turns);
    near.on('drain', () => output.drained());
    output.bytes(Buffer.alloc(8_000_000, 'x'));
    output.end();
    const ended = new Promise((resolve) => far.once('end', resolve));
    far.resume();
    await ended;
    expect(received.length).toBe(8_000_000);
  });
});
