import { describe, expect, it } from 'vitest';
import { renewalTime, restAfterFailure, warningTime } from './renewal-time.ts';

const day = 86_400_000;
const hour = 3_600_000;
const span = (life: number, id = 'a.example') => ({ id, notBeforeMs: 0, notAfterMs: life * day });

describe('renewalTime', () => {
  it('is at a third of life left, spread over a twentieth of life, and the same in every process', () => {
    const times = Array.from({ length: 500 }, (_, i) => renewalTime(span(90, `${i}`), undefined) / day);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(55.5);
    expect(Math.max(...times)).toBeLessThanOrEqual(60);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(4);
    expect(renewalTime(span(6), undefined)).toBe(renewalTime(span(6), undefined));
    expect(renewalTime(span(6), undefined)).toBeLessThanOrEqual(4 * day);
  });

  it('is in the window of the authority, spread over it, but never dangerously late', () => {
    const renewal = { windowStartMs: 10 * day, windowEndMs: 12 * day, askAgainAtMs: 0 };
    const times = Array.from({ length: 200 }, (_, i) => renewalTime(span(90, `${i}`), renewal) / day);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(10);
    expect(Math.max(...times)).toBeLessThanOrEqual(12);
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(1.5);
    expect(renewalTime(span(90), { windowStartMs: 200 * day, windowEndMs: 300 * day, askAgainAtMs: 0 })).toBe(75 * day);
  });
});

it('warns 14 days before the end, later for short-lived certificates', () => {
  expect(warningTime(span(90))).toBe(76 * day);
  expect(warningTime(span(6))).toBe(5 * day);
});

describe('restAfterFailure', () => {
  it('doubles from a minute for passing trouble, from an hour for a no, up to a day', () => {
    expect([1, 2, 3, 30].map((n) => restAfterFailure('ACME_UNREACHABLE', n, undefined, 0.5))).toEqual([
      60_000,
      120_000,
      240_000,
      day,
    ]);
    expect([1, 2, 30].map((n) => restAfterFailure('ACME_CHALLENGE_FAILED', n, undefined, 0.5))).toEqual([
      hour,
      2 * hour,
      day,
    ]);
  });
  it('varies by a fifth, and is never less than the authority asks for', () => {
    expect(restAfterFailure('ACME_REFUSED', 1, undefined, 0)).toBe(0.8 * hour);
    expect(restAfterFailure('ACME_REFUSED', 1, undefined, 1)).toBeCloseTo(1.2 * hour);
    expect(restAfterFailure('ACME_RATE_LIMITED', 1, 7 * day, 0.5)).toBe(7 * day);
  });
});
