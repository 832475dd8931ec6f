import { afterEach, describe, expect, it } from 'vitest';
import { WakeWatch } from './wake-watch.ts';

const now = { wall: 1_000_000, monotonic: 0, addresses: '192.0.2.1/24' };
let wakes = 0;
const watch = new WakeWatch(() => wakes++, {
  wallMs: () => now.wall,
  monotonicMs: () => now.monotonic,
  addresses: () => now.addresses,
});

function pass(wall: number, monotonic: number): number {
  now.wall += wall;
  now.monotonic += monotonic;
  const before = wakes;
  watch.look();
  return wakes - before;
}

afterEach(() => watch.stop());

describe('WakeWatch', () => {
  it('says so once when the machine slept, and not while time merely passes', () => {
    watch.start();
    expect(pass(1_000, 1_000)).toBe(0);
    expect(pass(3_600_000, 1_000)).toBe(1);
    expect(pass(1_000, 1_000)).toBe(0);
  });

  it('takes a busy event loop and a clock that is set for neither', () => {
    watch.start();
    expect(pass(30_000, 30_000)).toBe(0);
    expect(pass(-7_200_000, 1_000)).toBe(0);
    expect(pass(2_500, 1_000)).toBe(0);
  });

  it('says so when the addresses change', () => {
    watch.start();
    now.addresses = '198.51.100.7/24';
    expect(pass(1_000, 1_000)).toBe(1);
    expect(pass(1_000, 1_000)).toBe(0);
  });
});
