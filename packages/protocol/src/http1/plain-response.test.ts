import { describe, expect, it } from 'vitest';
import { DEFAULT_RESPONSE_LIMITS } from './limits.ts';
import type { ResponseHead } from './message.ts';
import { PlainResponse } from './plain-response.ts';
import { forwardableResponseFields, forwardableResponseLines } from './forwarding.ts';
import { ResponseReader } from './response-reader.ts';

function read(text: string, method = 'GET'): ResponseHead {
  let found: ResponseHead | undefined;
  const nothing = (): void => {};
  const reader = new ResponseReader(DEFAULT_RESPONSE_LIMITS, {
    onInterim: nothing,
    onHead: (head) => {
      found = head;
    },
    onBody: nothing,
    onTrailers: nothing,
    onComplete: nothing,
  });
  reader.expect(method);
  reader.feed(Buffer.from(text, 'latin1'));
  if (found === undefined) throw new Error('no head');
  return found;
}

const DATE = 'Date: Mon, 23 Nov 2026 01:00:00 GMT';

describe('a usual response', () => {
  it.each([
    ['nginx', ['Server: nginx', DATE, 'Content-Length: 35', 'Connection: keep-alive', 'ETag: "6-2"']],
    ['Node', ['X-Powered-By: Express', 'Content-Length: 2', DATE, 'Connection: keep-alive', 'Keep-Alive: timeout=5']],
    ['Node, head written at once', [DATE, 'Connection: keep-alive', 'Keep-Alive: timeout=5', 'content-length: 0']],
    ['Go', ['Content-Type: text/plain; charset=utf-8', DATE, 'Content-Length: 12']],
  ])('of %s goes on as if it had been read line by line', (_who, lines) => {
    const head = read(`HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\n\r\n`);
    if (!(head instanceof PlainResponse)) throw new Error('read line by line');
    expect(head.fields).toEqual(
      lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.replace(/^[^:]*: /, '')]),
    );
    expect(head.lines).toBe(forwardableResponseLines(200, head.fields));
    expect(head.keepAliveValue).toBe(lines.some((line) => line.startsWith('Keep-Alive')) ? 'timeout=5' : undefined);
    expect(head).toMatchObject({ status: 200, reason: 'OK', minor: 1, keepAlive: true, body: { kind: 'length' } });
  });

  it.each([
    ['an older version', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n'],
    ['no length', `HTTP/1.1 200 OK\r\n${DATE}\r\n\r\n`],
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['a connection that closes', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n'],
    [
      'fields of the connection',
      'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\nContent-Length: 1\r\n\r\n',
    ],
    ['blanks around a value', 'HTTP/1.1 200 OK\r\nX-A:  1 \r\nContent-Length: 1\r\n\r\n'],
    ['no blank before a value', 'HTTP/1.1 200 OK\r\nX-A:1\r\nContent-Length: 1\r\n\r\n'],
    ['an empty value', 'HTTP/1.1 200 OK\r\nX-A: \r\nContent-Length: 1\r\n\r\n'],
    ['a field for the next hop only', 'HTTP/1.1 200 OK\r\nProxy_Authenticate: x\r\nContent-Length: 1\r\n\r\n'],
    ['no body', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 1\r\n\r\n'],
    ['no content', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n'],
  ])('is read line by line when it has %s', (_what, text) => {
    const head = read(text);
    expect(head).not.toBeInstanceOf(PlainResponse);
    expect(forwardableResponseFields(head.status, head.fields).some((part) => /^(connection|x-a: )$/i.test(part))).toBe(
      false,
    );
  });

  it('is read line by line when it answers HEAD, or could have too many fields', () => {
    expect(read('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 'HEAD')).not.toBeInstanceOf(PlainResponse);
    const many = 'a: b\r\n'.repeat(DEFAULT_RESPONSE_LIMITS.maxFields);
    expect(() => read(`HTTP/1.1 200 OK\r\n${many}Content-Length: 5\r\n\r\n`)).toThrow('more than 200 fields');
  });

  it.each([
    'Content-Length: 1\r\nContent-Length: 2',
    'Content-Length: +1',
    'Content-Length: 1, 1',
    'X\0: a\r\nContent-Length: 1',
  ])('is refused as before when it says %j', (lines) =>
    expect(() => read(`HTTP/1.1 200 OK\r\n${lines}\r\n\r\n`)).toThrow(),
  );

  it('is refused as before when the protocol has another name', () =>
    expect(() => read('http/1.1 200 OK\r\nContent-Length: 1\r\n\r\n')).toThrow('not an HTTP/1.1 status line'));
});
