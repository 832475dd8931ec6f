import { describe, expect, it } from 'vitest';
import { ADJECTIVES, NOUNS } from './name-words.ts';
import { parseName, RANDOM_NAME_COUNT, RandomNames } from './names.ts';

describe('parseName', () => {
  it('takes one label of a host name, in lower case', () => {
    for (const name of ['a', '7', 'shop', 'a-b', 'a--b', 'abc--d', '3000', 'x'.repeat(63)]) {
      expect(parseName(name)).toEqual({ ok: true, name });
    }
    expect(parseName('Shop')).toEqual({ ok: true, name: 'shop' });
  });

  it('refuses everything else', () => {
    const wrong = [
      '',
      '-',
      '-a',
      'a-',
      'a.b',
      'a_b',
      'a b',
      ' a',
      'a\n',
      'a\0',
      'ä',
      '\u212Aelvin',
      'ſhop',
      'x'.repeat(64),
      'xn--80ak6aa92e',
      'XN--a',
      'ab--c',
      '*',
      '../a',
      'a/b',
      'a:80',
      '%61',
    ];
    for (const name of wrong) expect(parseName(name)).toMatchObject({ ok: false, code: 'NAME_INVALID' });
  });
});

describe('RandomNames', () => {
  it('has at least 200 by 200 words, each fit for a name and none twice', () => {
    for (const words of [ADJECTIVES, NOUNS]) {
      expect(words.length).toBeGreaterThanOrEqual(200);
      expect(new Set(words).size).toBe(words.length);
      for (const word of words) expect(word).toMatch(/^[a-z]{2,12}$/);
    }
    expect(RANDOM_NAME_COUNT).toBe(ADJECTIVES.length * NOUNS.length);
  });

  it('makes valid names of two words, rarely the same', () => {
    const names = new RandomNames();
    const made = Array.from({ length: 500 }, () => names.next());
    for (const name of made) expect(parseName(name)).toEqual({ ok: true, name });
    expect(new Set(made).size).toBeGreaterThan(450);
  });

  it('adds a number once many plain names are taken, and gives up in the end', () => {
    const names = new RandomNames();
    expect(names.nextFree(() => true)).toMatch(/^[a-z]+-[a-z]+$/);
    expect(names.nextFree((name) => /\d/.test(name))).toMatch(/^[a-z]+-[a-z]+-\d{4}$/);
    expect(names.nextFree(() => false)).toBeUndefined();
  });
});
