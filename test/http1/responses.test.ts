/** The table of responses, in every split; and the limits. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_RESPONSE_LIMITS, ResponseReader, type Fields, type ResponseHead } from '@porthole/protocol/http1';
import { observeResponses, type Message } from './observe.ts';
import { RESPONSE_CASES, type ExpectedResponse } from './response-cases.ts';
import { everySplit } from './splits.ts';

function fieldsOf(lines: readonly string[]): Fields {
  return lines.flatMap((line) => [
    line.slice(0, line.indexOf(':')),
    line.slice(line.indexOf(':') + 1).replace(/^ /, ''),
  ]);
}

function messageOf(expected: ExpectedResponse): Message<ResponseHead> {
  const { lines = [], content = '', trailers = [], complete = true, ...head } = expected;
  return {
    head: {
      status: 200,
      reason: 'OK',
      minor: 1,
      fields: fieldsOf(lines),
      body: { kind: 'none' },
      keepAlive: true,
      ...head,
    },
    body: content,
    trailers: fieldsOf(trailers),
    complete,
  };
}

describe('responses as bytes', () => {
  it('are enough', () => {
    expect(RESPONSE_CASES.length).toBeGreaterThan(75);
    expect(new Set(RESPONSE_CASES.map((row) => row.name)).size).toBe(RESPONSE_CASES.length);
  });

  it.each(RESPONSE_CASES.map((row) => [row.name, row] as const))('%s', (_, row) => {
    const { expected, lenient, rest, isReusable, finish, fault } = row;
    const wanted = {
      interim: row.interim.map((interim) => messageOf(interim).head),
      messages: row.responses.map(messageOf),
      rest: fault === undefined ? rest : '',
      isReusable,
      finish,
      fault,
    };
    for (const chunks of everySplit(Buffer.from(row.bytes, 'latin1'))) {
      expect(observeResponses(chunks, expected, { lenient })).toEqual(wanted);
    }
  });
});

describe('limits on responses', () => {
  it.each([
    ['a head that is too large', `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(300)}\r\n\r\n`],
    ['a status line without end', `HTTP/1.1 200 ${'x'.repeat(300)}`],
    ['too many fields', 'HTTP/1.1 200 OK\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\n\r\n'],
    [
      'trailers that are too large',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ${'x'.repeat(300)}\r\n\r\n`,
    ],
  ])('%s', (_, text) => {
    for (const chunks of everySplit(Buffer.from(text, 'latin1'))) {
      expect(observeResponses(chunks, [{ method: 'GET' }], { maxHeadBytes: 200, maxFields: 4 }).fault).toBe(
        'ORIGIN_HEAD_TOO_LARGE',
      );
    }
  });

  it('takes bytes between two responses for what they are: no answer to the next request', () => {
    const reader = new ResponseReader(DEFAULT_RESPONSE_LIMITS, {
      onInterim() {},
      onHead() {},
      onBody() {},
      onTrailers() {},
      onComplete() {},
    });
    reader.expect('GET');
    reader.feed(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    expect(reader.isReusable).toBe(true);
    expect(reader.feed(Buffer.from('HTTP/1.1 408 Request Timeout\r\n\r\n'))).toBe(0);
    expect(reader.isReusable).toBe(false);
  });
});
