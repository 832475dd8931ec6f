import { describe, expect, it } from 'vitest';
import { isAddressLiteral, nameCovers, normalHostName, wildcardOf } from './host-name.ts';

describe('host names', () => {
  it.each([
    ['Shop.Example.COM.', 'shop.example.com'],
    ['a', 'a'],
    ['_acme-challenge.example.com', '_acme-challenge.example.com'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
  ])('normalises %s', (text, normal) => expect(normalHostName(text)).toBe(normal));

  it.each([
    '',
    '.',
    '..',
    'a..b',
    '.a',
    'a..',
    '-a.b',
    'a-.b',
    'a b',
    'a/b',
    'a\0b',
    'bücher.example',
    '*.a',
    `${'a'.repeat(64)}.b`,
    'a.'.repeat(127).concat('aa'),
  ])('refuses %j', (text) => expect(normalHostName(text)).toBeUndefined());

  it.each(['127.0.0.1', '1.2.3.4.', '::1', '[::1]', '1', '0x7f.1', 'fe80::1'])('knows %s as an address', (text) =>
    expect(isAddressLiteral(text)).toBe(true),
  );
  it('does not take a name for an address', () => expect(isAddressLiteral('1.2.3.4.example')).toBe(false));

  it('lets a wildcard cover exactly one label', () => {
    expect(nameCovers('*.tun.example', 'a.tun.example')).toBe(true);
    expect(nameCovers('*.tun.example', 'a.b.tun.example')).toBe(false);
    expect(nameCovers('*.tun.example', 'tun.example')).toBe(false);
    expect(nameCovers('*.tun.example', '.tun.example')).toBe(false);
    expect(nameCovers('a.tun.example', 'a.tun.example')).toBe(true);
    expect(wildcardOf('a.tun.example')).toBe('*.tun.example');
    expect(wildcardOf('localhost')).toBeUndefined();
  });
});
