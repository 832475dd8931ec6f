import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AcceptPace } from './accept-pace.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('AcceptPace', () => {
  it('lets a hundred in at once, then five hundred a second, in their order', () => {
    const pace = new AcceptPace();
    const begun: number[] = [];
    for (let i = 0; i < 1_000; i += 1) expect(pace.take(() => begun.push(i))).toBe(true);
    expect(begun).toHaveLength(100);
    vi.advanceTimersByTime(1_000);
    expect(begun.length).toBeGreaterThanOrEqual(590);
    expect(begun.length).toBeLessThanOrEqual(610);
    vi.advanceTimersByTime(1_000);
    expect(begun).toEqual(Array.from({ length: 1_000 }, (_unused, i) => i));
    expect(vi.getTimerCount()).toBe(0);
  });

  it('sends agents away when a thousand wait, and keeps nobody waiting when it closes', () => {
    const pace = new AcceptPace();
    let begun = 0;
    let taken = 0;
    for (let i = 0; i < 2_000; i += 1) if (pace.take(() => (begun += 1))) taken += 1;
    expect(taken).toBe(1_124);
    pace.close();
    expect(begun).toBe(taken);
    expect(vi.getTimerCount()).toBe(0);
  });
});
