/** How bodies end: 1xx, Expect, trailers, HTTP/1.0, close-delimited, early answers, broken bodies. */
import { describe, expect, it } from 'vitest';
import { answersAndCloses, closesAtOnce, diesInBody, diesInChunks, speaks } from '../harness/bad-origin.ts';
import { plainAnswer, readChunked, readRequestBody } from '../harness/raw-origin.ts';
import { connectVisitor, readAnswer, readAnswerHead } from '../harness/raw-visitor.ts';
import { scriptedScene } from '../harness/scene.ts';

const scene = scriptedScene();

const get = (path = '/', extra = ''): string => `GET ${path} HTTP/1.1\r\nHost: ${scene.stage.host}\r\n${extra}\r\n`;

describe('interim answers', () => {
  it('are passed on in order', async () => {
    scene.script = async ({ wire }) =>
      wire.send(
        `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${plainAnswer('late')}`,
      );
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get());
    const first = await readAnswer(visitor);
    expect([first.status, first.field('link')]).toEqual([103, '</a.css>']);
    expect((await readAnswer(visitor)).status).toBe(102);
    expect((await readAnswer(visitor)).body.toString()).toBe('late');
  });

  it('are bounded in number', async () => {
    scene.script = speaks('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(5000) + plainAnswer());
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get());
    let count = 0;
    let last: number;
    do {
      last = (await readAnswer(visitor)).status;
      count++;
    } while (last < 200);
    expect(last).toBe(502);
    expect(count).toBeLessThan(500);
  });
});

describe('Expect: 100-continue', () => {
  const post = (): string =>
    `POST / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`;

  it("hands the origin's 100 to the visitor, then takes the body", async () => {
    scene.script = async (request) => {
      await request.wire.send('HTTP/1.1 100 Continue\r\n\r\n');
      await request.wire.send(plainAnswer((await readRequestBody(request)).toString()));
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(post());
    expect((await readAnswer(visitor)).status).toBe(100);
    await visitor.send('data');
    expect((await readAnswer(visitor)).body.toString()).toBe('data');
  });

  it('hands on an early 401 without a 100', async () => {
    scene.script = async ({ wire }) =>
      wire.send('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(post());
    expect((await readAnswer(visitor)).status).toBe(401);
  });

  it('works with an origin that never sends a 100, when the visitor sends on after all', async () => {
    scene.script = async (request) => request.wire.send(plainAnswer((await readRequestBody(request)).toString()));
    await using visitor = await connectVisitor(scene.stage.url);
    const arrived = scene.origin.nextRequest();
    await visitor.send(post());
    await arrived;
    await visitor.send('data');
    let answer = await readAnswer(visitor);
    if (answer.status === 100) answer = await readAnswer(visitor);
    expect(answer.body.toString()).toBe('data');
  });

  it('answers another expectation with 417', async () => {
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get('/', 'Expect: miracles\r\n'));
    const answer = await readAnswer(visitor);
    expect([answer.status, answer.field('porthole-error')]).toEqual([417, 'EXPECTATION_FAILED']);
  });
});

describe('trailers', () => {
  it('come through to the visitor', async () => {
    scene.script = async ({ wire }) =>
      wire.send(
        'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 42\r\nGrpc-Status: 0\r\n\r\n',
      );
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get('/', 'TE: trailers\r\n'));
    const answer = await readAnswer(visitor);
    expect([answer.body.toString(), answer.trailers, answer.field('trailer')]).toEqual([
      'ab',
      'X-Sum: 42\r\nGrpc-Status: 0\r\n',
      'X-Sum',
    ]);
  });

  it('come through to the origin', async () => {
    let trailers = '';
    scene.script = async ({ wire }) => {
      ({ trailers } = await readChunked(wire));
      await wire.send(plainAnswer());
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(
      `POST / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 7\r\n\r\n`,
    );
    expect((await readAnswer(visitor)).status).toBe(200);
    expect(trailers).toBe('X-Sum: 7\r\n');
  });

  it('with framing or routing fields do not', async () => {
    scene.script = async ({ wire }) =>
      wire.send(
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\nX-Ok: 1\r\n\r\n',
      );
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get());
    const answer = await readAnswer(visitor);
    expect(answer.trailers).toBe('X-Ok: 1\r\n');
  });
});

