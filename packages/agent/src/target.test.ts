import { PortholeError } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { isLoopbackAddress, parseTarget } from './target.ts';

describe('parseTarget', () => {
  it.each([
    ['3000', 'localhost', 3000, false, true, 'localhost:3000', 'http://localhost:3000'],
    [' 3000 ', 'localhost', 3000, false, true, 'localhost:3000', 'http://localhost:3000'],
    ['localhost:8080', 'localhost', 8080, false, true, 'localhost:8080', 'http://localhost:8080'],
    ['LOCALHOST:8080', 'localhost', 8080, false, true, 'localhost:8080', 'http://localhost:8080'],
    ['127.0.0.1:80', '127.0.0.1', 80, false, true, '127.0.0.1', 'http://127.0.0.1:80'],
    ['[::1]:3000', '::1', 3000, false, true, '[::1]:3000', 'http://[::1]:3000'],
    ['http://app.test', 'app.test', 80, false, false, 'app.test', 'http://app.test:80'],
    ['http://app.test:80/', 'app.test', 80, false, false, 'app.test', 'http://app.test:80'],
    ['https://app.test', 'app.test', 443, true, false, 'app.test', 'https://app.test:443'],
    ['HTTPS://app.test:8443', 'app.test', 8443, true, false, 'app.test:8443', 'https://app.test:8443'],
    ['https://[::1]', '::1', 443, true, true, '[::1]', 'https://[::1]:443'],
    ['192.168.1.7:5000', '192.168.1.7', 5000, false, false, '192.168.1.7:5000', 'http://192.168.1.7:5000'],
    ['bücher.test:80', 'xn--bcher-kva.test', 80, false, false, 'xn--bcher-kva.test', 'http://xn--bcher-kva.test:80'],
  ])('reads %s', (text, host, port, secure, loopback, authority, label) => {
    const address = host === 'localhost' ? { kind: 'localhost', port } : { kind: 'host', host, port };
    expect(parseTarget(text)).toEqual({ secure, address, loopback, authority, label });
  });

  it('reads a unix socket', () => {
    expect(parseTarget('unix:/run/app.sock')).toEqual({
      secure: false,
      address: { kind: 'unix', path: '/run/app.sock' },
      loopback: true,
      authority: 'localhost',
      label: 'unix:/run/app.sock',
    });
  });

  it.each([
    ['', 'empty'],
    ['localhost', 'port is missing'],
    ['0', 'not a port'],
    ['65536', 'not a port'],
    ['host:', 'not a port'],
    ['host:abc', 'not a port'],
    [':3000', 'host is missing'],
    ['::1:3000', 'too many colons'],
    ['[::1:3000', 'too many colons'],
    ['[nonsense]:3000', 'no IPv6 address'],
    ['ftp://host:21', 'scheme'],
    ['http://host:80/path', 'no path'],
    ['http://host:80?x', 'no path'],
    ['http://user:secret@host', 'user name'],
    ['ho st:80', 'not a host name'],
    ['unix:relative.sock', 'must begin with /'],
    [`unix:/${'x'.repeat(200)}`, 'longer than'],
  ])('refuses %s and says why', (text, why) => {
    const failure = catchError(() => parseTarget(text));
    expect(failure).toBeInstanceOf(PortholeError);
    expect(failure).toMatchObject({ code: 'TARGET_INVALID' });
    expect((failure as PortholeError).detail).toContain(why);
  });
});

describe('parseTarget with a password in it', () => {
  it('does not repeat the password', () => {
    expect(String(catchError(() => parseTarget('http://user:secret@host')))).not.toContain('secret');
  });
});

describe('isLoopbackAddress', () => {
  it.each(['127.0.0.1', '127.9.9.9', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'])('knows %s', (host) =>
    expect(isLoopbackAddress(host)).toBe(true),
  );
  it.each(['10.0.0.1', '::2', '2001:db8::1', 'localhost.evil.test', '128.0.0.1'])('does not take %s for one', (host) =>
    expect(isLoopbackAddress(host)).toBe(false),
  );
});

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
