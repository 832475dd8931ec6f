/**
 * Requests as bytes (latin1 text), and exactly what the relay must read from them: RFC 9110, RFC 9112, and what a router
 * must refuse although common servers accept it, because two readers could differ on it.
 */
import type { ErrorCode } from '@porthole/protocol';
import type { RequestHead } from '@porthole/protocol/http1';

export interface ExpectedRequest extends Partial<Omit<RequestHead, 'fields'>> {
  /** Field lines as `Name: value`; the default is the one Host line. */
  readonly lines?: readonly string[];
  readonly content?: string;
  readonly trailers?: readonly string[];
  /** False: the bytes end before the body does. */
  readonly complete?: boolean;
}

export interface RequestCase {
  readonly name: string;
  readonly bytes: string;
  /** Requests read, in order (before the fault, if there is one). */
  readonly requests: readonly ExpectedRequest[];
  readonly fault?: ErrorCode;
  /** Bytes after an upgrade request. */
  readonly rest?: string;
}

const HOST = 'Host: a.example';

/** A GET with one Host line and `lines`. */
function get(...lines: string[]): string {
  return `GET / HTTP/1.1\r\n${HOST}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;
}

/** A POST with `lines`, then `content` as it stands. */
function post(lines: readonly string[], content: string): string {
  return `POST / HTTP/1.1\r\n${HOST}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n${content}`;
}

function chunked(content: string): string {
  return post(['Transfer-Encoding: chunked'], content);
}

function accepted(name: string, bytes: string, ...requests: ExpectedRequest[]): RequestCase {
  return { name, bytes, requests };
}

function refused(name: string, bytes: string, fault: ErrorCode = 'BAD_REQUEST'): RequestCase {
  return { name, bytes, requests: [], fault };
}

const CHUNKED = [HOST, 'Transfer-Encoding: chunked'];

/** The head of a chunked POST is read before its body turns out broken. */
function brokenChunks(name: string, content: string, read = ''): RequestCase {
  const request = {
    method: 'POST',
    lines: CHUNKED,
    body: { kind: 'chunked' },
    content: read,
    complete: false,
  } as const;
  return { name, bytes: chunked(content), requests: [request], fault: 'BAD_REQUEST' };
}

function chunkedBody(name: string, content: string, read: string, trailers: readonly string[] = []): RequestCase {
  return accepted(name, chunked(content), {
    method: 'POST',
    lines: CHUNKED,
    body: { kind: 'chunked' },
    content: read,
    trailers,
  });
}

const REQUEST_LINE: RequestCase[] = [
  accepted('a plain GET', get(), {}),
  accepted('no bytes at all', ''),
  accepted('one empty line before the request', `\r\n${get()}`, {}),
  accepted('two requests in a row', get() + get('X: 2'), {}, { lines: [HOST, 'X: 2'] }),
  accepted('a method of its own', `FOOBAR /x HTTP/1.1\r\n${HOST}\r\n\r\n`, { method: 'FOOBAR', target: '/x' }),
  accepted('a method in lower case, as it is', `get / HTTP/1.1\r\n${HOST}\r\n\r\n`, { method: 'get' }),
  accepted('a method of odd token characters', `M-SEARCH!#$%&'*+.^_\`|~ / HTTP/1.1\r\n${HOST}\r\n\r\n`, {
    method: "M-SEARCH!#$%&'*+.^_`|~",
  }),
  accepted('a path is not cleaned', `GET //a/./b/../%2F%2e;x?#`.slice(0, -1) + ` HTTP/1.1\r\n${HOST}\r\n\r\n`, {
    target: '//a/./b/../%2F%2e;x?',
  }),
  accepted('raw bytes and odd characters in the path', `GET /\xc3\xa4|{}"<>\\^\` HTTP/1.1\r\n${HOST}\r\n\r\n`, {
    target: '/\xc3\xa4|{}"<>\\^`',
  }),
  accepted('OPTIONS *', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n\r\n`, { method: 'OPTIONS', target: '*' }),
  accepted('HTTP/1.0 with Host', `GET / HTTP/1.0\r\n${HOST}\r\n\r\n`, { minor: 0, keepAlive: false }),
  refused('two empty lines before the request', `\r\n\r\n${get()}`),
  refused('a bare LF before the request', `\n${get()}`),
  refused('a bare CR before the request', `\r${get()}`),
  refused('a space before the request', ` ${get()}`),
  refused('two spaces after the method', `GET  / HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('two spaces before the version', `GET /  HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('a tab instead of a space', `GET\t/ HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('a space after the version', `GET / HTTP/1.1 \r\n${HOST}\r\n\r\n`),
  refused('a space in the target', `GET /a b HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('a control character in the target', `GET /a\x01 HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('NUL in the target', `GET /a\0b HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('DEL in the target', `GET /\x7f HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('a fragment in the target', `GET /a#b HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('a target that is neither path nor URL', `GET a/b HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('* with another method', `GET * HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('a method with a colon', `GE:T / HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('HTTP/0.9', 'GET /\r\n'),
  refused('HTTP/0.9 with an empty line', 'GET /\r\n\r\n'),
  refused('no target', `GET HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('a version in lower case', `GET / http/1.1\r\n${HOST}\r\n\r\n`),
  refused('a version without minor', `GET / HTTP/1\r\n${HOST}\r\n\r\n`),
  refused('a version with two digits', `GET / HTTP/1.10\r\n${HOST}\r\n\r\n`),
  refused('the first bytes of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  refused('a bare LF after the request line', `GET / HTTP/1.1\n${HOST}\r\n\r\n`),
  refused('bare LF throughout', `GET / HTTP/1.1\n${HOST}\n\n`),
  refused('HTTP/2.0 in the request line', `GET / HTTP/2.0\r\n${HOST}\r\n\r\n`, 'HTTP_VERSION_NOT_SUPPORTED'),
  refused('the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'HTTP_VERSION_NOT_SUPPORTED'),
  refused('HTTP/1.2', `GET / HTTP/1.2\r\n${HOST}\r\n\r\n`, 'HTTP_VERSION_NOT_SUPPORTED'),
  refused('CONNECT', 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n', 'METHOD_NOT_SUPPORTED'),
  refused('TRACE', `TRACE / HTTP/1.1\r\n${HOST}\r\n\r\n`, 'METHOD_NOT_SUPPORTED'),
  refused('authority-form with another method', 'GET a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n'),
];

const ABSOLUTE: RequestCase[] = [
  accepted('absolute-form becomes a path', `GET http://a.example/x?y HTTP/1.1\r\n${HOST}\r\n\r\n`, { target: '/x?y' }),
  accepted('absolute-form overrides Host', `GET HTTPS://B.example:8443/%7e?a=/b HTTP/1.1\r\n${HOST}\r\n\r\n`, {
    target: '/%7e?a=/b',
    host: 'b.example',
    authority: 'B.example:8443',
  }),
  accepted('absolute-form without path', `GET http://a.example HTTP/1.1\r\n${HOST}\r\n\r\n`, {}),
  accepted('absolute-form with a query only', `GET http://a.example?q HTTP/1.1\r\n${HOST}\r\n\r\n`, { target: '/?q' }),
  accepted('absolute-form without path, OPTIONS', `OPTIONS http://a.example HTTP/1.1\r\n${HOST}\r\n\r\n`, {
    method: 'OPTIONS',
    target: '*',
  }),
  accepted('absolute-form in HTTP/1.0 without Host', 'GET http://a.example/x HTTP/1.0\r\n\r\n', {
    minor: 0,
    keepAlive: false,
    target: '/x',
    lines: [],
  }),
  accepted('a path that looks like an authority', `GET //b.example/ HTTP/1.1\r\n${HOST}\r\n\r\n`, {
    target: '//b.example/',
  }),
  refused('absolute-form without Host', 'GET http://a.example/ HTTP/1.1\r\n\r\n'),
  refused('absolute-form beside a broken Host', 'GET http://a.example/ HTTP/1.1\r\nHost: a b\r\n\r\n'),
  refused('absolute-form with userinfo', `GET http://u:p@a.example/ HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('absolute-form with an empty authority', `GET http:///x HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('absolute-form with a bad port', `GET http://a.example:x/ HTTP/1.1\r\n${HOST}\r\n\r\n`),
  refused('absolute-form with another scheme', `GET ftp://a.example/ HTTP/1.1\r\n${HOST}\r\n\r\n`),
];

function host(value: string): string {
  return `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`;
}

const HOSTS: RequestCase[] = [
  accepted('Host in capitals, trailing dot and port', host('A.Example.:8080'), {
    lines: ['Host: A.Example.:8080'],
    authority: 'A.Example.:8080',
  }),
  accepted('Host with underscore and digits', host('a_1-b.example'), {
    lines: ['Host: a_1-b.example'],
    host: 'a_1-b.example',
    authority: 'a_1-b.example',
  }),
  accepted('Host is an IPv4 address', host('127.0.0.1:80'), {
    lines: ['Host: 127.0.0.1:80'],
    host: '127.0.0.1',
    authority: '127.0.0.1:80',
  }),
  accepted('Host is an IPv6 address', host('[2001:DB8::1]:8080'), {
    lines: ['Host: [2001:DB8::1]:8080'],
    host: '[2001:db8::1]',
    authority: '[2001:DB8::1]:8080',
  }),
  accepted('Host is IPv6 without port', host('[::1]'), { lines: ['Host: [::1]'], host: '[::1]', authority: '[::1]' }),
  accepted('hOsT with space around the value', 'GET / HTTP/1.1\r\nhOsT: \t a.example \t\r\n\r\n', {
    lines: ['hOsT: a.example'],
  }),
  refused('no Host', 'GET / HTTP/1.1\r\n\r\n'),
  refused('no Host in HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n'),
  refused('two Hosts, equal', get(HOST)),
  refused('two Hosts, different', get('Host: b.example')),
  refused('an empty Host', host('')),
  refused('a list in Host', host('a.example, b.example')),
  refused('a space in Host', host('a.example b.example')),
  refused('userinfo in Host', host('u@a.example')),
  refused('a path in Host', host('a.example/x')),
  refused('a scheme in Host', host('http://a.example')),
  refused('an empty port', host('a.example:')),
  refused('port 0', host('a.example:0')),
  refused('port 65536', host('a.example:65536')),
  refused('a port of six digits', host('a.example:000080')),
  refused('a port with a sign', host('a.example:+80')),
  refused('two ports', host('a.example:80:80')),
  refused('an empty label', host('a..example')),
  refused('a leading dot', host('.example')),
  refused('only a dot', host('.')),
  refused('two trailing dots', host('a.example..')),
  refused('a percent escape in Host', host('a%2eexample')),
  refused('raw UTF-8 in Host', host('\xc3\xa4.example')),
  refused('an unclosed IPv6 address', host('[::1')),
  refused('bytes after an IPv6 address', host('[::1]x')),
  refused('a zone in an IPv6 address', host('[fe80::1%25eth0]')),
  refused('a name in brackets', host('[a.example]')),
  refused('Host of 300 bytes', host('a'.repeat(300))),
];

const FIELDS: RequestCase[] = [
  accepted('order, case and repeats are kept', get('B: 1', 'a: 2', 'B: 3'), { lines: [HOST, 'B: 1', 'a: 2', 'B: 3'] }),
  accepted('empty values and space around values', get('A:', 'B: ', 'C:\t x\ty \t'), {
    lines: [HOST, 'A: ', 'B: ', 'C: x\ty'],
  }),
  accepted('colons in a value', get('A:b:c: d'), { lines: [HOST, 'A: b:c: d'] }),
  accepted('bytes past 0x7f in a value', get('A: \x80\xff\xc3\xa4'), { lines: [HOST, 'A: \x80\xff\xc3\xa4'] }),
  accepted('odd token characters in a name', get("!#$%&'*+-.^_`|~: 1"), { lines: [HOST, "!#$%&'*+-.^_`|~: 1"] }),
  accepted('names that are properties of objects', get('__proto__: 1', 'constructor: 2'), {
    lines: [HOST, '__proto__: 1', 'constructor: 2'],
  }),
  refused('a space before the colon', get('A : 1')),
  refused('a tab before the colon', get('A\t: 1')),
  refused('a space before the colon of Content-Length', post(['Content-Length : 3'], 'abc')),
  refused('a folded line', get('A: 1', ' 2')),
  refused('a folded first line', `GET / HTTP/1.1\r\n A: 1\r\n${HOST}\r\n\r\n`),
  refused('a line of spaces', get('A: 1', '   ')),
  refused('a line without colon', get('A')),
  refused('a line without name', get(': 1')),
  refused('a name with a space', get('A B: 1')),
  refused('a name past 0x7f', get('\xc3\xa4: 1')),
  refused('a name with a slash', get('A/B: 1')),
  refused('NUL in a value', get('A: 1\x002')),
  refused('NUL in a name', get('A\0: 1')),
  refused('a control character in a value', get('A: 1\x0b2')),
  refused('DEL in a value', get('A: \x7f')),
  refused('a bare CR in a value', get('A: 1\rB: 2')),
  refused('a bare LF in a value', get('A: 1\nB: 2')),
  refused('a bare CR before the empty line', `GET / HTTP/1.1\r\n${HOST}\r\n\r\r\n\r\n`),
  refused('a bare LF as the empty line', `GET / HTTP/1.1\r\n${HOST}\r\n\n\r\n\r\n`),
];

const LENGTH_3 = { method: 'POST', lines: [HOST, 'Content-Length: 3'], body: { kind: 'length', length: 3 } } as const;

const FRAMING: RequestCase[] = [
  accepted('Content-Length', post(['Content-Length: 3'], 'abc'), { ...LENGTH_3, content: 'abc' }),
  accepted(
    'Content-Length, then the next request',
    post(['Content-Length: 3'], `abc${get()}`),
    { ...LENGTH_3, content: 'abc' },
    {},
  ),
  accepted('Content-Length with half of the body', post(['Content-Length: 3'], 'a'), {
    ...LENGTH_3,
    content: 'a',
    complete: false,
  }),
  accepted(
    'Content-Length: 0',
    post(['Content-Length: 0'], get()),
    { method: 'POST', lines: [HOST, 'Content-Length: 0'], body: { kind: 'length', length: 0 } },
    {},
  ),
  accepted('a POST without length has no body', post([], get()), { method: 'POST' }, {}),
  accepted('a GET with a body', `GET / HTTP/1.1\r\n${HOST}\r\nContent-Length: 3\r\n\r\nabc`, {
    ...LENGTH_3,
    method: 'GET',
    content: 'abc',
  }),
  refused('Content-Length twice, equal', post(['Content-Length: 3', 'Content-Length: 3'], 'abc')),
  refused('Content-Length twice, different', post(['Content-Length: 3', 'Content-Length: 4'], 'abc')),
  refused('a list in Content-Length', post(['Content-Length: 3, 3'], 'abc')),
  refused('an empty Content-Length', post(['Content-Length:'], 'abc')),
  refused('Content-Length with a sign', post(['Content-Length: +3'], 'abc')),
  refused('a negative Content-Length', post(['Content-Length: -3'], 'abc')),
  refused('hexadecimal Content-Length', post(['Content-Length: 0x3'], 'abc')),
  refused('Content-Length with a leading zero', post(['Content-Length: 03'], 'abc')),
  refused('Content-Length with a point', post(['Content-Length: 3.0'], 'abc')),
  refused('Content-Length with a space inside', post(['Content-Length: 3 3'], 'abc')),
  refused('Content-Length past 2^53', post(['Content-Length: 9007199254740992'], 'abc')),
  refused('Content-Length of 40 digits', post([`Content-Length: ${'1'.repeat(40)}`], 'abc')),
  refused(
    'Content-Length and Transfer-Encoding',
    post(['Content-Length: 3', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  ),
  refused(
    'Transfer-Encoding and Content-Length',
    post(['Transfer-Encoding: chunked', 'Content-Length: 3'], '0\r\n\r\n'),
  ),
  refused('Transfer-Encoding twice', post(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n')),
  refused('chunked twice in a list', post(['Transfer-Encoding: chunked, chunked'], '0\r\n\r\n')),
  refused('an empty member before chunked', post(['Transfer-Encoding: , chunked'], '0\r\n\r\n')),
  refused('an empty member after chunked', post(['Transfer-Encoding: chunked,'], '0\r\n\r\n')),
  refused('chunked is not last', post(['Transfer-Encoding: chunked, gzip'], '0\r\n\r\n')),
  refused('a coding without chunked', post(['Transfer-Encoding: gzip'], 'abc')),
  refused('identity', post(['Transfer-Encoding: identity'], 'abc')),
  refused('an empty Transfer-Encoding', post(['Transfer-Encoding:'], 'abc')),
  refused('chunked with a parameter', post(['Transfer-Encoding: chunked;q=1'], '0\r\n\r\n')),
  refused('chunked in quotes', post(['Transfer-Encoding: "chunked"'], '0\r\n\r\n')),
  refused('xchunked', post(['Transfer-Encoding: xchunked'], '0\r\n\r\n')),
  refused('chunked behind a vertical tab', post(['Transfer-Encoding: \x0bchunked'], '0\r\n\r\n')),
  refused('chunked behind a no-break space', post(['Transfer-Encoding: \xa0chunked'], '0\r\n\r\n')),
  refused('gzip, chunked', post(['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n'), 'CODING_NOT_SUPPORTED'),
  refused('Transfer-Encoding in HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
];

const CHUNKS: RequestCase[] = [
  chunkedBody('chunks', '3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n', 'abc0123456789'),
  chunkedBody('an empty chunked body', '0\r\n\r\n', ''),
  chunkedBody('framing bytes inside a chunk', '9\r\n0\r\n\r\n\r\n0\r\r\n0\r\n\r\n', '0\r\n\r\n\r\n0\r'),
  chunkedBody(
    'leading zeros and both cases in sizes',
    '00a\r\n0123456789\r\n000B\r\n0123456789a\r\n000\r\n\r\n',
    '01234567890123456789a',
  ),
  chunkedBody('well-formed extensions', '3;a;b=c;d="e;\\"f"\r\nabc\r\n0;z\r\n\r\n', 'abc'),
  chunkedBody('trailers', '0\r\nA: 1\r\nb:2 \r\n\r\n', '', ['A: 1', 'b: 2']),
  accepted('Chunked in another case', post(['transfer-encoding: CHUNKED'], '1\r\na\r\n0\r\n\r\n'), {
    method: 'POST',
    lines: [HOST, 'transfer-encoding: CHUNKED'],
    body: { kind: 'chunked' },
    content: 'a',
  }),
  accepted(
    'chunked, then the next request',
    chunked(`1\r\na\r\n0\r\n\r\n${get()}`),
    { method: 'POST', lines: CHUNKED, body: { kind: 'chunked' }, content: 'a' },
    {},
  ),
  accepted('chunked that breaks off', chunked('5\r\nab'), {
    method: 'POST',
    lines: CHUNKED,
    body: { kind: 'chunked' },
    content: 'ab',
    complete: false,
  }),
  accepted('chunked that breaks off before the last empty line', chunked('0\r\nA: 1\r\n'), {
    method: 'POST',
    lines: CHUNKED,
    body: { kind: 'chunked' },
    complete: false,
  }),
  brokenChunks('no size', '\r\nabc'),
  brokenChunks('a size that is no number', 'xyz\r\nabc'),
  brokenChunks('a size with 0x', '0x3\r\nabc\r\n'),
  brokenChunks('a negative size', '-3\r\nabc\r\n'),
  brokenChunks('a size with a sign', '+3\r\nabc\r\n'),
  brokenChunks('a space before the size', ' 3\r\nabc\r\n'),
  brokenChunks('a space after the size', '3 \r\nabc\r\n'),
  brokenChunks('a tab after the size', '3\t\r\nabc\r\n'),
  brokenChunks('a space before an extension', '3 ;a\r\nabc\r\n'),
  brokenChunks('an underscore in the size', '3_0\r\nabc\r\n'),
  brokenChunks('a size past 2^53', '20000000000000\r\nabc'),
  brokenChunks('a size that wraps at 64 bits', '10000000000000003\r\nabc'),
  brokenChunks('a size of endless zeros', `${'0'.repeat(40)}3\r\nabc\r\n`),
  brokenChunks('a size line that ends in a bare LF', '3\nabc\r\n'),
  brokenChunks('a size line that ends in a bare CR', '3\rabc\r\n'),
  brokenChunks('a chunk longer than its size', '3\r\nabcd\r\n', 'abc'),
  brokenChunks('a chunk that ends in a bare LF', '3\r\nabc\n0\r\n\r\n', 'abc'),
  brokenChunks('a chunk that ends in a bare CR', '3\r\nabc\r0\r\n\r\n', 'abc'),
  brokenChunks('an extension without name', '3;\r\nabc\r\n'),
  brokenChunks('an extension without value', '3;a=\r\nabc\r\n'),
  brokenChunks('an extension with an open quote', '3;a="b\r\nabc\r\n'),
  brokenChunks('a bare LF in an extension', '3;a\nb\r\nabc\r\n'),
  brokenChunks('a bare CR in an extension', '3;a\rb\r\nabc\r\n'),
  brokenChunks('a control character in an extension', '3;a="\0"\r\nabc\r\n'),
  brokenChunks('an extension of 300 bytes', `3;${'a'.repeat(300)}\r\nabc\r\n`),
  brokenChunks('a folded trailer', '0\r\nA: 1\r\n 2\r\n\r\n'),
  brokenChunks('a trailer with a space before the colon', '0\r\nA : 1\r\n\r\n'),
  brokenChunks('a trailer that ends in a bare LF', '0\r\nA: 1\n\r\n'),
  brokenChunks('a bare LF instead of the last empty line', '0\r\n\n'),
];

const CONNECTION: RequestCase[] = [
  accepted('Connection: close', get('Connection: close'), { lines: [HOST, 'Connection: close'], keepAlive: false }),
  accepted('close in a list, in capitals', get('Connection: x, CLOSE'), {
    lines: [HOST, 'Connection: x, CLOSE'],
    keepAlive: false,
  }),
  accepted('close in a second Connection line', get('Connection: keep-alive', 'Connection: close'), {
    lines: [HOST, 'Connection: keep-alive', 'Connection: close'],
    keepAlive: false,
  }),
  accepted('an option that only begins like close', get('Connection: closed'), { lines: [HOST, 'Connection: closed'] }),
  accepted('HTTP/1.0 with keep-alive', `GET / HTTP/1.0\r\n${HOST}\r\nConnection: Keep-Alive\r\n\r\n`, {
    minor: 0,
    lines: [HOST, 'Connection: Keep-Alive'],
  }),
  accepted('HTTP/1.0 with keep-alive and close', `GET / HTTP/1.0\r\n${HOST}\r\nConnection: keep-alive, close\r\n\r\n`, {
    minor: 0,
    keepAlive: false,
    lines: [HOST, 'Connection: keep-alive, close'],
  }),
  accepted('Expect: 100-continue', post(['Content-Length: 3', 'Expect: 100-Continue'], ''), {
    ...LENGTH_3,
    lines: [HOST, 'Content-Length: 3', 'Expect: 100-Continue'],
    expectsContinue: true,
    complete: false,
  }),
  accepted('Expect: 100-continue without a body', get('Expect: 100-continue'), {
    lines: [HOST, 'Expect: 100-continue'],
  }),
  accepted('Expect in HTTP/1.0 is not heeded', `GET / HTTP/1.0\r\n${HOST}\r\nExpect: x\r\n\r\n`, {
    minor: 0,
    keepAlive: false,
    lines: [HOST, 'Expect: x'],
  }),
  refused('an unknown expectation', get('Expect: 200-ok'), 'EXPECTATION_FAILED'),
  refused('two expectations', get('Expect: 100-continue', 'Expect: x'), 'EXPECTATION_FAILED'),
];

const UPGRADE_LINES = [HOST, 'Connection: Upgrade', 'Upgrade: websocket'];

const UPGRADES: RequestCase[] = [
  {
    name: 'an upgrade with a frame riding behind it',
    bytes: `${get('Connection: Upgrade', 'Upgrade: websocket')}\x81\x80GET / HTTP/1.1\r\n`,
    requests: [{ lines: UPGRADE_LINES, upgrade: 'websocket' }],
    rest: '\x81\x80GET / HTTP/1.1\r\n',
  },
  accepted('an upgrade to a protocol of its own', get('Connection: keep-alive, uPgRaDe', 'Upgrade: foo/1.0, bar'), {
    lines: [HOST, 'Connection: keep-alive, uPgRaDe', 'Upgrade: foo/1.0, bar'],
    upgrade: 'foo/1.0, bar',
  }),
  accepted('Upgrade without Connection is none', get('Upgrade: websocket'), { lines: [HOST, 'Upgrade: websocket'] }),
  accepted(
    'Upgrade in HTTP/1.0 is none',
    `GET / HTTP/1.0\r\n${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    {
      minor: 0,
      keepAlive: false,
      lines: UPGRADE_LINES,
    },
  ),
  accepted(
    'an offer of h2c is passed over, also with a body',
    post(
      ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQ', 'Content-Length: 3'],
      'abc',
    ),
    {
      ...LENGTH_3,
      lines: [
        HOST,
        'Connection: Upgrade, HTTP2-Settings',
        'Upgrade: h2c',
        'HTTP2-Settings: AAMAAABkAAQ',
        'Content-Length: 3',
      ],
      content: 'abc',
    },
  ),
  accepted('h2c among other offers', get('Connection: Upgrade', 'Upgrade: h2c, websocket'), {
    lines: [HOST, 'Connection: Upgrade', 'Upgrade: h2c, websocket'],
    upgrade: 'websocket',
  }),
  accepted('empty offers are no offers', get('Connection: Upgrade', 'Upgrade: ,hh2c,', 'Upgrade:'), {
    lines: [HOST, 'Connection: Upgrade', 'Upgrade: ,hh2c,', 'Upgrade: '],
    upgrade: 'hh2c',
  }),
  refused('an upgrade with a body', post(['Connection: Upgrade', 'Upgrade: websocket', 'Content-Length: 3'], 'abc')),
  refused(
    'an upgrade with a chunked body',
    post(['Connection: Upgrade', 'Upgrade: websocket', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  ),
];

export const REQUEST_CASES: readonly RequestCase[] = [
  ...REQUEST_LINE,
  ...ABSOLUTE,
  ...HOSTS,
  ...FIELDS,
  ...FRAMING,
  ...CHUNKS,
  ...CONNECTION,
  ...UPGRADES,
];
