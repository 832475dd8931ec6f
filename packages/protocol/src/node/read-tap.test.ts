import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES, ReadMemory, release } from '../read-memory.ts';
import { ReadTap } from './read-tap.ts';

/** A tap that has just read so much that its socket reads into memory of its own, and a way to say that it read. */
function tapInBulk(memory: ReadMemory): { tap: ReadTap; socket: Duplex; read: (length: number) => void } {
  const tap = new ReadTap(memory);
  const socket = new Duplex({ read() {}, write() {} }).on('error', () => undefined);
  tap.bind(socket);
  let to = tap.onread.buffer();
  const read = (length: number): void => {
    tap.onread.callback(length, to);
    to = tap.onread.buffer();
  };
  tap.reader = (chunk, owned) => owned && release(chunk);
  read(BLOCK_BYTES);
  return { tap, socket, read };
}

/** Reads as much as there is room for, `times` times, `apartMs` apart; says how much there was room for at last. */
function readOn(tap: ReadTap, clock: { now: number }, times: number, apartMs: number): number {
  let room = tap.onread.buffer();
  for (let count = 0; count < times; count += 1) {
    clock.now += apartMs;
    tap.onread.callback(room.length, room);
    room = tap.onread.buffer();
  }
  return room.length;
}

describe('how much is read at once', () => {
  it.each([
    { brings: 'payload', fast: 262_016, slow: 65_504 },
    { brings: 'frames', fast: 65_512, slow: 65_512 },
  ] as const)('is more of a fast transfer that brings payload, not $brings: $fast', ({ brings, fast, slow }) => {
    const clock = { now: 0 };
    const tap = new ReadTap(new ReadMemory(), false, () => clock.now);
    tap.bind(new Duplex({ read() {}, write() {} }));
    tap.brings = brings;
    tap.reader = (chunk, owned) => owned && release(chunk);
    expect(readOn(tap, clock, 60, 1)).toBe(slow);
    expect(readOn(tap, clock, 200, 0.1)).toBe(fast);
    expect(readOn(tap, clock, 200, 2)).toBe(slow);
  });
});

describe('a socket that reads into memory of its own', () => {
  it('is closed when its reader fails: what it would read into next has been given away', () => {
    const { tap, socket, read } = tapInBulk(new ReadMemory());
    tap.reader = (chunk) => {
      release(chunk);
      throw new Error('a bug');
    };
    expect(() => read(BLOCK_BYTES)).toThrow('a bug');
    expect(socket.destroyed).toBe(true);
  });

  it('is closed when there is no more memory', () => {
    const memory = new ReadMemory();
    const { tap, socket, read } = tapInBulk(memory);
    tap.reader = () => undefined;
    memory.take = () => {
      throw new RangeError('Array buffer allocation failed');
    };
    expect(() => read(BLOCK_BYTES)).toThrow(RangeError);
    expect(socket.destroyed).toBe(true);
  });
});
