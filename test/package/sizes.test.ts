/** Files and functions stay readable: the median file is short, and what is long says why. */
import { describe, expect, it } from 'vitest';
import { readSourceTree } from './source-tree.ts';

/** A file beyond this has a sentence with `One piece` at its top that says why. */
const LOOK_TWICE_LINES = 450;

const files = readSourceTree().map(({ path, text }) => ({ path, text, lines: text.split('\n').length }));

describe('source files', () => {
  it('have a median length that can be read in one sitting', () => {
    const lengths = files.map(({ lines }) => lines).toSorted((a, b) => a - b);
    expect(lengths.length).toBeGreaterThan(40);
    expect(lengths[lengths.length >> 1]).toBeLessThan(200);
  });

  it('explain themselves when they are long', () => {
    const long = files.filter(
      ({ lines, text }) => lines > LOOK_TWICE_LINES && !/one piece/i.test(text.slice(0, 1_500)),
    );
    expect(long.map(({ path, lines }) => `${path}: ${lines} lines`)).toEqual([]);
  });
});