describe('older ways to end a body', () => {
  it('a close-delimited answer reaches an HTTP/1.1 visitor whole, with a visible end', async () => {
    scene.script = speaks('HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil I close');
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get());
    const answer = await readAnswer(visitor);
    expect([answer.status, answer.body.toString()]).toEqual([200, 'until I close']);
  });

  it('so does one of an HTTP/1.0 origin, with and without a length', async () => {
    for (const bytes of ['HTTP/1.0 200 OK\r\n\r\nold', 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold']) {
      scene.script = speaks(bytes);
      await using visitor = await connectVisitor(scene.stage.url);
      await visitor.send(get());
      const answer = await readAnswer(visitor);
      expect(answer.head.startsWith('HTTP/1.1 200 OK\r\n')).toBe(true);
      expect(answer.body.toString()).toBe('old');
    }
  });

  it('an HTTP/1.0 visitor gets no chunks and sees the end as a close', async () => {
    scene.script = async ({ wire }) =>
      wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n');
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`GET / HTTP/1.0\r\nHost: ${scene.stage.host}\r\n\r\n`);
    const answer = await readAnswer(visitor);
    expect([answer.framing, answer.body.toString(), answer.field('transfer-encoding')]).toEqual([
      'close',
      'onetwo',
      undefined,
    ]);
  });

  it('an HTTP/1.0 visitor may ask to keep the connection', async () => {
    scene.script = async ({ wire }) => wire.send(plainAnswer());
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`GET / HTTP/1.0\r\nHost: ${scene.stage.host}\r\nConnection: keep-alive\r\n\r\n`);
    const answer = await readAnswer(visitor);
    expect(answer.body.toString()).toBe('ok');
    if (answer.field('connection')?.toLowerCase() !== 'keep-alive') return;
    await visitor.send(`GET / HTTP/1.0\r\nHost: ${scene.stage.host}\r\n\r\n`);
    expect((await readAnswer(visitor)).body.toString()).toBe('ok');
  });

  it('Connection: close of the visitor is honoured', async () => {
    scene.script = async ({ wire }) => wire.send(plainAnswer());
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get('/', 'Connection: close\r\n'));
    expect((await readAnswer(visitor)).field('connection')?.toLowerCase()).toBe('close');
    await visitor.untilEnded();
  });

  it('a visitor who closes his sending half still gets his answer', async () => {
    scene.script = async ({ wire }) => wire.send(plainAnswer('for you'));
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get());
    visitor.end();
    expect((await readAnswer(visitor)).body.toString()).toBe('for you');
  });
});

describe('early answers', () => {
  it('reach the visitor while he still uploads, and the upload may go on', async () => {
    scene.script = async (request) => {
      await request.wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n');
      const body = await readRequestBody(request);
      await request.wire.send(`${body.length.toString(16)}\r\n${body.toString()}\r\n0\r\n\r\n`);
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`POST / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nContent-Length: 8\r\n\r\nhalf`);
    await visitor.readUntil('5\r\nearly\r\n');
    await visitor.send('rest');
    await visitor.readUntil('8\r\nhalfrest\r\n0\r\n\r\n');
  });

  it('that refuse an upload are seen by a visitor who has sent only part of it', async () => {
    scene.script = async ({ wire }) => {
      await wire.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big');
      wire.end();
    };
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(
      `POST / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1000)}`,
    );
    const answer = await readAnswer(visitor);
    expect([answer.status, answer.body.toString()]).toEqual([413, 'too big']);
  });
});

