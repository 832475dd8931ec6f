import { describe, expect, it } from 'vitest';
import {
  forwardableRequestFields,
  forwardableResponseFields,
  forwardableTrailers,
  passesThrough,
  requireValidFields,
  type RequestForwarding,
} from './forwarding.ts';
import type { Fields, RequestHead } from './message.ts';

const FORWARDING: RequestForwarding = {
  visitorAddress: '192.0.2.7',
  scheme: 'https',
  isTrusted: false,
  pseudonym: 'relay-1',
};

function headOf(fields: Fields, differs: Partial<RequestHead> = {}): RequestHead {
  return {
    method: 'GET',
    target: '/',
    host: 'a.example',
    authority: 'A.example:8080',
    minor: 1,
    fields: ['Host', 'A.example:8080', ...fields],
    body: { kind: 'none' },
    keepAlive: true,
    upgrade: undefined,
    expectsContinue: false,
    ...differs,
  };
}

const ADDED = [
  'X-Forwarded-For',
  '192.0.2.7',
  'X-Forwarded-Host',
  'A.example:8080',
  'X-Forwarded-Proto',
  'https',
  'Via',
  '1.1 relay-1',
];

/** What goes on of `fields`, without Host and what is always added. */
function kept(fields: Fields, differs: Partial<RequestHead> = {}): Fields {
  const all = forwardableRequestFields(headOf(fields, differs), FORWARDING);
  expect(all.slice(0, 2)).toEqual(['Host', 'A.example:8080']);
  expect(all.slice(-ADDED.length)).toEqual(ADDED);
  return all.slice(2, -ADDED.length);
}

