import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES, LARGE_BLOCK_BYTES, ReadMemory, release } from './read-memory.ts';
import { ReplayBuffer } from './replay-buffer.ts';

/** Memory whose new blocks are counted. */
function counted(): { memory: ReadMemory; blocks: () => number } {
  let bytes = 0;
  const memory = new ReadMemory((more) => {
    bytes += more;
  });
  return { memory, blocks: () => bytes / BLOCK_BYTES };
}

describe('read memory', () => {
  it('is used again once all of a read was released, in whatever parts', () => {
    const { memory, blocks } = counted();
    const read = memory.take();
    release(read.subarray(0, 10));
    release(read.subarray(10, 60_000));
    expect(memory.take()).not.toBe(read);
    release(read, BLOCK_BYTES - 60_000);
    expect(memory.take()).toBe(read);
    expect(blocks()).toBe(2);
  });

  it('is left alone while a byte of it is not released', () => {
    const { memory } = counted();
    const read = memory.take();
    release(read, BLOCK_BYTES - 1);
    expect(memory.take()).not.toBe(read);
    expect(memory.take()).not.toBe(read);
  });

  it('is never used again once more of it was released than was lent', () => {
    const { memory } = counted();
    const [read, other] = [memory.take(), memory.take()];
    release(read);
    release(read, 1);
    release(other, BLOCK_BYTES - 1);
    release(other, 2);
    release(other, 1);
    const copy = memory.copy(Buffer.alloc(10_000, 1));
    const kept = memory.copy(Buffer.alloc(10_000, 2));
    release(copy);
    release(kept, 5_000);
    release(copy);
    memory.copy(Buffer.alloc(10_000, 3));
    memory.copy(Buffer.alloc(10_000, 4));
    const later = [memory.take(), memory.take(), memory.take()];
    for (const each of later) expect([read.buffer, other.buffer, kept.buffer].includes(each.buffer)).toBe(false);
    expect(kept.equals(Buffer.alloc(10_000, 2))).toBe(true);
  });

  it('comes in two sizes, each used again for its own', () => {
    const memory = new ReadMemory();
    const [small, large] = [memory.take(1_000), memory.take(BLOCK_BYTES + 1)];
    expect([small.length, small.buffer.byteLength]).toEqual([1_000, BLOCK_BYTES]);
    expect([large.length, large.buffer.byteLength]).toEqual([BLOCK_BYTES + 1, LARGE_BLOCK_BYTES]);
    release(small, BLOCK_BYTES);
    release(large, LARGE_BLOCK_BYTES);
    expect(memory.take(LARGE_BLOCK_BYTES).buffer).toBe(large.buffer);
    expect(memory.take().buffer).toBe(small.buffer);
  });

  it('keeps 16 MiB for further reads, whatever the sizes', () => {
    const { memory, blocks } = counted();
    const sizes = [BLOCK_BYTES, LARGE_BLOCK_BYTES];
    const takeAll = (): Buffer[] => sizes.flatMap((bytes) => Array.from({ length: 64 }, () => memory.take(bytes)));
    for (const read of takeAll()) release(read);
    const before = blocks();
    takeAll();
    // A block more than fits may be kept.
    const kept = (2 * before - blocks()) * BLOCK_BYTES;
    expect(kept).toBeGreaterThanOrEqual(16_777_216);
    expect(kept).toBeLessThan(16_777_216 + LARGE_BLOCK_BYTES);
  });

  it('takes no notice of memory from elsewhere', () => {
    expect(() => release(Buffer.alloc(BLOCK_BYTES))).not.toThrow();
    expect(() => release(Buffer.from('small'))).not.toThrow();
  });

  it('puts copies one behind the other and starts over when all were released', () => {
    const { memory, blocks } = counted();
    const copies = [1, 2, 3].map((value) => memory.copy(Buffer.alloc(10_000, value)));
    for (const [index, copy] of copies.entries()) expect(copy.equals(Buffer.alloc(10_000, index + 1))).toBe(true);
    const [first, second, third] = copies as [Buffer, Buffer, Buffer];
    expect(first.buffer).toBe(third.buffer);
    release(second);
    release(first);
    const fourth = memory.copy(Buffer.alloc(10_000, 4));
    expect(fourth.byteOffset).toBe(30_000);
    release(third);
    release(fourth);
    expect(memory.copy(Buffer.alloc(10_000, 5)).byteOffset).toBe(0);
    expect(blocks()).toBe(1);
  });

  it('makes no more memory for a stream of reads than is in use at once', () => {
    const { memory, blocks } = counted();
    const inUse: Buffer[] = [];
    for (let read = 0; read < 1_000; read += 1) {
      inUse.push(memory.take());
      if (inUse.length > 8) release(inUse.shift() as Buffer);
    }
    expect(blocks()).toBe(9);
  });
});

describe('what was sent', () => {
  it('gives its memory back when it is acknowledged and the carrier has passed it on', () => {
    const { memory } = counted();
    const replay = new ReplayBuffer();
    const read = memory.take();
    replay.push(read);
    replay.flushed(0);
    replay.ack(BLOCK_BYTES);
    expect(memory.take()).toBe(read);
  });

  it('keeps its memory while the carrier holds it, whatever the other end claims to have', () => {
    const { memory } = counted();
    const replay = new ReplayBuffer();
    const [first, second] = [memory.take(), memory.take()];
    replay.push(first);
    replay.push(second);
    replay.ack(2 * BLOCK_BYTES);
    const others = [memory.take(), memory.take()];
    expect(others.includes(first) || others.includes(second)).toBe(false);
    replay.flushed(BLOCK_BYTES);
    expect(memory.take()).toBe(first);
    expect(memory.take()).not.toBe(second);
    replay.flushed(0);
    expect(memory.take()).toBe(second);
  });

  it('never gives back what a lost carrier was given', () => {
    const { memory } = counted();
    const replay = new ReplayBuffer();
    const [acknowledged, waiting] = [memory.take(), memory.take()];
    replay.push(acknowledged);
    replay.push(waiting);
    replay.ack(BLOCK_BYTES);
    replay.carrierGone();
    replay.flushed(0);
    replay.ack(2 * BLOCK_BYTES);
    const others = [memory.take(), memory.take(), memory.take()];
    expect(others.includes(acknowledged) || others.includes(waiting)).toBe(false);
  });
});
