import { PortholeError } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { proxyFor } from './proxy-route.ts';

const RELAY = { secure: true, host: 'relay.example.com', port: 443 };

describe('proxyFor', () => {
  it('takes the proxy for the relay’s own scheme', () => {
    const settings = { httpsProxy: 'http://secure.proxy:3128', httpProxy: 'http://plain.proxy' };
    expect(proxyFor(RELAY, settings)?.label).toBe('http://secure.proxy:3128');
    expect(proxyFor({ ...RELAY, secure: false }, settings)?.label).toBe('http://plain.proxy:80');
    expect(proxyFor(RELAY, {})).toBeUndefined();
    expect(proxyFor(RELAY, undefined)).toBeUndefined();
    expect(proxyFor(RELAY, { httpsProxy: '' })).toBeUndefined();
  });

  it('reads credentials, and shows none', () => {
    const route = proxyFor(RELAY, { httpsProxy: 'https://us%40er:p%3Ass@proxy.corp' });
    expect(route).toMatchObject({ secure: true, host: 'proxy.corp', port: 443, label: 'https://proxy.corp:443' });
    expect(Buffer.from(route?.credentials ?? '', 'base64').toString()).toBe('us@er:p:ss');
  });

  it('takes a proxy without scheme for an HTTP one', () => {
    expect(proxyFor(RELAY, { httpsProxy: 'proxy.corp:8080' })).toMatchObject({
      secure: false,
      host: 'proxy.corp',
      port: 8080,
    });
    expect(proxyFor(RELAY, { httpsProxy: 'http://[::1]:8080' })).toMatchObject({ host: '::1', port: 8080 });
  });

  it.each(['socks5://proxy:1080', 'http://'])('refuses %s without repeating secrets', (httpsProxy) => {
    expect(() => proxyFor(RELAY, { httpsProxy })).toThrow(PortholeError);
  });

  it.each([
    ['*', true],
    ['relay.example.com', true],
    ['RELAY.example.com', true],
    ['example.com', true],
    ['.example.com', true],
    ['*.example.com', true],
    ['other.test, example.com', true],
    ['relay.example.com:443', true],
    ['relay.example.com:8443', false],
    ['ample.com', false],
    ['evilrelay.example.com', false],
    ['', false],
    ['10.0.0.0/8', false],
  ])('with NO_PROXY=%s exempts the relay: %s', (noProxy, isExempt) => {
    expect(proxyFor(RELAY, { httpsProxy: 'http://proxy', noProxy }) === undefined).toBe(isExempt);
  });

  it.each([
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['::1', '::1', true],
    ['::1', '[::1]:443', true],
    ['fd00::5', 'fd00::/8', true],
    ['10.1.2.3', '10.0.0.0/99', false],
  ])('exempts the address %s by %s: %s', (host, noProxy, isExempt) => {
    expect(proxyFor({ ...RELAY, host }, { httpsProxy: 'http://proxy', noProxy }) === undefined).toBe(isExempt);
  });
});