describe('fields of a request that go on', () => {
  it('keeps end-to-end fields as they are, in order', () => {
    const fields = [
      'B',
      '1',
      'a',
      '2',
      'B',
      '3',
      'Content-Length',
      '0',
      'Trailer',
      'x',
      'Expect',
      '100-continue',
      'Proxyx',
      '1',
      'X-Forward',
      '1',
    ];
    expect(kept(fields)).toEqual(fields);
  });

  it.each([
    ['Connection', 'keep-alive'],
    ['Keep-Alive', 'timeout=5'],
    ['KEEP-ALIVE', 'timeout=5'],
    ['Proxy-Connection', 'keep-alive'],
    ['Proxy-Authorization', 'Basic eA=='],
    ['Proxy-Authenticate', 'Basic'],
    ['Proxy', 'http://evil.example'],
    ['Transfer-Encoding', 'chunked'],
    ['TE', 'gzip'],
    ['Upgrade', 'h2c'],
    ['HTTP2-Settings', 'AAMAAABkAAQ'],
    ['Porthole-Visitor', '127.0.0.1'],
    ['porthole_visitor', '127.0.0.1'],
  ])('drops %s: %s, which ends here', (name, value) => {
    expect(kept([name, value, 'A', '1'])).toEqual(['A', '1']);
  });

  it.each([
    'X-Forwarded-For',
    'x-forwarded-for',
    'X_Forwarded_For',
    'X-Forwarded_For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'X-Forwarded-Port',
    'X-Forwarded-Ssl',
    'X-Forwarded',
    'X-Real-IP',
    'x_real_ip',
    'Forwarded',
    'FORWARDED',
    'Client-Cert',
    'client_cert',
    'Client-Cert-Chain',
    'CLIENT_CERT-CHAIN',
  ])('drops a forged %s', (name) => {
    expect(kept([name, '127.0.0.1'])).toEqual([]);
  });

  it('removes what Connection nominates, wherever it stands', () => {
    expect(
      kept(['X-Hop', '1', 'Connection', 'close, x-hop', 'x-HOP', '2', 'Y-Hop', '3', 'connection', 'Y-Hop', 'A', '1']),
    ).toEqual(['A', '1']);
  });

  it('does not let Connection take away what the origin decides by', () => {
    const nominated =
      'Host, Content-Length, Content-Type, Authorization, Cookie, X-Forwarded-For, X-Forwarded-Proto, Forwarded, Via';
    const fields = ['Content-Length', '0', 'Content-Type', 'a/b', 'Authorization', 'x', 'Cookie', 'a=b'];
    expect(kept(['Connection', nominated, ...fields])).toEqual(fields);
  });

  it('keeps of TE what says that trailers are understood', () => {
    expect(kept(['TE', 'trailers', 'Connection', 'TE'])).toEqual(['TE', 'trailers']);
    expect(kept(['te', 'gzip;q=0.5, Trailers'])).toEqual(['te', 'trailers']);
  });

  it('keeps Upgrade, once, when an upgrade is asked for', () => {
    const fields = ['Connection', 'Upgrade', 'Upgrade', 'h2c, websocket', 'Sec-WebSocket-Key', 'x', 'Upgrade', 'y'];
    expect(kept(fields, { upgrade: 'websocket, y' })).toEqual(['Upgrade', 'websocket, y', 'Sec-WebSocket-Key', 'x']);
  });

  it('drops the Expect of HTTP/1.0, which cannot mean it', () => {
    const all = forwardableRequestFields(headOf(['Expect', '100-continue'], { minor: 0 }), FORWARDING);
    expect(all).not.toContain('Expect');
    expect(all.slice(-2)).toEqual(['Via', '1.0 relay-1']);
  });

  it('makes Host agree with an absolute-form target, and makes one where there was none', () => {
    const replaced = forwardableRequestFields(headOf([], { authority: 'b.example' }), FORWARDING);
    expect(replaced.slice(0, 2)).toEqual(['Host', 'b.example']);
    const made = forwardableRequestFields({ ...headOf([]), fields: ['A', '1'] }, FORWARDING);
    expect(made.slice(0, 4)).toEqual(['A', '1', 'Host', 'A.example:8080']);
  });

  it('says which certificate the visitor has shown, whatever he says himself, and a trusted proxy’s word otherwise', () => {
    const fields = ['Client-Cert', ':Zm9yZ2Vk:', 'Connection', 'client-cert'];
    const all = (differs: Partial<RequestForwarding>): Fields =>
      forwardableRequestFields(headOf(fields), { ...FORWARDING, ...differs });
    for (const isTrusted of [true, false])
      expect(
        all({ isTrusted, clientCert: ':c2hvd24=:' }).filter((_, at, list) => list[at - 1] === 'Client-Cert'),
      ).toEqual([':c2hvd24=:']);
    expect(all({ isTrusted: true })).toContain(':Zm9yZ2Vk:');
  });

  it('believes a trusted proxy and adds to what it says', () => {
    const fields = [
      'X-Forwarded-For',
      '198.51.100.1',
      'X-Forwarded-For',
      '198.51.100.2',
      'X-Forwarded-Proto',
      'http',
      'X-Real-IP',
      '198.51.100.1',
      'X_Forwarded_For',
      'forged',
    ];
    expect(forwardableRequestFields(headOf(fields), { ...FORWARDING, isTrusted: true }).slice(2)).toEqual([
      'X-Forwarded-Proto',
      'http',
      'X-Real-IP',
      '198.51.100.1',
      'X-Forwarded-For',
      '198.51.100.1, 198.51.100.2, 192.0.2.7',
      'X-Forwarded-Host',
      'A.example:8080',
      'Via',
      '1.1 relay-1',
    ]);
  });

  it('keeps Via and cuts a loop', () => {
    expect(kept(['Via', '1.1 relay-1, 1.1 cache (relay-1)', 'via', '2 relay-1'])).toEqual([
      'Via',
      '1.1 relay-1, 1.1 cache (relay-1)',
      'via',
      '2 relay-1',
    ]);
    expect(() => kept(['Via', '1.1 relay-1, 1.1 relay-1', 'via', '1.1 relay-1'])).toThrow(
      expect.objectContaining({ code: 'LOOP_DETECTED' }),
    );
    expect(() => forwardableRequestFields(headOf(['Via', '1.1 relay-1']), { ...FORWARDING, maxPasses: 1 })).toThrow(
      expect.objectContaining({ code: 'LOOP_DETECTED' }),
    );
    expect(passesThrough('1.1 relay-10, HTTP/1.1  relay-1 (x), relay-1', 'relay-1')).toBe(1);
  });
});

