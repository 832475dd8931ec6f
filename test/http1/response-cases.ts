/** Responses as an origin sends them (latin1 text), and exactly what the agent must read from them. */
import type { ErrorCode } from '@porthole/protocol';
import type { ResponseHead } from '@porthole/protocol/http1';
import type { Expected, ResponsesSeen } from './observe.ts';

export interface ExpectedResponse extends Partial<Omit<ResponseHead, 'fields'>> {
  /** Field lines as `Name: value`; none by default. */
  readonly lines?: readonly string[];
  readonly content?: string;
  readonly trailers?: readonly string[];
  readonly complete?: boolean;
}

export interface ResponseCase {
  readonly name: string;
  readonly bytes: string;
  /** The requests answered; one GET by default. */
  readonly expected: readonly Expected[];
  readonly lenient: boolean;
  readonly interim: readonly ExpectedResponse[];
  readonly responses: readonly ExpectedResponse[];
  readonly rest: string;
  readonly isReusable: boolean;
  readonly finish: ResponsesSeen['finish'];
  readonly fault: ErrorCode | undefined;
}

const GET: readonly Expected[] = [{ method: 'GET' }];
const HEAD: readonly Expected[] = [{ method: 'HEAD' }];
const UPGRADE: readonly Expected[] = [{ method: 'GET', mayUpgrade: true }];

/** A response that is read to its end, on a connection that stays open, unless `differs` says otherwise. */
function read(
  name: string,
  bytes: string,
  response: ExpectedResponse,
  differs: Partial<ResponseCase> = {},
): ResponseCase {
  return {
    name,
    bytes,
    expected: GET,
    lenient: false,
    interim: [],
    responses: [response],
    rest: '',
    isReusable: true,
    finish: 'complete',
    fault: undefined,
    ...differs,
  };
}

function refused(name: string, bytes: string, differs: Partial<ResponseCase> = {}): ResponseCase {
  const rest = { responses: [], isReusable: false, finish: undefined, fault: 'ORIGIN_BAD_RESPONSE' } as const;
  return { ...read(name, bytes, {}, rest), ...differs };
}

/** The bytes end before the response does. */
function truncated(
  name: string,
  bytes: string,
  response: ExpectedResponse | undefined,
  finish: ResponsesSeen['finish'] = 'truncated',
): ResponseCase {
  const responses = response === undefined ? [] : [{ ...response, complete: false }];
  return { ...read(name, bytes, {}), responses, isReusable: false, finish };
}

const LENGTH_3 = { lines: ['Content-Length: 3'], body: { kind: 'length', length: 3 } } as const;
const CHUNKED = { lines: ['Transfer-Encoding: chunked'], body: { kind: 'chunked' } } as const;
const TO_CLOSE = { body: { kind: 'close' }, keepAlive: false } as const;
const NOT_REUSABLE = { isReusable: false } as const;

const OK = 'HTTP/1.1 200 OK\r\n';
const OK_3 = `${OK}Content-Length: 3\r\n\r\n`;
const OK_CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

