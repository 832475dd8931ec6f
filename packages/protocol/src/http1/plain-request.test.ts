import { describe, expect, it } from 'vitest';
import { encodeRequest, fieldLines, requestBlock, requestBlockTail } from '../head.ts';
import { forwardableRequestFields, forwardableRequestLines } from './forwarding.ts';
import { DEFAULT_HEAD_LIMITS, requestGrammar } from './limits.ts';
import type { RequestHead } from './message.ts';
import { PlainRequest } from './plain-request.ts';
import { parseRequestHead, readRequestHead } from './request-head.ts';

const GRAMMAR = requestGrammar(DEFAULT_HEAD_LIMITS);
const FROM = { visitorAddress: '192.0.2.1', scheme: 'http', isTrusted: false, pseudonym: 'relay' };
const ADDED = ['X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'Via'];

function both(text: string): { quick: RequestHead; slow: RequestHead } {
  const bytes = Buffer.from(`..${text}`, 'latin1');
  const quick = parseRequestHead(bytes, 2, bytes.length, GRAMMAR, DEFAULT_HEAD_LIMITS.maxTargetBytes);
  const slow = readRequestHead(bytes, 2, bytes.length, text, GRAMMAR, DEFAULT_HEAD_LIMITS.maxTargetBytes);
  return { quick, slow };
}

/** What both readers must agree on: all that is said of a request, and what goes on of it. */
function expectSame(text: string): RequestHead {
  const { quick, slow } = both(text);
  const { method, target, host, authority, minor, fields, body, keepAlive, upgrade, expectsContinue } = quick;
  expect({ method, target, host, authority, minor, fields, body, keepAlive, upgrade, expectsContinue }).toEqual(slow);
  if (quick instanceof PlainRequest) {
    const kept = forwardableRequestFields(slow, FROM);
    expect(quick.common.lines).toBe(fieldLines(kept.slice(0, -2 * ADDED.length)));
    expect(kept.slice(-2 * ADDED.length).filter((_, index) => index % 2 === 0)).toEqual(ADDED);
    for (const from of [FROM, { ...FROM, scheme: 'https', version: '2' }])
      expect(forwardableRequestLines(quick.common, from)).toBe(fieldLines(forwardableRequestFields(slow, from)));
  }
  return quick;
}

const BROWSER = [
  'Host: app.example:8080',
  'Connection: keep-alive',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64)',
  'Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8',
  'Cookie: a=b; c="d"',
];

describe('a usual request', () => {
  it.each([
    ['wrk', ['Host: app.example']],
    ['curl', ['Host: app.example', 'User-Agent: curl/8.0', 'Accept: */*']],
    ['a browser', BROWSER],
    [
      'a host in capitals, with a dot and a port',
      ['User-Agent: x', 'hOST: APP.Example.:80', 'CONNECTION: Keep-Alive', 'X-A: 1'],
    ],
    ['an address', ['Host: [2001:db8::1]:443']],
  ])('of %s says the same as when it is read line by line', (_who, lines) => {
    expect(expectSame(`GET /a?b=%20c HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)).toBeInstanceOf(PlainRequest);
  });

  it.each([
    ['a body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n'],
    ['chunks', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['an older version', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n'],
    ['an end', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
    ['nominated fields', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\n\r\n'],
    ['an upgrade', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['an absolute target', 'GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['blanks around a value', 'GET / HTTP/1.1\r\nHost: a\r\nX-A:  1 \r\n\r\n'],
    ['a forged address', 'GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded-For: 127.0.0.1\r\n\r\n'],
    ['a forged certificate', 'GET / HTTP/1.1\r\nHost: a\r\nClient_Cert: :AA==:\r\n\r\n'],
    ['a real address', 'GET / HTTP/1.1\r\nX-Real-IP: 127.0.0.1\r\nHost: a\r\n\r\n'],
    ['a word of the relay', 'GET / HTTP/1.1\r\nPorthole_Claim: x\r\nHost: a\r\n\r\n'],
    ['Proxy', 'GET / HTTP/1.1\r\nProxy: x\r\nHost: a\r\n\r\n'],
    ['an earlier relay', 'GET / HTTP/1.1\r\nVia: 1.1 x\r\nHost: a\r\n\r\n'],
    ['TE', 'GET / HTTP/1.1\r\nTE: trailers\r\nHost: a\r\n\r\n'],
  ])('is read line by line when it has %s', (_what, text) => {
    expect(expectSame(text)).not.toBeInstanceOf(PlainRequest);
  });

  it.each([
    'GET / http/1.1\r\nHost: a\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a,b\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n',
    'GET / HTTP/1.1\r\nX: a\r\n\r\n',
    'GET  / HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /# HTTP/1.1\r\nHost: a\r\n\r\n',
    'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n',
    'GET / HTTP/1.1\nHost: a\r\n\r\n',
    `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\n${'a: b\r\n'.repeat(200)}\r\n`,
  ])('is refused as before: %j', (text) => expect(() => both(text)).toThrow());

  it('says the same of heads put together at random', () => {
    const words = [
      'Host',
      'host',
      'Accept',
      'Connection',
      'Via',
      'TE',
      'X-A',
      'x_forwarded_for',
      'Expect',
      'Keep-Alive',
      'Cookie',
    ];
    const values = [
      'a',
      'keep-alive',
      'close',
      'trailers',
      '1.1 b',
      'a.example:80',
      'x y',
      '100-continue',
      ' b',
      'c ',
      '',
    ];
    let state = 7;
    const pick = (from: readonly string[]): string => {
      state = (state * 48_271) % 2_147_483_647;
      return from[state % from.length] as string;
    };
    let plain = 0;
    for (let round = 0; round < 3_000; round += 1) {
      const lines = Array.from({ length: round % 5 }, () => `${pick(words)}: ${pick(values)}`);
      const text = `${pick(['GET', 'PUT', 'get'])} ${pick(['/', '/a?b', '*', 'http://c/d'])} HTTP/1.1\r\n${['Host: a', ...lines].join('\r\n')}\r\n\r\n`;
      try {
        both(text);
      } catch {
        continue;
      }
      if (expectSame(text) instanceof PlainRequest) plain += 1;
    }
    expect(plain).toBeGreaterThan(100);
  });

  it('crosses the wire as its lines', () => {
    const { quick } = both(`GET / HTTP/1.1\r\n${BROWSER.join('\r\n')}\r\n\r\n`);
    if (!(quick instanceof PlainRequest)) throw new Error('read line by line');
    const rest = { scheme: 'http', visitorAddress: '192.0.2.1', bodiless: true, upgrade: false };
    const { method, target, authority, fields, common } = quick;
    const kept = fields.filter((_, index) => index !== 2 && index !== 3);
    const request = { method, target, authority, ...rest, fields: kept };
    expect(requestBlock(method, target, requestBlockTail({ ...request, lines: common.lines }))).toBe(
      encodeRequest(request),
    );
  });
});