describe('fields of a response that go on', () => {
  it('keeps them as they are, in order, and adds nothing', () => {
    const fields = [
      'Set-Cookie',
      'a',
      'set-cookie',
      'b',
      'Content-Length',
      '3',
      'Date',
      'x',
      'Via',
      '1.1 y',
      'X-Forwarded-For',
      'z',
      'Server',
      's',
    ];
    expect(forwardableResponseFields(200, fields)).toEqual(fields);
  });

  it.each([
    'Keep-Alive',
    'connection',
    'Proxy-Authenticate',
    'Proxy-Connection',
    'Transfer-Encoding',
    'Upgrade',
    'Alt-Svc',
    'TE',
    'Porthole-Error',
  ])('drops %s', (name) => {
    expect(forwardableResponseFields(200, [name, 'x', 'A', '1'])).toEqual(['A', '1']);
  });

  it('removes what Connection nominates, but not what framing and meaning depend on', () => {
    expect(
      forwardableResponseFields(200, [
        'X-Hop',
        '1',
        'Connection',
        'x-hop, set-cookie, content-length',
        'Set-Cookie',
        'a',
        'Content-Length',
        '3',
      ]),
    ).toEqual(['Set-Cookie', 'a', 'Content-Length', '3']);
  });

  it('keeps Upgrade in 101 and 426', () => {
    expect(forwardableResponseFields(101, ['Connection', 'Upgrade', 'Upgrade', 'websocket'])).toEqual([
      'Upgrade',
      'websocket',
    ]);
    expect(forwardableResponseFields(426, ['Upgrade', 'websocket'])).toEqual(['Upgrade', 'websocket']);
  });

  it('drops a length where none may be, and keeps it where no body follows', () => {
    expect(forwardableResponseFields(204, ['Content-Length', '3', 'A', '1'])).toEqual(['A', '1']);
    expect(forwardableResponseFields(103, ['Content-Length', '3'])).toEqual([]);
    expect(forwardableResponseFields(304, ['Content-Length', '3'])).toEqual(['Content-Length', '3']);
  });
});

describe('trailers that go on', () => {
  it('are those that change neither framing, routing, authority nor caching', () => {
    const late = [
      'Content-Length',
      'Transfer-Encoding',
      'Host',
      'Authorization',
      'Set-Cookie',
      'Cache-Control',
      'X-Forwarded-For',
      'x_real_ip',
      'Porthole-Error',
      'Proxy-Auth',
      'Trailer',
    ];
    const fields = ['Grpc-Status', '0', ...late.flatMap((name) => [name, 'x']), 'Server-Timing', 'y', 'Digest', 'z'];
    expect(forwardableTrailers(fields)).toEqual(['Grpc-Status', '0', 'Server-Timing', 'y', 'Digest', 'z']);
  });
});

describe('fields from the other end of a session', () => {
  it.each([
    [['A ', '1']],
    [['', '1']],
    [['A:', '1']],
    [['A\r\nB', '1']],
    [['A', '1\r\nB: 2']],
    [['A', '\0']],
    [['A', '\u0100']],
  ])('are refused when they could not have been read: %j', (fields) => {
    expect(() => requireValidFields(fields, 'ORIGIN_BAD_RESPONSE')).toThrow(
      expect.objectContaining({ code: 'ORIGIN_BAD_RESPONSE' }),
    );
  });

  it('pass when they are sound', () => {
    expect(() => requireValidFields(['A', '', 'b', 'x\ty \xff'], 'PROTOCOL_ERROR')).not.toThrow();
  });
});
