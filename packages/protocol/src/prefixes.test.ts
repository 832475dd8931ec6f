import { describe, expect, it } from 'vitest';
import { Prefixes } from './prefixes.ts';

describe('views of the beginning of memory', () => {
  it('are made once for each short length and show what is there now', () => {
    const prefixes = new Prefixes(Buffer.alloc(8_192));
    const three = prefixes.of(3);
    prefixes.whole.write('abcdef', 'latin1');
    expect(three.toString()).toBe('abc');
    expect(prefixes.of(5).toString()).toBe('abcde');
    expect(prefixes.of(3)).toBe(three);
    expect(prefixes.of(0)).toHaveLength(0);
  });

  it('of long lengths are not kept, and all of it is itself', () => {
    const prefixes = new Prefixes(Buffer.alloc(8_192));
    expect(prefixes.of(5_000)).toHaveLength(5_000);
    expect(prefixes.of(5_000)).not.toBe(prefixes.of(5_000));
    expect(prefixes.of(8_192)).toBe(prefixes.whole);
  });
});
