/** HTTP/2 visitors of a real relay: curl, nghttp, h2load, Node's own, a WebSocket, big bodies, and origins that speak HTTP/2. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as http2 from 'node:http2';
import * as net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestAuthority } from '../harness/certificates.ts';
import { missing } from '../harness/debian.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { runProgram } from '../harness/program.ts';
import { patternBody } from '../harness/random.ts';
import { connectVisitor, readAnswer } from '../harness/raw-visitor.ts';
import { type Stage, startStage } from '../harness/stage.ts';

let origin: Origin;
let stage: Stage;

beforeAll(async () => {
  origin = await startOrigin();
  stage = await startStage(origin.port);
});
afterAll(async () => {
  await stage.close();
  await origin.close();
});

function dial(to: Stage = stage): http2.ClientHttp2Session {
  const session = http2.connect(`http://${to.host}`, { createConnection: () => net.connect(to.port, '127.0.0.1') });
  session.on('error', () => undefined);
  return session;
}

async function ask(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body?: Iterable<Buffer>,
): Promise<{
  headers: http2.IncomingHttpHeaders;
  trailers: http2.IncomingHttpHeaders;
  sha256: string;
  length: number;
  text: string;
}> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) void send(stream, body);
  let trailers: http2.IncomingHttpHeaders = {};
  stream.on('trailers', (found) => (trailers = found));
  const [received] = await once(stream, 'response');
  const hash = createHash('sha256');
  let length = 0;
  let text = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk);
    length += chunk.length;
    if (length < 10_000) text += chunk.toString('latin1');
  }
  return { headers: received, trailers, sha256: hash.digest('hex'), length, text };
}

async function send(stream: http2.ClientHttp2Stream, body: Iterable<Buffer>): Promise<void> {
  for (const piece of body) if (!stream.write(piece)) await once(stream, 'drain');
  stream.end();
}

function sha256Of(body: Iterable<Buffer>): string {
  const hash = createHash('sha256');
  for (const piece of body) hash.update(piece);
  return hash.digest('hex');
}

const SIZE = 64 * 1024 * 1024;

describe('HTTP/2 with prior knowledge', () => {
  it('carries big bodies both ways, byte for byte', async () => {
    const session = dial();
    const wanted = sha256Of(patternBody(SIZE, 256 * 1024));
    const down = await ask(session, { ':path': `/size/${SIZE}?chunked` });
    expect({ length: down.length, sha256: down.sha256 }).toEqual({ length: SIZE, sha256: wanted });
    const up = await ask(session, { ':path': '/hash', ':method': 'POST' }, patternBody(SIZE, 256 * 1024));
    expect(JSON.parse(up.text)).toMatchObject({ length: SIZE, sha256: wanted });
    session.close();
  });

  it('passes trailers of an HTTP/1.1 origin', async () => {
    const session = dial();
    const answer = await ask(session, { ':path': '/trailers', te: 'trailers' });
    expect(answer.text).toBe('body');
    expect(answer.trailers).toMatchObject({ 'x-sum': '42' });
    session.close();
  });

  it('runs many streams at once on one connection', async () => {
    const session = dial();
    await once(session, 'remoteSettings');
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => ask(session, { ':path': `/size/${i * 1_000}` })),
    );
    expect(answers.map((answer) => answer.length)).toEqual(answers.map((_, i) => i * 1_000));
    session.close();
  });

  it('opens a WebSocket (RFC 8441)', async () => {
    const session = dial();
    await once(session, 'remoteSettings');
    const stream = session.request(
      {
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':scheme': 'http',
        ':path': '/ws',
        'sec-websocket-version': '13',
      },
      { endStream: false },
    );
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(200);
    // A masked text frame with "ping" and a mask of zeroes.
    stream.write(Buffer.concat([Buffer.from([0x81, 0x84, 0, 0, 0, 0]), Buffer.from('ping')]));
    const [echo] = await once(stream, 'data');
    expect(String(echo.subarray(2))).toBe('ping');
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await origin.whenever(() => origin.webSockets.size === 0);
    session.close();
  });

  it('tells the origin when the visitor leaves', async () => {
    const session = dial();
    const before = origin.abandoned;
    const stream = session.request({ ':path': '/hold' });
    stream.on('error', () => undefined);
    await origin.whenever(() => origin.seen.at(-1) === 'GET /hold');
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await origin.whenever(() => origin.abandoned > before);
    session.close();
  });
});

describe.skipIf(missing('curl'))('curl', () => {
  it('gets and posts with --http2-prior-knowledge', async () => {
    const curl = async (...args: string[]): Promise<string> => {
      const resolve = `${stage.host.split(':')[0]}:${stage.port}:127.0.0.1`;
      const all = [
        '-sS',
        '--http2-prior-knowledge',
        '--resolve',
        resolve,
        '-w',
        '\n%{http_version} %{http_code}',
        ...args,
      ];
      return (await runProgram({ name: 'curl', command: 'curl', args: all })).stdout;
    };
    expect(await curl(`${stage.url}/x`)).toBe('you asked for /x\n\n2 200');
    expect(await curl('-d', 'hello', `${stage.url}/echo`)).toBe('hello\n2 200');
    expect(await curl('-I', `${stage.url}/size/100`)).toContain('content-length: 100');
  });
});

describe.skipIf(missing('nghttp', 'h2load'))('nghttp2', () => {
  it('h2load finishes without one failure', async () => {
    const args = ['-c4', '-m32', '-n2000', `--connect-to=127.0.0.1:${stage.port}`, `${stage.url}/size/1000`];
    const { stdout } = await runProgram({ name: 'h2load', command: 'h2load', args });
    expect(stdout).toContain('2000 succeeded, 0 failed, 0 errored');
  });

  it('nghttp sees no frame out of place', async () => {
    const args = ['-nv', '--header', `:authority: ${stage.host}`, `http://127.0.0.1:${stage.port}/size/10000`];
    const { stdout } = await runProgram({ name: 'nghttp', command: 'nghttp', args });
    expect(stdout).toContain(':status: 200');
    expect(stdout).not.toContain('RST_STREAM');
  });
});

describe('origins that speak HTTP/2', () => {
  const listen = async (server: http2.Http2Server | http2.Http2SecureServer): Promise<number> => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as net.AddressInfo).port;
  };
  const answer = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void => {
    stream.on('error', () => undefined);
    stream.respond({
      ':status': 200,
      'x-scheme': headers[':scheme'] ?? '',
      'x-authority': headers[':authority'] ?? '',
    });
    stream.pipe(stream);
  };

  it('h2c:// carries everything, whatever the visitor speaks', async () => {
    const server = http2.createServer();
    server.on('stream', answer);
    const port = await listen(server);
    await using told = await startStage(`h2c://${port}`);
    const session = dial(told);
    const wanted = sha256Of(patternBody(8 * 1024 * 1024, 64 * 1024));
    const echoed = await ask(session, { ':path': '/', ':method': 'POST' }, patternBody(8 * 1024 * 1024, 64 * 1024));
    expect(echoed.sha256).toBe(wanted);
    expect(echoed.headers['x-authority']).toBe(told.host);
    session.close();
    const plain = await fetch(`http://127.0.0.1:${told.port}/`, { method: 'POST', body: 'one' });
    expect(plain.status).toBe(404);
    server.close();
  });

  it('https:// with --origin-protocol h2 is negotiated in TLS', async () => {
    const certificate = new TestAuthority().issue(['localhost', '127.0.0.1']);
    const server = http2.createSecureServer({ key: certificate.keyPem, cert: certificate.chainPem });
    server.on('stream', answer);
    const port = await listen(server);
    await using told = await startStage(`https://localhost:${port}`, { agent: { args: ['--origin-protocol', 'h2'] } });
    const session = dial(told);
    const echoed = await ask(session, { ':path': '/', ':method': 'POST' }, [Buffer.from('over tls')]);
    expect(echoed.text).toBe('over tls');
    expect(echoed.headers['x-scheme']).toBe('https');
    session.close();
    server.close();
  });

  it('get what a visitor repeats, in fields and trailers, and the agent lives on', async () => {
    const server = http2.createServer({ strictSingleValueFields: false } as http2.ServerOptions);
    const trailers: string[][] = [];
    server.on('stream', (stream, _headers, _flags, raw: string[]) => {
      stream.on('error', () => undefined);
      stream.on('trailers', (_trailers, _trailerFlags, rawTrailers: string[]) => trailers.push(rawTrailers));
      stream.resume();
      stream.on('end', () => {
        stream.respond({ ':status': 200 });
        stream.end(String(raw.filter((name) => name === 'user-agent').length));
      });
    });
    const port = await listen(server);
    await using told = await startStage(`h2c://${port}`);
    await using visitor = await connectVisitor(told.url);
    const start = `POST / HTTP/1.1\r\nHost: ${told.host}\r\nTransfer-Encoding: chunked\r\n`;
    await visitor.send(`${start}User-Agent: a\r\nUser-Agent: b\r\n\r\n2\r\nhi\r\n0\r\nETag: "1"\r\nETag: "2"\r\n\r\n`);
    expect((await readAnswer(visitor)).body.toString()).toBe('2');
    expect(trailers).toEqual([['etag', '"1"', 'etag', '"2"']]);
    server.close();
  });

  it('an origin told to speak it and does not is said to', async () => {
    await using told = await startStage(`h2c://${origin.port}`);
    const session = dial(told);
    const { headers } = await ask(session, { ':path': '/' });
    expect(`${headers[':status']} ${headers['porthole-error']}`).toBe('502 ORIGIN_BAD_RESPONSE');
    session.close();
  });
});
