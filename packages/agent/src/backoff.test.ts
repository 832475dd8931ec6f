import { describe, expect, it } from 'vitest';
import { Backoff, BACKOFF_CAP_MS, UNREACHED_CAP_MS } from './backoff.ts';

const waits = (backoff: Backoff, count: number): number[] => Array.from({ length: count }, () => backoff.next());

describe('Backoff', () => {
  it('tries at once, then grows up to 15 seconds and no further', () => {
    const longest = waits(new Backoff(() => 1), 30);
    expect(longest[0]).toBeLessThanOrEqual(50);
    expect(longest.slice(1, 6)).toEqual([250, 500, 1000, 2000, 2500]);
    expect(longest.toSorted((a, b) => a - b)).toEqual(longest);
    expect(longest.at(-1)).toBe(BACKOFF_CAP_MS);
  });

  it('never waits more than 4 seconds in the first ten of a relay’s absence', () => {
    let elapsed = 0;
    for (const wait of waits(new Backoff(() => 1), 30)) {
      if (elapsed < 10_000) expect(wait).toBeLessThan(4_000);
      elapsed += wait;
    }
  });

  it('spreads the tries of many agents over three quarters of the wait', () => {
    const least = waits(new Backoff(() => 0), 30).at(-1) ?? 0;
    expect(least).toBe(BACKOFF_CAP_MS / 4);
  });

  it('counts the time that a try hung as waiting', () => {
    const backoff = new Backoff(() => 1);
    waits(backoff, 30);
    expect(backoff.next({ tookMs: 10_000, reachedNobody: false })).toBe(5_000);
    expect(backoff.next({ tookMs: 60_000, reachedNobody: false })).toBe(50);
  });

  it('is shorter while the tries do not leave the network', () => {
    const backoff = new Backoff(() => 1);
    waits(backoff, 30);
    expect(backoff.next({ tookMs: 0, reachedNobody: true })).toBe(UNREACHED_CAP_MS);
  });

  it('starts over after a carrier that stood, not after one that was closed at once', () => {
    const backoff = new Backoff(() => 1);
    waits(backoff, 10);
    backoff.lived(10, 500);
    expect(backoff.next()).toBeGreaterThan(2_000);
    backoff.lived(1_500, 500);
    expect(backoff.next()).toBe(50);
  });
});
