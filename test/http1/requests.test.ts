/** The table of requests, in every split; and the limits, which need larger bytes than a table holds. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_HEAD_LIMITS, RequestReader, type Fields } from '@porthole/protocol/http1';
import { observeRequests, type Message } from './observe.ts';
import { REQUEST_CASES, type ExpectedRequest } from './request-cases.ts';
import { byteByByte, everySplit } from './splits.ts';
import type { RequestHead } from '@porthole/protocol/http1';

function fieldsOf(lines: readonly string[]): Fields {
  return lines.flatMap((line) => [
    line.slice(0, line.indexOf(':')),
    line.slice(line.indexOf(':') + 1).replace(/^ /, ''),
  ]);
}

function messageOf(expected: ExpectedRequest): Message<RequestHead> {
  const { lines = ['Host: a.example'], content = '', trailers = [], complete = true, ...head } = expected;
  return {
    head: {
      method: 'GET',
      target: '/',
      host: 'a.example',
      authority: 'a.example',
      minor: 1,
      fields: fieldsOf(lines),
      body: { kind: 'none' },
      keepAlive: true,
      upgrade: undefined,
      expectsContinue: false,
      ...head,
    },
    body: content,
    trailers: fieldsOf(trailers),
    complete,
  };
}

describe('requests as bytes', () => {
  it('are enough', () => {
    expect(REQUEST_CASES.length).toBeGreaterThan(150);
    expect(new Set(REQUEST_CASES.map((row) => row.name)).size).toBe(REQUEST_CASES.length);
  });

  it.each(REQUEST_CASES.map((row) => [row.name, row] as const))('%s', (_, row) => {
    const messages = row.requests.map(messageOf);
    for (const chunks of everySplit(Buffer.from(row.bytes, 'latin1'))) {
      const seen = observeRequests(chunks);
      expect({ messages: seen.messages, fault: seen.fault, rest: seen.rest }).toEqual({
        messages,
        fault: row.fault,
        rest: row.rest ?? '',
      });
    }
  });
});

describe('limits on requests', () => {
  const limits = { maxHeadBytes: 200, maxFields: 4, maxTargetBytes: 50 };
  const headOf = (bytes: number): string => {
    const start = 'GET / HTTP/1.1\r\nHost: a.example\r\nX: ';
    return `${start}${'x'.repeat(bytes - start.length - 4)}\r\n\r\n`;
  };
  const outcomes = (text: string): Set<string> => {
    const seen = new Set<string>();
    for (const chunks of everySplit(Buffer.from(text, 'latin1'))) {
      const { fault, messages } = observeRequests(chunks, limits);
      seen.add(fault ?? `${messages.length} read`);
    }
    return seen;
  };

  it.each([
    ['a head of exactly the limit', headOf(200), '1 read'],
    ['one byte more', headOf(201), 'HEAD_TOO_LARGE'],
    ['an empty line before it does not count', `\r\n${headOf(200)}`, '1 read'],
    ['a target of exactly the limit', `GET /${'x'.repeat(49)} HTTP/1.1\r\nHost: a\r\n\r\n`, '1 read'],
    ['a target one byte longer', `GET /${'x'.repeat(50)} HTTP/1.1\r\nHost: a\r\n\r\n`, 'TARGET_TOO_LONG'],
    ['a request line without end', `GET /${'x'.repeat(300)}`, 'TARGET_TOO_LONG'],
    ['as many fields as may be', 'GET / HTTP/1.1\r\nHost: a\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n', '1 read'],
    ['one field more', 'GET / HTTP/1.1\r\nHost: a\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n', 'TOO_MANY_FIELDS'],
    [
      'broken syntax behind too many fields',
      'GET / HTTP/1.1\r\nHost: a\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne\r\n\r\n',
      'BAD_REQUEST',
    ],
    [
      'trailers of more than the limit',
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: ${'x'.repeat(300)}`,
      'HEAD_TOO_LARGE',
    ],
    [
      'too many trailers',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\n\r\n',
      'TOO_MANY_FIELDS',
    ],
  ])('%s', (_, text, outcome) => {
    expect([...outcomes(text)]).toEqual([outcome]);
  });

  it('bounds the extensions of all chunks together', () => {
    const chunk = `1;${'a'.repeat(250)}\r\nx\r\n`;
    const bytes = Buffer.from(
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(100)}0\r\n\r\n`,
      'latin1',
    );
    expect(observeRequests([bytes]).fault).toBe('BAD_REQUEST');
  });

  it('reads a head of the largest size byte by byte without looking at bytes twice', () => {
    const size = DEFAULT_HEAD_LIMITS.maxHeadBytes;
    const started = performance.now();
    for (let i = 0; i < 5; i++)
      expect(observeRequests(byteByByte(Buffer.from(headOf(size), 'latin1'))).messages.length).toBe(1);
    // Rescanning would look at 2^31 bytes each time: minutes, not a moment.
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('knows how far it is', () => {
    const reader = new RequestReader(DEFAULT_HEAD_LIMITS, {
      onHead() {},
      onBody() {},
      onTrailers() {},
      onComplete() {},
    });
    const stages = ['\r\n', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n', '\r\n', 'x'].map((text) => {
      reader.feed(Buffer.from(text));
      return reader.stage;
    });
    expect(stages).toEqual(['idle', 'head', 'body', 'complete']);
    expect(reader.feed(Buffer.from('GET'))).toBe(0);
  });

  it('hands nothing more on after stop, even from within the sink', () => {
    let chunks = 0;
    const reader = new RequestReader(DEFAULT_HEAD_LIMITS, {
      onHead() {},
      onBody() {
        chunks++;
        reader.stop();
      },
      onTrailers: () => expect.unreachable(),
      onComplete: () => expect.unreachable(),
    });
    reader.feed(
      Buffer.from(
        'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\nA: 1\r\n\r\n',
      ),
    );
    expect(chunks).toBe(1);
  });

  it('hands whole chunks of a body on as they are, without a copy', () => {
    const seen: Buffer[] = [];
    const reader = new RequestReader(DEFAULT_HEAD_LIMITS, {
      onHead() {},
      onBody: (chunk) => seen.push(chunk),
      onTrailers() {},
      onComplete() {},
    });
    const body = Buffer.alloc(1000, 1);
    reader.feed(Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n'));
    reader.feed(body);
    expect(seen).toEqual([body]);
    expect(seen[0]).toBe(body);
  });
});
