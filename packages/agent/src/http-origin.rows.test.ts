/** What an origin sends, byte for byte, and what of it reaches the stream. Each row runs whole and one byte at a time. */
import type { ExchangeRequest } from '@porthole/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchangeRequest, FakeStream } from '../../../test/harness/fake-stream.ts';
import { type RawOrigin, startRawOrigin } from '../../../test/harness/raw-origin.ts';
import { HttpOrigin } from './http-origin.ts';
import { NetOpener } from './origin-socket.ts';
import { parseTarget } from './target.ts';

type Ending = 'stays' | 'fin' | 'reset';
type Row = readonly [
  name: string,
  request: Partial<ExchangeRequest>,
  bytes: string,
  ending: Ending,
  calls: readonly string[],
];

const GET = {};
const HEAD = { method: 'HEAD' };
const UPGRADE = { upgrade: true, fields: ['Host', 'app.test', 'Upgrade', 'echo'] };
const BAD = ['reset ORIGIN_BAD_RESPONSE'];
const LONG = 'x'.repeat(70_000);

// biome-ignore format: a row is a line
const ROWS: readonly Row[] = [
  ['a body with a length', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'stays', ['head | 200 | OK | Content-Length: 5', 'data hello', 'end']],
  ['an empty body', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'stays', ['head | 200 | OK | Content-Length: 0', 'end']],
  ['a chunked body', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n', 'stays', ['head | 200 | OK', 'data abcde', 'end']],
  ['a chunk extension', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n', 'stays', ['head | 200 | OK', 'data abc', 'end']],
  ['trailers', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n', 'stays', ['head | 200 | OK | Trailer: X-Sum', 'data abc', 'trailers X-Sum: 7', 'end']],
  ['trailers that may not come late', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 7\r\nX-Ok: 1\r\n\r\n', 'stays', ['head | 200 | OK', 'trailers X-Ok: 1', 'end']],
  ['a body up to the close', GET, 'HTTP/1.1 200 OK\r\n\r\nall of it', 'fin', ['head | 200 | OK', 'data all of it', 'end']],
  ['an empty body up to the close', GET, 'HTTP/1.1 200 OK\r\n\r\n', 'fin', ['head | 200 | OK', 'end']],
  ['HTTP/1.0 up to the close', GET, 'HTTP/1.0 200 OK\r\nX: 1\r\n\r\nold', 'fin', ['head | 200 | OK | X: 1', 'data old', 'end']],
  ['HTTP/1.0 with a length', GET, 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold', 'fin', ['head | 200 | OK | Content-Length: 3', 'data old', 'end']],
  ['a length and Connection: close', GET, 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok', 'fin', ['head | 200 | OK | Content-Length: 2', 'data ok', 'end']],
  ['no reason phrase', GET, 'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n', 'stays', ['head | 200 |  | Content-Length: 0', 'end']],
  ['no space behind the status', GET, 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', 'stays', ['head | 200 |  | Content-Length: 0', 'end']],
  ['an odd reason phrase', GET, 'HTTP/1.1 299 Sch\xf6n \t war\r\nContent-Length: 0\r\n\r\n', 'stays', ['head | 299 | Sch\xf6n \t war | Content-Length: 0', 'end']],
  ['HEAD with a length', HEAD, 'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n', 'stays', ['head | 200 | OK | Content-Length: 500', 'end']],
  ['HEAD with chunked', HEAD, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'stays', ['head | 200 | OK', 'end']],
  ['204', GET, 'HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n', 'stays', ['head | 204 | No Content | X: 1', 'end']],
  ['204 with a length that may not be', GET, 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n', 'stays', ['head | 204 | No Content', 'end']],
  ['304 with the length of the real thing', GET, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: "a"\r\n\r\n', 'stays', ['head | 304 | Not Modified | Content-Length: 500 | ETag: "a"', 'end']],
  ['206 and its range', GET, 'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nab', 'stays', ['head | 206 | Partial Content | Content-Range: bytes 0-1/9 | Content-Length: 2', 'data ab', 'end']],
  ['interim heads before the final one', GET, 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!', 'stays', ['head | 100 | Continue', 'head | 103 | Early Hints | Link: </a>', 'head | 200 | OK | Content-Length: 1', 'data !', 'end']],
  ['field order, case and duplicates', GET, 'HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nX-b: 2\r\nSet-Cookie: c=3\r\nSET-COOKIE: d=4\r\nContent-Length: 0\r\n\r\n', 'stays', ['head | 200 | OK | set-cookie: a=1 | X-b: 2 | Set-Cookie: c=3 | SET-COOKIE: d=4 | Content-Length: 0', 'end']],
  ['bytes above 127 in a field', GET, 'HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename="\xc3\xbc.txt"\r\nContent-Length: 0\r\n\r\n', 'stays', ['head | 200 | OK | Content-Disposition: attachment; filename="\xc3\xbc.txt" | Content-Length: 0', 'end']],
  ['an empty field value', GET, 'HTTP/1.1 200 OK\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n', 'stays', ['head | 200 | OK | X-Empty:  | Content-Length: 0', 'end']],
  ['hop-by-hop fields', GET, 'HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Stays: 1\r\nContent-Length: 0\r\n\r\n', 'stays', ['head | 200 | OK | X-Stays: 1 | Content-Length: 0', 'end']],
  ['a length that Connection tries to steal', GET, 'HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: 2\r\n\r\nok', 'stays', ['head | 200 | OK | Content-Length: 2', 'data ok', 'end']],
  ['a body that looks like a head', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n', 'stays', ['head | 200 | OK | Content-Length: 19', 'data HTTP/1.1 200 OK\r\n\r\n', 'end']],
  ['a body of every kind of byte', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\x00\xff\r\n\x80a', 'stays', ['head | 200 | OK | Content-Length: 6', 'data \x00\xff\r\n\x80a', 'end']],
  ['nothing at all', GET, '', 'fin', ['reset ORIGIN_CLOSED']],
  ['a reset instead of an answer', GET, '', 'reset', ['reset ORIGIN_CLOSED']],
  ['half a head', GET, 'HTTP/1.1 200 OK\r\nConte', 'fin', ['reset ORIGIN_TRUNCATED']],
  ['an interim head and nothing behind it', GET, 'HTTP/1.1 100 Continue\r\n\r\n', 'fin', ['head | 100 | Continue', 'reset ORIGIN_TRUNCATED']],
  ['a body shorter than its length', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel', 'fin', ['head | 200 | OK | Content-Length: 5', 'data hel', 'reset ORIGIN_TRUNCATED']],
  ['a chunked body without its end', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', 'fin', ['head | 200 | OK', 'data abc', 'reset ORIGIN_TRUNCATED']],
  ['a chunk cut in the middle', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab', 'fin', ['head | 200 | OK', 'data ab', 'reset ORIGIN_TRUNCATED']],
  ['trailers cut in the middle', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Su', 'fin', ['head | 200 | OK', 'reset ORIGIN_TRUNCATED']],
  ['another protocol', GET, 'SSH-2.0-OpenSSH_9.2\r\n', 'stays', BAD],
  ['a TLS alert', GET, '\x15\x03\x01\x00\x02\x02\x46', 'stays', BAD],
  ['HTML without a head', GET, '<!doctype html>\r\n\r\n', 'stays', BAD],
  ['HTTP/2', GET, 'HTTP/2.0 200 OK\r\n\r\n', 'stays', BAD],
  ['a status of two digits', GET, 'HTTP/1.1 20 OK\r\n\r\n', 'stays', BAD],
  ['a status below 100', GET, 'HTTP/1.1 099 Low\r\n\r\n', 'stays', BAD],
  ['two different lengths', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 'stays', BAD],
  ['a length and chunked', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'stays', BAD],
  ['a length that is no number', GET, 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello', 'stays', BAD],
  ['a negative length', GET, 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n', 'stays', BAD],
  ['an unknown transfer coding', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', 'stays', BAD],
  ['a chunk size that is no number', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n', 'stays', ['head | 200 | OK', 'reset ORIGIN_BAD_RESPONSE']],
  ['a chunk longer than its size', GET, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n', 'stays', ['head | 200 | OK', 'data a', 'reset ORIGIN_BAD_RESPONSE']],
  ['a folded field', GET, 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n', 'stays', BAD],
  ['a space before the colon', GET, 'HTTP/1.1 200 OK\r\nX : a\r\n\r\n', 'stays', BAD],
  ['a NUL in a field', GET, 'HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n', 'stays', BAD],
  ['bare line feeds', GET, 'HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'stays', BAD],
  ['a head without end', GET, `HTTP/1.1 200 OK\r\nX: ${LONG}`, 'stays', ['reset ORIGIN_HEAD_TOO_LARGE']],
  ['interim heads without end', GET, 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(40), 'stays', [...Array<string>(32).fill('head | 102 | Processing'), ...BAD]],
  ['a 101 that nobody asked for', GET, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n', 'stays', BAD],
  ['a 101 with bytes in the same packet', UPGRADE, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nfirst', 'fin', ['head | 101 | Switching Protocols | Upgrade: echo', 'data first', 'end']],
  ['a refused upgrade with a body', UPGRADE, 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno', 'stays', ['head | 403 | Forbidden | Content-Length: 2', 'data no', 'end']],
  ['a 426 that says what it wants', GET, 'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n', 'stays', ['head | 426 | Upgrade Required | Upgrade: websocket | Content-Length: 0', 'end']],
  ['bytes behind the end of the response', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil', 'stays', ['head | 200 | OK | Content-Length: 2', 'data ok', 'end']],
];

describe('an origin that sends', () => {
  let server: RawOrigin;
  let origin: HttpOrigin;

  beforeAll(async () => {
    server = await startRawOrigin();
    origin = new HttpOrigin({
      opener: new NetOpener(parseTarget(`127.0.0.1:${server.port}`), {
        connectTimeoutMs: 5_000,
      }),
      pool: { maxIdle: 0 },
    });
  });

  afterAll(async () => {
    origin.close();
    await server.close();
  });

  it('is described by at least 40 rows', () => {
    expect(ROWS.length).toBeGreaterThanOrEqual(40);
  });

  for (const every of [Number.POSITIVE_INFINITY, 1]) {
    describe(every === 1 ? 'one byte at a time' : 'in one piece', () => {
      it.each(ROWS.filter(([, , bytes]) => every > 1 || bytes.length < 1_000))(
        '%s',
        async (_name, request, bytes, ending, calls) => {
          const stream = new FakeStream();
          stream.sink = origin.openExchange(exchangeRequest(request), stream);
          const wire = await server.accept();
          await wire.readUntil('\r\n\r\n');
          await (every === 1 ? wire.sendSplit(bytes) : wire.send(bytes)).catch(() => {});
          if (ending === 'fin') wire.end();
          if (ending === 'reset') wire.reset();
          await stream.untilOver();
          expect(stream.calls).toEqual(calls);
          stream.sink.onReset('CANCELLED', '');
          await wire.untilEnded();
          expect(origin.pool.live).toBe(0);
          await wire.close();
        },
      );
    });
  }
});
