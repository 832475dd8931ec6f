import { PortholeError } from '@porthole/protocol';
import { beforeEach, describe, expect, it } from 'vitest';
import { RepeatFold } from './repeat-fold.ts';

let nowMs: number;
let fold: RepeatFold;
const refused = new PortholeError('ORIGIN_REFUSED', '127.0.0.1:1: ECONNREFUSED');

beforeEach(() => {
  nowMs = 0;
  fold = new RepeatFold({ firstMs: 10_000, growth: 2, capMs: 40_000 }, () => nowMs);
});

/** Once a second: the seconds at which it was told, with how often since then and in all. */
function tellingsWithin(seconds: number): number[][] {
  const told: number[][] = [];
  for (let second = 0; second < seconds; second++, nowMs += 1_000) {
    const { isDue, times, inAll } = fold.note(refused);
    if (isDue) told.push([second, times, inAll]);
  }
  return told;
}

describe('a trouble that repeats itself', () => {
  it('is told at once, then after growing pauses, with how often', () => {
    expect(tellingsWithin(160)).toEqual([
      [0, 1, 1],
      [10, 10, 11],
      [30, 20, 31],
      [70, 40, 71],
      [110, 40, 111],
      [150, 40, 151],
    ]);
  });

  it('is a new one after a minute without it, and at once when it is said to be over', () => {
    tellingsWithin(5);
    expect(fold.note(refused).isDue).toBe(false);
    nowMs += 60_001;
    expect(fold.note(refused)).toEqual({ isDue: true, times: 1, inAll: 1 });
    expect(fold.note(refused).isDue).toBe(false);
    fold.clear();
    expect(fold.note(refused)).toEqual({ isDue: true, times: 1, inAll: 1 });
  });

  it('does not hide another, by code or by detail', () => {
    expect(fold.note(refused).isDue).toBe(true);
    expect(fold.note(new PortholeError('ORIGIN_REFUSED', '[::1]:1: ECONNREFUSED')).isDue).toBe(true);
    expect(fold.note(new PortholeError('ORIGIN_TIMEOUT', refused.detail)).isDue).toBe(true);
    expect(fold.note(refused).isDue).toBe(false);
  });

  it('whose detail is another each time is told a bounded number of times, and remembered in bounded memory', () => {
    let told = 0;
    for (let i = 0; i < 10_000; i++) if (fold.note(new PortholeError('ORIGIN_CLOSED', `case ${i}`)).isDue) told += 1;
    expect(told).toBe(33);
    nowMs += 60_001;
    expect(fold.note(new PortholeError('ORIGIN_CLOSED', 'another case'))).toEqual({ isDue: true, times: 1, inAll: 1 });
  });
});
