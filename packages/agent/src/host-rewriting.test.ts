import { type ExchangeRequest, fieldLines } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { hostRewriting } from './host-rewriting.ts';
import { parseTarget } from './target.ts';

const VISITED = { scheme: 'https', authority: 'shop.tunnel.test' };

function request(fields: string[], at = VISITED): ExchangeRequest {
  return { method: 'GET', target: '/', visitorAddress: '192.0.2.1', bodiless: true, upgrade: false, fields, ...at };
}

function rewriting(target = '3000', mode = 'rewrite') {
  const made = hostRewriting(mode, parseTarget(target));
  if (made === undefined) throw new Error('no rewriting');
  return made;
}

function mapped(name: string, value: string, target = '3000', at = VISITED, mode = 'rewrite'): string | undefined {
  const fields = [name, value];
  rewriting(target, mode).mapBack(fields, at);
  return fields[1];
}

describe('hostRewriting', () => {
  it('has nothing to do when the Host is preserved', () => {
    expect(hostRewriting('preserve', parseTarget('3000'))).toBeUndefined();
  });

  it.each([
    '',
    ' ',
    'a.test\r\nX-Admin: yes',
    'a.test\n',
    'a.test, b.test',
    'http://a.test',
    'a.test/',
    'ada@a.test',
    'a.test:99999',
    'a.test:',
    // Whose low bytes are letters.
    '\u0161.test',
  ])('does not send %j as Host', (mode) => {
    expect(() => hostRewriting(mode, parseTarget('3000'))).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', detail: expect.stringContaining('such as app.test:8080') }),
    );
  });

  it.each(['a.test', 'A.test.', 'a_b.test:1', '192.0.2.1:8080', '[2001:db8::1]:443', 'localhost'])(
    'sends %s as Host',
    (mode) => {
      expect(rewriting('3000', mode).requestFields(request(['host', 'shop.tunnel.test']))).toEqual(['host', mode]);
    },
  );

  it('says the same of a request as lines', () => {
    const fields = ['host', 'shop.tunnel.test', 'X-Host', 'shop.tunnel.test', 'Origin', 'https://shop.tunnel.test'];
    fields.push('REFERER', 'https://shop.tunnel.test/a', 'X-Forwarded-Host', 'shop.tunnel.test', 'Cookie', 'host: a');
    const asked = request(fields);
    const lines = rewriting().requestLines(fieldLines(fields), asked);
    expect(lines).toBe(fieldLines(rewriting().requestFields(asked)));
    expect(lines).toContain('host: localhost:3000\r\nX-Host: shop.tunnel.test\r\nOrigin: http://localhost:3000\r\n');
  });

  it.each(['Location: /', 'content-location: /', 'Access-Control-Allow-Origin: *', 'REFRESH: 1', 'Set-Cookie: a=b'])(
    'looks at a response with %s',
    (line) => {
      expect(rewriting().isToMapBack(`ETag: "a"\r\n${line}\r\nDate: x\r\n`)).toBe(true);
      expect(rewriting().isToMapBack(`ETag: "a"\r\nX-${line}\r\nServer: ${line}\r\n`)).toBe(false);
    },
  );

  it.each([
    ['Host', 'shop.tunnel.test', 'localhost:3000'],
    ['host', 'SHOP.tunnel.test:443', 'localhost:3000'],
    ['Origin', 'https://shop.tunnel.test', 'http://localhost:3000'],
    ['Origin', 'https://SHOP.tunnel.test:443', 'http://localhost:3000'],
    ['Origin', 'https://other.test', 'https://other.test'],
    ['Origin', 'null', 'null'],
    ['Referer', 'https://shop.tunnel.test/a?b#c', 'http://localhost:3000/a?b#c'],
    ['Referer', 'https://shop.tunnel.test.evil.test/', 'https://shop.tunnel.test.evil.test/'],
    ['X-Forwarded-Host', 'shop.tunnel.test', 'localhost:3000'],
    ['X-Forwarded-Proto', 'https', 'https'],
    ['X-Anything', 'https://shop.tunnel.test/', 'https://shop.tunnel.test/'],
  ])('sends %s: %s as %s', (name, value, expected) => {
    expect(rewriting().requestFields(request([name, value]))).toEqual([name, expected]);
  });

  it('leaves the request it was given as it is', () => {
    const given = request(['Host', 'shop.tunnel.test']);
    rewriting().requestFields(given);
    expect(given.fields).toEqual(['Host', 'shop.tunnel.test']);
  });

  it.each([
    ['80', 'localhost'],
    ['https://app.test', 'app.test'],
    ['https://app.test:8443', 'app.test:8443'],
    ['[::1]:3000', '[::1]:3000'],
    ['unix:/run/app.sock', 'localhost'],
  ])('asks %s as %s', (target, host) => {
    expect(rewriting(target).requestFields(request(['Host', 'shop.tunnel.test']))).toEqual(['Host', host]);
  });

  it.each([
    ['Location', 'http://localhost:3000/login', 'https://shop.tunnel.test/login'],
    ['Location', 'https://localhost:3000/login', 'https://shop.tunnel.test/login'],
    ['Location', 'http://127.0.0.1:3000', 'https://shop.tunnel.test'],
    ['Location', 'http://[::1]:3000/x?y#z', 'https://shop.tunnel.test/x?y#z'],
    ['Location', '//localhost:3000/x', '//shop.tunnel.test/x'],
    ['Location', '/relative', '/relative'],
    ['Location', 'relative', 'relative'],
    ['Location', 'http://localhost:4000/other-port', 'http://localhost:4000/other-port'],
    ['Location', 'https://shop.tunnel.test/public', 'https://shop.tunnel.test/public'],
    [
      'Location',
      'https://accounts.example/?next=http://localhost:3000/',
      'https://accounts.example/?next=http://localhost:3000/',
    ],
    ['Content-Location', 'http://localhost:3000/a.json', 'https://shop.tunnel.test/a.json'],
    ['Access-Control-Allow-Origin', 'http://localhost:3000', 'https://shop.tunnel.test'],
    ['Access-Control-Allow-Origin', '*', '*'],
    ['Refresh', '5; url=http://localhost:3000/next', '5; url=https://shop.tunnel.test/next'],
    ['Refresh', '0;URL="http://localhost:3000/next"', '0;URL="https://shop.tunnel.test/next"'],
    ['Refresh', '5', '5'],
    ['Set-Cookie', 'a=1; Domain=localhost; Path=/', 'a=1; Domain=shop.tunnel.test; Path=/'],
    ['Set-Cookie', 'a=1; domain=.localhost', 'a=1; domain=shop.tunnel.test'],
    ['Set-Cookie', 'a=1; Domain=other.test', 'a=1; Domain=other.test'],
    ['Set-Cookie', 'domain=localhost', 'domain=localhost'],
    ['X-Url', 'http://localhost:3000/', 'http://localhost:3000/'],
  ])('maps %s: %s back to %s', (name, value, expected) => {
    expect(mapped(name, value)).toBe(expected);
  });

  it('drops default ports and keeps others of the public address', () => {
    expect(mapped('Location', 'http://localhost:3000/', '3000', { scheme: 'https', authority: 'shop.test:443' })).toBe(
      'https://shop.test/',
    );
    expect(mapped('Location', 'http://localhost:3000/', '3000', { scheme: 'http', authority: 'shop.test:8080' })).toBe(
      'http://shop.test:8080/',
    );
  });

  it('knows an origin on a default port with and without it', () => {
    expect(mapped('Location', 'http://localhost/x', '80')).toBe('https://shop.tunnel.test/x');
    expect(mapped('Location', 'http://localhost:80/x', '80')).toBe('https://shop.tunnel.test/x');
    expect(mapped('Location', 'https://app.test:443/x', 'https://app.test')).toBe('https://shop.tunnel.test/x');
  });

  it('drops the Domain of a cookie when the public address is a number', () => {
    expect(
      mapped('Set-Cookie', 'a=1; Domain=localhost; Secure', '3000', { scheme: 'http', authority: '192.0.2.7:8080' }),
    ).toBe('a=1; Secure');
  });

  it('sends a fixed value and maps both it and the real address back', () => {
    expect(
      rewriting('3000', 'app.internal').requestFields(
        request(['Host', 'shop.tunnel.test', 'Origin', 'https://shop.tunnel.test']),
      ),
    ).toEqual(['Host', 'app.internal', 'Origin', 'http://app.internal']);
    expect(mapped('Location', 'http://app.internal/x', '3000', VISITED, 'app.internal')).toBe(
      'https://shop.tunnel.test/x',
    );
    expect(mapped('Location', 'http://localhost:3000/x', '3000', VISITED, 'app.internal')).toBe(
      'https://shop.tunnel.test/x',
    );
  });
});
