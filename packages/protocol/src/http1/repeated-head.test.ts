import { describe, expect, it } from 'vitest';
import { PortholeError } from '../errors.ts';
import { DEFAULT_HEAD_LIMITS, DEFAULT_RESPONSE_LIMITS, type HeadLimits } from './limits.ts';
import type { RequestHead, ResponseHead } from './message.ts';
import { RequestReader } from './request-reader.ts';
import { ResponseReader } from './response-reader.ts';

type Seen = Omit<RequestHead, 'common'> | string;

function facts(head: RequestHead): Seen {
  const { method, target, host, authority, minor, fields, body, keepAlive, upgrade, expectsContinue } = head;
  return { method, target, host, authority, minor, fields, body, keepAlive, upgrade, expectsContinue };
}

/** What a reader says of each of the requests, all sent on one connection; after a fault nothing. */
function readAll(requests: readonly string[], limits: HeadLimits = DEFAULT_HEAD_LIMITS): Seen[] {
  const seen: Seen[] = [];
  const reader = new RequestReader(limits, {
    onHead: (head) => seen.push(facts(head)),
    onBody: () => undefined,
    onTrailers: () => undefined,
    onComplete: () => reader.next(),
  });
  for (const request of requests) {
    try {
      // One memory for all, as a socket's reads have.
      const chunk = Buffer.from(`${request}GET`, 'latin1').subarray(0, request.length);
      expect(reader.feed(chunk)).toBe(request.length);
    } catch (error) {
      seen.push(error instanceof PortholeError ? error.code : String(error));
      break;
    }
  }
  return seen;
}

const FIELDS = 'Host: App.example:80\r\nUser-Agent: x\r\nConnection: keep-alive\r\nCookie: a=b\r\n\r\n';
const OTHER_FIELDS = 'Host: app.example\r\nUser-Agent: x\r\nCookie: a=c\r\n\r\n';
const LINES = [
  'GET / HTTP/1.1\r\n',
  'GET /a?b=%20 HTTP/1.1\r\n',
  'POST /a HTTP/1.1\r\n',
  'HEAD /a HTTP/1.1\r\n',
  `GET /${'x'.repeat(2_000)} HTTP/1.1\r\n`,
  'GET /a HTTP/1.0\r\n',
  'OPTIONS * HTTP/1.1\r\n',
  'GET http://b.example/c HTTP/1.1\r\n',
];
const FAULTY_LINES = [
  'CONNECT /a HTTP/1.1\r\n',
  'TRACE / HTTP/1.1\r\n',
  'GET /a HTTP/1.1\n',
  'GET  /a HTTP/1.1\r\n',
  'GET /a#b HTTP/1.1\r\n',
  'GET /\x00 HTTP/1.1\r\n',
  'GET a HTTP/1.1\r\n',
  'GET / HTTP/2.0\r\n',
  ' GET / HTTP/1.1\r\n',
  'GET /a HTTP/1.1 \r\n',
  `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n`,
];

describe('a head whose fields came before on the connection', () => {
  const before = [0, 1, 2].map((index) => `GET /before/${index} HTTP/1.1\r\n${FIELDS}`);

  it.each([...LINES, ...FAULTY_LINES])('says what it says alone: %j', (line) => {
    const alone = readAll([`${line}${FIELDS}`]);
    expect(readAll([...before, `${line}${FIELDS}`]).slice(before.length)).toEqual(alone);
    // A line without the right end makes one line of it and the first field.
    expect(readAll([...before, `${line}${OTHER_FIELDS}`]).slice(before.length)).toEqual(
      readAll([`${line}${OTHER_FIELDS}`]),
    );
  });

  it('may come with others before and behind it in any order', () => {
    const requests = LINES.flatMap((line) => [`${line}${FIELDS}`, `${line}${OTHER_FIELDS}`, `${line}${FIELDS}`]);
    const order = requests.map((_, index) => requests[(index * 7) % requests.length] as string);
    // Of HTTP/1.0 the connection does not go on, but the reader would.
    expect(readAll(order)).toEqual(order.flatMap((request) => readAll([request])));
  });

  it('may be followed by the next one in the same chunk', () => {
    const pair = `GET /1 HTTP/1.1\r\n${FIELDS}`;
    const seen: string[] = [];
    const reader = new RequestReader(DEFAULT_HEAD_LIMITS, {
      onHead: ({ target }) => seen.push(target),
      onBody: () => undefined,
      onTrailers: () => undefined,
      onComplete: () => reader.next(),
    });
    let rest = Buffer.from(`${pair.repeat(3)}GET /2 HTTP/1.1\r\n${FIELDS}GET /3 HT`);
    while (rest.length > 9) rest = rest.subarray(reader.feed(rest));
    expect(seen).toEqual(['/1', '/1', '/1', '/2']);
  });

  it('keeps to the limits', () => {
    const usual = `GET / HTTP/1.1\r\n${FIELDS}`;
    const atLimits = { ...DEFAULT_HEAD_LIMITS, maxHeadBytes: usual.length + 9, maxTargetBytes: 9 };
    const last = (target: string, limits: HeadLimits): Seen | undefined =>
      readAll([usual, usual, usual, `GET ${target} HTTP/1.1\r\n${FIELDS}`], limits).at(-1);
    expect(last('/12345678', atLimits)).toMatchObject({ target: '/12345678' });
    expect(last('/123456789', atLimits)).toBe('TARGET_TOO_LONG');
    expect(last('/12345678', { ...atLimits, maxHeadBytes: usual.length + 7 })).toBe('HEAD_TOO_LARGE');
  });
});

describe('a response head that came before on the connection', () => {
  const FOUND = 'HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n';

  function answers(exchanges: readonly (readonly [method: string, head: string])[]): Partial<ResponseHead>[] {
    const seen: Partial<ResponseHead>[] = [];
    const reader = new ResponseReader(DEFAULT_RESPONSE_LIMITS, {
      onInterim: () => undefined,
      onHead: ({ status, reason, fields, body, keepAlive }) => seen.push({ status, reason, fields, body, keepAlive }),
      onBody: () => undefined,
      onTrailers: () => undefined,
      onComplete: () => undefined,
    });
    for (const [method, head] of exchanges) {
      reader.expect(method);
      expect(reader.feed(Buffer.from(head, 'latin1'))).toBe(head.length);
    }
    return seen;
  }

  it('says what it says alone, also of HEAD', () => {
    const full = FOUND.replace('Length: 0', 'Length: 35');
    const exchanges = [
      ['GET', FOUND],
      ['GET', FOUND],
      ['HEAD', full],
      ['HEAD', full],
      ['GET', `${full}${'x'.repeat(35)}`],
      ['GET', `${full}${'x'.repeat(35)}`],
      ['HEAD', full],
      ['GET', FOUND],
    ] as const;
    expect(answers(exchanges)).toEqual(exchanges.flatMap((exchange) => answers([exchange])));
  });
});