const FRAMING: ResponseCase[] = [
  read('Content-Length', `${OK_3}abc`, { ...LENGTH_3, content: 'abc' }),
  read('Content-Length: 0', `${OK}Content-Length: 0\r\n\r\n`, {
    lines: ['Content-Length: 0'],
    body: { kind: 'length', length: 0 },
  }),
  refused('a length with leading zeros', `${OK}Content-Length: 003\r\n\r\nabc`),
  read('chunked', `${OK_CHUNKED}3\r\nabc\r\n0\r\n\r\n`, { ...CHUNKED, content: 'abc' }),
  read('chunked with trailers', `${OK_CHUNKED}3\r\nabc\r\n0\r\nGrpc-Status: 0\r\nX:\r\n\r\n`, {
    ...CHUNKED,
    content: 'abc',
    trailers: ['Grpc-Status: 0', 'X: '],
  }),
  read('chunked with extensions', `${OK_CHUNKED}3;a="b"\r\nabc\r\n0\r\n\r\n`, { ...CHUNKED, content: 'abc' }),
  read('the end of the connection ends the body', `${OK}\r\nabc`, { ...TO_CLOSE, content: 'abc' }, NOT_REUSABLE),
  read('an empty body that the end of the connection ends', `${OK}\r\n`, TO_CLOSE, NOT_REUSABLE),
  read(
    'HTTP/1.0 without length',
    `HTTP/1.0 200 OK\r\n\r\nabc`,
    { ...TO_CLOSE, minor: 0, content: 'abc' },
    NOT_REUSABLE,
  ),
  read(
    'HTTP/1.0 with length',
    'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc',
    { ...LENGTH_3, minor: 0, keepAlive: false, content: 'abc' },
    NOT_REUSABLE,
  ),
  read('HTTP/1.0 with keep-alive', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc', {
    ...LENGTH_3,
    minor: 0,
    lines: ['Connection: keep-alive', 'Content-Length: 3'],
    content: 'abc',
  }),
  read(
    'Connection: close with a length',
    `${OK}Connection: close\r\nContent-Length: 3\r\n\r\nabc`,
    {
      ...LENGTH_3,
      lines: ['Connection: close', 'Content-Length: 3'],
      keepAlive: false,
      content: 'abc',
    },
    NOT_REUSABLE,
  ),
  truncated('a length not reached', `${OK_3}ab`, { ...LENGTH_3, content: 'ab' }),
  truncated('chunked without last chunk', `${OK_CHUNKED}3\r\nabc\r\n`, { ...CHUNKED, content: 'abc' }),
  truncated('chunked without last empty line', `${OK_CHUNKED}3\r\nabc\r\n0\r\n`, { ...CHUNKED, content: 'abc' }),
  truncated('half a head', 'HTTP/1.1 200 OK\r\nConte', undefined),
  truncated('no byte at all', '', undefined, 'unanswered'),
  refused(
    'Content-Length and Transfer-Encoding',
    `${OK}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ),
  refused('two lengths, different', `${OK}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`),
  refused('two lengths, equal', `${OK}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`),
  refused('a length that is no number', `${OK}Content-Length: abc\r\n\r\n`),
  refused('gzip, chunked', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`),
  refused('identity', `${OK}Transfer-Encoding: identity\r\n\r\nabc`),
  refused('Transfer-Encoding in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
  refused('a broken chunk size', `${OK_CHUNKED}x\r\nabc\r\n`, { responses: [{ ...CHUNKED, complete: false }] }),
  refused('a chunk longer than its size', `${OK_CHUNKED}2\r\nabc\r\n`, {
    responses: [{ ...CHUNKED, content: 'ab', complete: false }],
  }),
  refused('space after a chunk size', `${OK_CHUNKED}3 \r\nabc\r\n`, { responses: [{ ...CHUNKED, complete: false }] }),
];

const BODILESS: ResponseCase[] = [
  read('HEAD with a length', OK_3, { lines: ['Content-Length: 3'] }, { expected: HEAD }),
  read('HEAD with chunked', OK_CHUNKED, { lines: ['Transfer-Encoding: chunked'] }, { expected: HEAD }),
  read('HEAD with neither', `${OK}\r\n`, {}, { expected: HEAD }),
  read(
    'HEAD with a body all the same',
    `${OK_3}abc`,
    { lines: ['Content-Length: 3'] },
    { expected: HEAD, rest: 'abc', isReusable: false },
  ),
  read('204', 'HTTP/1.1 204 No Content\r\n\r\n', { status: 204, reason: 'No Content' }),
  read('304 with a length', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n', {
    status: 304,
    reason: 'Not Modified',
    lines: ['Content-Length: 3'],
  }),
  read(
    '204 with a body all the same',
    'HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc',
    { status: 204, reason: 'No Content', lines: ['Content-Length: 3'] },
    { rest: 'abc', isReusable: false },
  ),
  read('a byte after the end', `${OK_3}abc\n`, { ...LENGTH_3, content: 'abc' }, { rest: '\n', isReusable: false }),
  read(
    'a second response nobody asked for',
    `${OK_3}abc${OK_3}abc`,
    { ...LENGTH_3, content: 'abc' },
    { rest: `${OK_3}abc`, isReusable: false },
  ),
];