describe('bodies that break off', () => {
  it.each([
    ['by FIN within a length', diesInBody(10, 4, 'close')],
    ['by RST within a length', diesInBody(10, 4, 'reset')],
    ['by FIN within chunks', diesInChunks(['abcd'], 'close')],
    ['by RST within chunks', diesInChunks(['abcd'], 'reset')],
    ['with a bad chunk size', speaks('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nzz\r\n')],
  ])('%s are an error at the visitor, never a clean end', async (_what, answer) => {
    scene.script = answer;
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get());
    const head = await readAnswerHead(visitor);
    // Either the failure came before anything was sent on, or the body is visibly short.
    if (head.status === 502) return;
    expect(head.status).toBe(200);
    await visitor.untilEnded();
    const body = visitor.take().toString('latin1');
    expect(body.endsWith('0\r\n\r\n')).toBe(false);
    expect(body.length).toBeLessThan(10);
  });

  it('in the request reach the origin as an error too', async () => {
    const over = Promise.withResolvers<boolean>();
    scene.script = async ({ wire }) => {
      await wire.untilEnded();
      over.resolve(wire.take().toString().endsWith('0\r\n\r\n'));
      await wire.close();
    };
    const arrived = scene.origin.nextRequest();
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(
      `POST / HTTP/1.1\r\nHost: ${scene.stage.host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`,
    );
    await arrived;
    await visitor.close();
    expect(await over.promise).toBe(false);
  });

  it('at once after the whole answer are no error, a thousand times', async () => {
    scene.script = answersAndCloses('all of it');
    const ask = async (): Promise<void> => {
      await using visitor = await connectVisitor(scene.stage.url);
      for (let i = 0; i < 100; i++) {
        await visitor.send(get());
        const answer = await readAnswer(visitor);
        if (answer.status !== 200 || answer.body.toString() !== 'all of it')
          throw new Error(`${answer.status} ${answer.body.toString()}`);
      }
    };
    await Promise.all(Array.from({ length: 10 }, ask));
  });
});

describe('origins that speak nonsense', () => {
  it.each([
    ['another protocol', '220 mail.example ESMTP\r\n', 'ORIGIN_BAD_RESPONSE'],
    ['a TLS alert', '\x15\x03\x01\x00\x02\x02\x46', 'ORIGIN_BAD_RESPONSE'],
    ['a wrong version', 'HTTP/3.7 200 OK\r\n\r\n', 'ORIGIN_BAD_RESPONSE'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 'ORIGIN_BAD_RESPONSE'],
    [
      'both framings',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'ORIGIN_BAD_RESPONSE',
    ],
    [
      'a 101 nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      'ORIGIN_BAD_RESPONSE',
    ],
    ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(300_000)}`, 'ORIGIN_HEAD_TOO_LARGE'],
  ])('%s becomes 502 with its code', async (_what, bytes, code) => {
    scene.script = speaks(Buffer.from(bytes, 'latin1'));
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get());
    const answer = await readAnswer(visitor);
    expect([answer.status, answer.field('porthole-error')]).toEqual([502, code]);
    await visitor.close();
    scene.script = async ({ wire }) => wire.send(plainAnswer('fine'));
    await using next = await connectVisitor(scene.stage.url);
    await next.send(get());
    expect((await readAnswer(next)).body.toString()).toBe('fine');
  });

  it('an origin that closes without a word becomes 502 ORIGIN_CLOSED', async () => {
    scene.script = closesAtOnce;
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get());
    const answer = await readAnswer(visitor);
    expect([answer.status, answer.field('porthole-error')]).toEqual([502, 'ORIGIN_CLOSED']);
  });

  it('bytes behind an answer never become the next one', async () => {
    scene.script = speaks(`${plainAnswer('mine')}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen`, {
      keepOpen: true,
    });
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(get());
    expect((await readAnswer(visitor)).body.toString()).toBe('mine');
    scene.script = async ({ wire }) => wire.send(plainAnswer('second'));
    await visitor.send(get());
    expect((await readAnswer(visitor)).body.toString()).toBe('second');
  });

  it('HEAD of a length keeps the length and the connection', async () => {
    scene.script = async ({ wire }) => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n');
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(`HEAD / HTTP/1.1\r\nHost: ${scene.stage.host}\r\n\r\n`);
    expect((await readAnswerHead(visitor)).field('content-length')).toBe('123456');
    scene.script = async ({ wire }) => wire.send(plainAnswer('next'));
    await visitor.send(get());
    expect((await readAnswer(visitor)).body.toString()).toBe('next');
  });
});
