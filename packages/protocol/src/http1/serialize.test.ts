import { describe, expect, it } from 'vitest';
import { CHUNKED_BODY, CLOSE_BODY, NO_BODY, requestFraming, responseFraming } from './framing.ts';
import type { BodyFraming } from './message.ts';
import {
  CHUNK_END,
  chunkHead,
  lastChunk,
  LAST_CHUNK,
  mayStayOpen,
  requestHeadText,
  responseHeadText,
} from './serialize.ts';

const LENGTH_3: BodyFraming = { kind: 'length', length: 3 };

describe('a request as text', () => {
  it('is the line, the fields and an empty line', () => {
    expect(requestHeadText('GET', '/x?y', ['Host', 'a', 'b', ''], NO_BODY)).toBe(
      'GET /x?y HTTP/1.1\r\nHost: a\r\nb: \r\n\r\n',
    );
  });

  it('gets the framing and connection fields of this hop', () => {
    expect(requestHeadText('POST', '/', ['Host', 'a'], CHUNKED_BODY)).toBe(
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    expect(requestHeadText('POST', '/', ['Content-Length', '3'], LENGTH_3, { keepAlive: false })).toBe(
      'POST / HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\n',
    );
    expect(requestHeadText('GET', '/', ['Upgrade', 'websocket', 'TE', 'trailers'], NO_BODY, { upgrade: true })).toBe(
      'GET / HTTP/1.1\r\nUpgrade: websocket\r\nTE: trailers\r\nConnection: upgrade, TE\r\n\r\n',
    );
  });
});

describe('a response as text', () => {
  const fields = ['A', '1'];
  it.each<[string, number, BodyFraming, boolean, 0 | 1, string]>([
    ['chunked for HTTP/1.1', 200, CHUNKED_BODY, true, 1, 'Transfer-Encoding: chunked\r\n'],
    ['chunked and closing', 200, CHUNKED_BODY, false, 1, 'Transfer-Encoding: chunked\r\nConnection: close\r\n'],
    ['never chunked for HTTP/1.0', 200, CHUNKED_BODY, true, 0, 'Connection: close\r\n'],
    ['with length', 200, LENGTH_3, true, 1, ''],
    ['with length, closing', 200, LENGTH_3, false, 1, 'Connection: close\r\n'],
    ['kept open for HTTP/1.0', 200, LENGTH_3, true, 0, 'Connection: keep-alive\r\n'],
    ['until the connection closes', 200, CLOSE_BODY, true, 1, 'Connection: close\r\n'],
    ['without a body', 304, NO_BODY, true, 1, ''],
    ['interim', 103, NO_BODY, false, 1, ''],
    ['101', 101, NO_BODY, true, 1, 'Connection: upgrade\r\n'],
  ])('%s', (_, status, framing, keepAlive, minor, added) => {
    expect(responseHeadText(status, 'R', fields, framing, { keepAlive, minor })).toBe(
      `HTTP/1.1 ${status} R\r\nA: 1\r\n${added}\r\n`,
    );
    if (status >= 200) expect(mayStayOpen(framing, { keepAlive, minor })).toBe(!added.includes('close'));
  });
});

describe('chunks', () => {
  it('are framed by hexadecimal sizes and end in a chunk of none', () => {
    expect(chunkHead(255) + CHUNK_END).toBe('ff\r\n\r\n');
    expect(lastChunk([])).toBe(LAST_CHUNK);
    expect(LAST_CHUNK).toBe('0\r\n\r\n');
    expect(lastChunk(['A', '1', 'b', ''])).toBe('0\r\nA: 1\r\nb: \r\n\r\n');
  });
});

describe('framing of what came in a frame', () => {
  it('is the length where there is one, else chunked or none', () => {
    expect(requestFraming(false, ['content-length', '3'])).toEqual(LENGTH_3);
    expect(requestFraming(true, ['Content-Length', '0'])).toEqual({ kind: 'length', length: 0 });
    expect(requestFraming(false, [])).toEqual(CHUNKED_BODY);
    expect(requestFraming(true, [])).toEqual(NO_BODY);
  });

  it.each<[string, number, string[], 0 | 1, BodyFraming]>([
    ['GET', 200, ['Content-Length', '3'], 1, LENGTH_3],
    ['GET', 200, [], 1, CHUNKED_BODY],
    ['GET', 200, [], 0, CLOSE_BODY],
    ['HEAD', 200, ['Content-Length', '3'], 1, NO_BODY],
    ['GET', 204, [], 1, NO_BODY],
    ['GET', 304, ['Content-Length', '3'], 1, NO_BODY],
    ['GET', 101, [], 1, NO_BODY],
  ])('of a response to %s with %i %j for minor version %i', (method, status, fields, minor, framing) => {
    expect(responseFraming(method, status, fields, minor)).toEqual(framing);
  });

  it.each([[['Content-Length', '3', 'content-length', '3']], [['Content-Length', '3, 3']], [['Content-Length', '']]])(
    'is refused when odd: %j',
    (fields) => {
      expect(() => responseFraming('GET', 200, fields, 1)).toThrow(
        expect.objectContaining({ code: 'ORIGIN_BAD_RESPONSE' }),
      );
    },
  );
});