const IN_ROW: ResponseCase[] = [
  read(
    'HEAD, then GET on the same connection',
    `${OK_3}${OK_3}abc`,
    {},
    {
      expected: [{ method: 'HEAD' }, { method: 'GET' }],
      responses: [{ lines: ['Content-Length: 3'] }, { ...LENGTH_3, content: 'abc' }],
    },
  ),
  read(
    '204, then chunked',
    `HTTP/1.1 204 \r\n\r\n${OK_CHUNKED}1\r\na\r\n0\r\n\r\n`,
    {},
    {
      expected: [{ method: 'DELETE' }, { method: 'GET' }],
      responses: [
        { status: 204, reason: '' },
        { ...CHUNKED, content: 'a' },
      ],
    },
  ),
];

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

const INTERIM: ResponseCase[] = [
  read(
    '100, then 200',
    `${CONTINUE}${OK_3}abc`,
    { ...LENGTH_3, content: 'abc' },
    { interim: [{ status: 100, reason: 'Continue' }] },
  ),
  read(
    '102, 103 with fields, then 200',
    `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK_3}abc`,
    { ...LENGTH_3, content: 'abc' },
    {
      interim: [
        { status: 102, reason: 'Processing' },
        { status: 103, reason: 'Early Hints', lines: ['Link: </a>'] },
      ],
    },
  ),
  read(
    '100 with a length has no body',
    `HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n${OK_3}abc`,
    { ...LENGTH_3, content: 'abc' },
    {
      interim: [{ status: 100, reason: 'Continue', lines: ['Content-Length: 3'] }],
    },
  ),
  refused('more interim responses than may be', CONTINUE.repeat(33), {
    interim: Array.from({ length: 32 }, () => ({ status: 100, reason: 'Continue' })),
  }),
  { ...truncated('100, then the end', CONTINUE, undefined), interim: [{ status: 100, reason: 'Continue' }] },
  read(
    '101 with a frame riding behind it',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi',
    {
      status: 101,
      reason: 'Switching Protocols',
      lines: ['Connection: Upgrade', 'Upgrade: websocket'],
    },
    { expected: UPGRADE, rest: '\x81\x02hi', isReusable: false },
  ),
  read(
    'an upgrade refused with a body',
    'HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nabc',
    { ...LENGTH_3, status: 403, reason: 'Forbidden', content: 'abc' },
    { expected: UPGRADE },
  ),
  refused('101 that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'),
];

