/** The fuzzer for a moment, always from the same seed; `fuzz.ts` itself runs for longer and from any. */
import { describe, expect, it } from 'vitest';
import { observeRequests, observeResponses } from './observe.ts';
import { fuzzRequests, fuzzResponses } from './fuzz.ts';

const BUDGET_MS = 2000;
const SEED = 20_261_122;

describe('any bytes', () => {
  it('as requests: only faults are thrown, splits do not matter, what is accepted is written and read back the same', () => {
    const { runs, accepted } = fuzzRequests(SEED, BUDGET_MS);
    expect(runs).toBeGreaterThan(200);
    expect(accepted).toBeGreaterThan(runs / 20);
  });

  it('as responses: likewise', () => {
    const { runs, accepted } = fuzzResponses(SEED, BUDGET_MS);
    expect(runs).toBeGreaterThan(200);
    expect(accepted).toBeGreaterThan(runs / 20);
  });

  const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  it.each([
    ['a method', '', 'A'],
    ['a target', 'GET /', 'a'],
    ['fields', 'GET / HTTP/1.1\r\n', 'A: 1\r\n'],
    ['a value', 'GET / HTTP/1.1\r\nA: ', 'a'],
    ['space', 'GET / HTTP/1.1\r\nA:', ' '],
    ['a chunk size', head, '0'],
    ['a chunk extension', `${head}1;`, 'a'],
    ['extensions of many chunks', head, '1;a=b\r\nx\r\n'],
    ['trailers', `${head}0\r\n`, 'A: 1\r\n'],
  ])('%s without end is refused within the limits', (_, start, filler) => {
    const chunks = [start, ...Array.from({ length: 64 }, () => filler.repeat(4096))].map((text) => Buffer.from(text));
    expect(observeRequests(chunks).fault).toBeDefined();
  });

  it('interim responses without end are refused', () => {
    const chunk = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'.repeat(1000));
    expect(observeResponses([chunk], [{ method: 'GET' }]).fault).toBe('ORIGIN_BAD_RESPONSE');
  });
});
