/** Golden files: what is written, the rule, and the configuration or the list of faults that comes of it. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configFromText, faultText, parseConfig } from './config-file.ts';
import { nearest } from './suggestion.ts';

const folder = new URL('./golden/', import.meta.url);
const files = readdirSync(folder);

describe('porthole.yml', () => {
  it('has golden files', () => expect(files.length).toBeGreaterThan(10));

  it.each(files)('is read as %s says', (file) => {
    const [source = '', rule, expected = ''] = readFileSync(new URL(file, folder), 'utf8').split(/^---- (\w+)\n/m);
    const outcome = parseConfig(source);
    if (rule === 'accepted') expect(outcome).toEqual({ ok: true, document: JSON.parse(expected) });
    else
      expect(outcome.ok ? 'accepted' : outcome.faults.map((fault) => faultText('porthole.yml', fault)).join('\n')).toBe(
        expected.trim(),
      );
  });

  it('fails with one code that holds all places', () => {
    expect(() => configFromText('x.yml', 'a: 1\nb: 2\n')).toThrowError(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        detail: 'x.yml:1:1: a: unknown key\nx.yml:2:1: b: unknown key',
      }),
    );
  });

  it('does not unfold a small file into a huge value', () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...'bcdefgh'
        .split('')
        .map((key, i) => `${key}: &${key} [${Array.from({ length: 9 }, () => `*${'abcdefg'[i]}`).join(',')}]`),
    ].join('\n');
    expect(() => configFromText('x.yml', bomb)).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});

describe('suggestions', () => {
  it.each([
    ['hostheader', 'host_header'],
    ['remote-port', 'remote_port'],
    ['htpp', 'http'],
    ['zzzzzzzz', undefined],
  ])('%s means %s', (word, meant) => expect(nearest(word, ['http', 'host_header', 'remote_port'])).toBe(meant));
});