const HEADS: ResponseCase[] = [
  read(
    'order, case and repeats are kept',
    `${OK}Set-Cookie: a=1\r\nset-cookie: b=2\r\nSet-Cookie: c=3\r\nContent-Length: 0\r\n\r\n`,
    {
      lines: ['Set-Cookie: a=1', 'set-cookie: b=2', 'Set-Cookie: c=3', 'Content-Length: 0'],
      body: { kind: 'length', length: 0 },
    },
  ),
  read(
    'UTF-8 in a value and in the reason',
    `HTTP/1.1 200 \xc3\x96k\r\nContent-Disposition: attachment; filename="\xc3\xa4.txt"\r\nContent-Length: 0\r\n\r\n`,
    {
      reason: '\xc3\x96k',
      lines: ['Content-Disposition: attachment; filename="\xc3\xa4.txt"', 'Content-Length: 0'],
      body: { kind: 'length', length: 0 },
    },
  ),
  read('no reason', 'HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc', { ...LENGTH_3, reason: '', content: 'abc' }),
  read('no reason and no space', 'HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc', {
    ...LENGTH_3,
    reason: '',
    content: 'abc',
  }),
  read('an odd status', 'HTTP/1.1 799 Odd\r\nContent-Length: 3\r\n\r\nabc', {
    ...LENGTH_3,
    status: 799,
    reason: 'Odd',
    content: 'abc',
  }),
  refused('status 099', 'HTTP/1.1 099 x\r\n\r\n'),
  refused('a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'),
  refused('a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'),
  refused('two spaces before the status', 'HTTP/1.1  200 OK\r\n\r\n'),
  refused('HTTP/2.0', 'HTTP/2.0 200 OK\r\n\r\n'),
  refused('HTTP/1.2', 'HTTP/1.2 200 OK\r\n\r\n'),
  refused('HTTP/0.9', '<html>hello</html>\r\n'),
  refused('ICY', 'ICY 200 OK\r\n\r\n'),
  refused('SSH', 'SSH-2.0-OpenSSH_9.2\r\n'),
  refused('a TLS alert', '\x15\x03\x01\x00\x02\x02\x46'),
  refused('an empty line before the status line', `\r\n${OK_3}abc`),
  refused('a control character in a value', `${OK}A: \x01\r\n\r\n`),
  refused('a control character in the reason', 'HTTP/1.1 200 O\x01K\r\n\r\n'),
  refused('NUL in a value', `${OK}A: \0\r\n\r\n`),
  refused('bare LF', 'HTTP/1.1 200 OK\nContent-Length: 3\n\nabc'),
  refused('bare LF in one line', `${OK}A: 1\nB: 2\r\n\r\n`),
  refused('bare CR in a value', `${OK}A: 1\rB: 2\r\n\r\n`),
  refused('a folded line', `${OK}A: 1\r\n 2\r\n\r\n`),
  refused('a space before the colon', `${OK}A : 1\r\n\r\n`),
  refused('a name that is no token', `${OK}A/B: 1\r\n\r\n`),
  refused('a line without colon', `${OK}hello\r\n\r\n`),
];

const LENIENT: ResponseCase[] = [
  read(
    'lenient: bare LF',
    'HTTP/1.1 200 OK\nContent-Length: 3\n\nabc',
    { ...LENGTH_3, content: 'abc' },
    { lenient: true },
  ),
  read(
    'lenient: bare LF and CRLF mixed',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\n\r\nabc',
    { ...LENGTH_3, content: 'abc' },
    { lenient: true },
  ),
  read(
    'lenient: folded lines are joined',
    `${OK}A: 1\r\n\t 2\r\n 3\r\nContent-Length: 3\r\n\r\nabc`,
    { ...LENGTH_3, lines: ['A: 1 2 3', 'Content-Length: 3'], content: 'abc' },
    { lenient: true },
  ),
  read(
    'lenient: space before the colon',
    `${OK}Content-Length : 3\r\n\r\nabc`,
    { ...LENGTH_3, content: 'abc' },
    { lenient: true },
  ),
  read(
    'lenient: two lengths, equal',
    `${OK}Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc`,
    { ...LENGTH_3, content: 'abc' },
    { lenient: true },
  ),
  read(
    'lenient: identity is no coding',
    `${OK}Transfer-Encoding: identity\r\n\r\nabc`,
    { ...TO_CLOSE, lines: ['Transfer-Encoding: identity'], content: 'abc' },
    { lenient: true, isReusable: false },
  ),
  read(
    'lenient: padded chunk sizes and bare LF',
    `${OK_CHUNKED}3  \r\nabc\r\n2\nde\n0 \n\n`,
    { ...CHUNKED, content: 'abcde' },
    { lenient: true },
  ),
  read(
    'lenient: trailers with bare LF',
    `${OK_CHUNKED}0\nA: 1\n\n`,
    { ...CHUNKED, trailers: ['A: 1'] },
    { lenient: true },
  ),
  refused('lenient: bare CR is still refused', `${OK}A: 1\rB: 2\r\n\r\n`, { lenient: true }),
  refused('lenient: NUL is still refused', `${OK}A: \0\r\n\r\n`, { lenient: true }),
  refused('lenient: two lengths that differ', `${OK}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`, {
    lenient: true,
  }),
];

export const RESPONSE_CASES: readonly ResponseCase[] = [
  ...FRAMING,
  ...BODILESS,
  ...IN_ROW,
  ...INTERIM,
  ...HEADS,
  ...LENIENT,
];
