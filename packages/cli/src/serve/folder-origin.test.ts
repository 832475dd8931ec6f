/** The folder origin against a real folder on disk, through a stream that records what was sent. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeResponse, type ErrorCode, type ExchangeRequest, type Stream, type StreamSink } from '@porthole/agent';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withoutPrivileges } from '../../../../test/harness/other-user.ts';
import { FolderOrigin, type FolderOriginOptions } from './folder-origin.ts';

const MODIFIED = new Date('2024-05-06T07:08:09Z');
const DIGITS = '0123456789';

let top: string;
let root: string;

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'porthole-serve-'));
  root = join(top, 'site');
  mkdirSync(join(root, 'sub', 'deep'), { recursive: true });
  mkdirSync(join(root, 'with index'), { recursive: true });
  mkdirSync(join(root, '.git'));
  mkdirSync(join(root, '%2e%2e'));
  mkdirSync(join(top, 'site-neighbour'));
  const files: [string, string][] = [
    ['ten.txt', DIGITS],
    ['empty.txt', ''],
    ['with index/index.html', '<p>index</p>'],
    ['sub/a10.txt', 'a10'],
    ['sub/a9.txt', 'a9'],
    ['sub/deep/data.json', '{}'],
    ['sub/<b>&"\'.txt', 'odd'],
    ['sub/naïve file.txt', 'unicode'],
    ['100%.txt', 'percent'],
    ['noext', 'bytes'],
    ['.env', 'SECRET=1'],
    ['.git/config', 'secret'],
    ['%2e%2e/inside.txt', 'literal'],
    ['../secret.txt', 'outside'],
    ['../site-neighbour/near.txt', 'outside'],
  ];
  for (const [name, text] of files) writeFileSync(join(root, name), text);
  utimesSync(join(root, 'ten.txt'), MODIFIED, MODIFIED);
  symlinkSync('../secret.txt', join(root, 'link-out.txt'));
  symlinkSync('../site-neighbour', join(root, 'link-folder'));
  symlinkSync('ten.txt', join(root, 'link-in.txt'));
  symlinkSync('.env', join(root, 'link-hidden.txt'));
  symlinkSync('loop-b', join(root, 'loop-a'));
  symlinkSync('loop-a', join(root, 'loop-b'));
  symlinkSync('/etc/passwd', join(root, 'sub', 'passwd'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
  const server = createServer().listen(join(root, 'socket'));
  await once(server, 'listening');
  server.unref();
});

afterAll(() => rmSync(top, { recursive: true, force: true }));

/** A stream that takes `window` bytes before it says stop, and opens again when told. */
class RecordingStream implements Stream {
  heads: string[] = [];
  chunks: Buffer[] = [];
  given = 0;
  resetCode: ErrorCode | undefined;
  sink: StreamSink | undefined;
  pending = 0;
  readonly finished: Promise<void>;
  onFull: () => void = () => setImmediate(() => this.drain());
  readonly #window: number;
  #finish: () => void = () => {};

  constructor(window = Number.POSITIVE_INFINITY) {
    this.#window = window;
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  sendHead(block: string): void {
    this.heads.push(block);
  }
  write(chunk: Buffer): boolean {
    this.chunks.push(chunk);
    this.pending += chunk.length;
    if (this.pending < this.#window) return true;
    this.onFull();
    return false;
  }
  drain(): void {
    this.pending = 0;
    this.sink?.onWritable();
  }
  sendTrailers(): void {}
  end(): void {
    this.#finish();
  }
  reset(code: ErrorCode): void {
    this.resetCode = code;
    this.#finish();
  }
  consumed(bytes: number): void {
    this.given += bytes;
  }
}

function requestFor(method: string, target: string, fields: string[] = []): ExchangeRequest {
  return {
    method,
    target,
    scheme: 'https',
    authority: 'x.example',
    visitorAddress: '192.0.2.1',
    bodiless: true,
    upgrade: false,
    fields,
  };
}

interface Answered {
  status: number;
  field(name: string): string | undefined;
  text: string;
}

async function ask(
  method: string,
  target: string,
  fields: string[] = [],
  options: FolderOriginOptions = {},
): Promise<Answered> {
  const origin = await FolderOrigin.open(root, options);
  const stream = new RecordingStream();
  stream.sink = origin.openExchange(requestFor(method, target, fields), stream);
  await stream.finished;
  expect(stream.resetCode).toBeUndefined();
  expect(stream.heads).toHaveLength(1);
  const head = decodeResponse(stream.heads[0] ?? '');
  const body = Buffer.concat(stream.chunks);
  const field = (name: string): string | undefined => {
    const at = head.fields.findIndex((value, index) => index % 2 === 0 && value.toLowerCase() === name);
    return at === -1 ? undefined : head.fields[at + 1];
  };
  if (method !== 'HEAD' && head.status !== 304) expect(field('content-length')).toBe(String(body.length));
  return { status: head.status, field, text: body.toString() };
}

describe('paths', () => {
  const rows: [string, number, (string | RegExp)?][] = [
    ['/ten.txt', 200, DIGITS],
    ['/ten.txt?x=../..', 200, DIGITS],
    ['/%74en.txt', 200, DIGITS],
    ['/empty.txt', 200, ''],
    ['/100%25.txt', 200, 'percent'],
    ['/sub/na%C3%AFve%20file.txt', 200, 'unicode'],
    ['/sub/na\xc3\xafve%20file.txt', 200, 'unicode'],
    ['/link-in.txt', 200, DIGITS],
    ['/with%20index/', 200, '<p>index</p>'],
    ['/%252e%252e/inside.txt', 200, 'literal'],
    ['/missing', 404],
    ['/ten.txt/', 404],
    ['/ten.txt/more', 404],
    ['/../secret.txt', 404],
    ['/%2e%2e/secret.txt', 404],
    ['/%2E%2E/secret.txt', 404],
    ['/.%2e/secret.txt', 404],
    ['/sub/../../secret.txt', 404],
    ['/sub/../ten.txt', 404],
    ['/..%2fsecret.txt', 404],
    ['/..%5csecret.txt', 404],
    ['/..\\secret.txt', 404],
    ['/sub%2fa9.txt', 404],
    ['/./ten.txt', 404],
    ['//ten.txt', 404],
    ['//etc/passwd', 404],
    ['/%2fetc%2fpasswd', 404],
    ['/..;/secret.txt', 404],
    ['/%c0%ae%c0%ae/secret.txt', 400],
    ['/ten.txt%00.html', 400],
    ['/%', 400],
    ['/%zz', 400],
    ['/\xff', 400],
    ['*', 400],
    ['http://other/ten.txt', 400],
    ['/link-out.txt', 404],
    ['/link-folder/', 404],
    ['/link-folder/near.txt', 404],
    ['/sub/passwd', 404],
    ['/loop-a', 404],
    ['/../site-neighbour/near.txt', 404],
    ['/.env', 404],
    ['/%2eenv', 404],
    ['/.git/config', 404],
    ['/.git/', 404],
    ['/link-hidden.txt', 404],
    ['/pipe', 403],
    ['/socket', 403],
    [`/${'a'.repeat(300)}`, 404],
  ];
  it('are a table worth the name', () => expect(rows.length).toBeGreaterThan(40));
  it.each(rows)('GET %s answers %i', async (target, status, body) => {
    const answer = await ask('GET', target);
    expect(answer.status).toBe(status);
    if (body !== undefined) expect(answer.text).toBe(body);
    expect(answer.text).not.toMatch(/outside|SECRET|root:/);
    if (status >= 400) expect(answer.field('content-type')).toBe('text/plain; charset=utf-8');
  });

  it('serves dotfiles, and links to them, when asked to', async () => {
    expect((await ask('GET', '/.env', [], { dotfiles: true })).text).toBe('SECRET=1');
    expect((await ask('GET', '/link-hidden.txt', [], { dotfiles: true })).status).toBe(200);
    expect((await ask('GET', '/../secret.txt', [], { dotfiles: true })).status).toBe(404);
  });

  it('answers 403 for a file that may not be read', async () => {
    writeFileSync(join(root, 'locked.txt'), 'x');
    chmodSync(join(root, 'locked.txt'), 0);
    chmodSync(top, 0o755);
    await withoutPrivileges(async () => {
      expect((await ask('GET', '/locked.txt')).status).toBe(403);
      expect((await ask('GET', '/ten.txt')).status).toBe(200);
    });
  });
});

describe('methods', () => {
  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND', 'get'])('%s is refused with Allow', async (method) => {
    const answer = await ask(method, '/ten.txt');
    expect([answer.status, answer.field('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('HEAD says what GET would, without a body', async () => {
    const answer = await ask('HEAD', '/ten.txt', ['Range', 'bytes=0-1']);
    expect([answer.status, answer.field('content-length'), answer.text]).toEqual([200, '10', '']);
  });

  it('gives the bytes of a request body back, so that nobody is stuck sending one', async () => {
    const origin = await FolderOrigin.open(root);
    const stream = new RecordingStream();
    origin.openExchange({ ...requestFor('POST', '/'), bodiless: false }, stream).onData(Buffer.alloc(70));
    await stream.finished;
    expect(stream.given).toBe(70);
  });
});

describe('folders', () => {
  const redirects: [string, string][] = [
    ['/sub', '/sub/'],
    ['/with%20index?a=1&b', '/with%20index/?a=1&b'],
    ['/sub/dee%70', '/sub/deep/'],
  ];
  it.each(redirects)('GET %s is sent on to %s', async (target, location) => {
    const answer = await ask('GET', target);
    expect([answer.status, answer.field('location')]).toEqual([301, location]);
  });

  it('are listed, sorted and escaped, without what may not be fetched', async () => {
    const answer = await ask('GET', '/sub/');
    expect(answer.field('content-type')).toBe('text/html; charset=utf-8');
    const names = [...answer.text.matchAll(/<a href="([^"]*)">([^<]*)<\/a>/g)].map(
      (match) => `${match[1]} ${match[2]}`,
    );
    expect(names).toEqual([
      '../ ../',
      './deep/ deep/',
      './%3Cb%3E%26%22&#39;.txt &lt;b&gt;&amp;&quot;&#39;.txt',
      './a9.txt a9.txt',
      './a10.txt a10.txt',
      './na%C3%AFve%20file.txt naïve file.txt',
    ]);
    expect((await ask('GET', '/')).text).not.toMatch(
      /\.env|\.git|link-out|link-folder|link-hidden|loop|pipe|socket|\.\.\//,
    );
  });

  it('are not listed when that is switched off, but their index is served', async () => {
    expect((await ask('GET', '/sub/', [], { listing: false })).status).toBe(404);
    expect((await ask('GET', '/with%20index/', [], { listing: false })).status).toBe(200);
  });

  it('must exist to be served', async () => {
    await expect(FolderOrigin.open(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    await expect(FolderOrigin.open(join(root, 'ten.txt'))).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });
});

describe('ranges', () => {
  const rows: [string, number, string, string?][] = [
    ['bytes=0-1', 206, '01', 'bytes 0-1/10'],
    ['bytes=0-', 206, DIGITS, 'bytes 0-9/10'],
    ['bytes=9-', 206, '9', 'bytes 9-9/10'],
    ['bytes=3-3', 206, '3', 'bytes 3-3/10'],
    ['bytes=5-100', 206, '56789', 'bytes 5-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=-100', 206, DIGITS, 'bytes 0-9/10'],
    ['BYTES=0-0', 206, '0', 'bytes 0-0/10'],
    ['bytes=20-30,4-5', 206, '45', 'bytes 4-5/10'],
    ['bytes=10-', 416, '', 'bytes */10'],
    ['bytes=-0', 416, '', 'bytes */10'],
    ['bytes=99999999999999999999-', 416, '', 'bytes */10'],
    ['bytes=5-4', 200, DIGITS],
    ['bytes=', 200, DIGITS],
    ['bytes=a-b', 200, DIGITS],
    ['bytes=--1', 200, DIGITS],
    ['bytes=-', 200, DIGITS],
    ['lines=0-1', 200, DIGITS],
    ['bytes=0-,0-', 200, DIGITS],
    [`bytes=${Array.from({ length: 17 }, () => '0-0').join(',')}`, 200, DIGITS],
  ];
  it.each(rows)('%s answers %i', async (range, status, body, contentRange) => {
    const answer = await ask('GET', '/ten.txt', ['Range', range]);
    expect([answer.status, answer.field('content-range')]).toEqual([status, contentRange]);
    if (status !== 416) expect(answer.text).toBe(body);
  });

  it('of several parts come as multipart/byteranges', async () => {
    const answer = await ask('GET', '/ten.txt', ['Range', 'bytes=0-1, 4-5, -1']);
    expect(answer.status).toBe(206);
    const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(answer.field('content-type') ?? '')?.[1];
    const part = (range: string, text: string): string =>
      `--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes ${range}/10\r\n\r\n${text}\r\n`;
    expect(answer.text).toBe(`${part('0-1', '01')}${part('4-5', '45')}${part('9-9', '9')}--${boundary}--\r\n`);
  });

  it('of an empty file are ignored', async () => {
    expect((await ask('GET', '/empty.txt', ['Range', 'bytes=0-'])).status).toBe(200);
  });
});

describe('conditions', () => {
  const date = MODIFIED.toUTCString();
  const later = new Date(MODIFIED.getTime() + 5000).toUTCString();
  const earlier = new Date(MODIFIED.getTime() - 5000).toUTCString();
  const rows: [string, string[], number][] = [
    ['the same tag', ['If-None-Match', 'TAG'], 304],
    ['the same tag, weak', ['If-None-Match', 'W/TAG'], 304],
    ['the tag among others', ['If-None-Match', '"x", TAG'], 304],
    ['the tag on a second line', ['If-None-Match', '"x"', 'if-none-match', 'TAG'], 304],
    ['any tag', ['If-None-Match', '*'], 304],
    ['another tag', ['If-None-Match', '"x"'], 200],
    ['another tag beside an old date', ['If-None-Match', '"x"', 'If-Modified-Since', date], 200],
    ['the same date', ['If-Modified-Since', date], 304],
    ['a later date', ['If-Modified-Since', later], 304],
    ['an earlier date', ['If-Modified-Since', earlier], 200],
    ['no date at all', ['If-Modified-Since', '2099'], 200],
    ['a tag that must match and does', ['If-Match', 'TAG'], 200],
    ['a tag that must match, weak', ['If-Match', 'W/TAG'], 412],
    ['a tag that must match and does not', ['If-Match', '"x"'], 412],
    ['unmodified since later', ['If-Unmodified-Since', later], 200],
    ['unmodified since earlier', ['If-Unmodified-Since', earlier], 412],
    ['a range of the same tag', ['Range', 'bytes=0-0', 'If-Range', 'TAG'], 206],
    ['a range of another tag', ['Range', 'bytes=0-0', 'If-Range', '"x"'], 200],
    ['a range of a weak tag', ['Range', 'bytes=0-0', 'If-Range', 'W/TAG'], 200],
    ['a range of the same date', ['Range', 'bytes=0-0', 'If-Range', date], 206],
    ['a range of another date', ['Range', 'bytes=0-0', 'If-Range', later], 200],
  ];
  it.each(rows)('%s', async (_name, fields, status) => {
    const tag = (await ask('HEAD', '/ten.txt')).field('etag') ?? '';
    const answer = await ask(
      'GET',
      '/ten.txt',
      fields.map((value) => value.replace('TAG', tag)),
    );
    expect(answer.status).toBe(status);
    expect(answer.field('etag')).toBe(tag);
    expect(answer.field('last-modified')).toBe(date);
  });

  it('a file that changed has another tag', async () => {
    writeFileSync(join(root, 'changing.txt'), 'aaaa');
    const before = (await ask('HEAD', '/changing.txt')).field('etag');
    writeFileSync(join(root, 'changing.txt'), 'bbbbb');
    expect((await ask('HEAD', '/changing.txt')).field('etag')).not.toBe(before);
  });
});

describe('content types', () => {
  it.each([
    ['/ten.txt', 'text/plain; charset=utf-8'],
    ['/with%20index/', 'text/html; charset=utf-8'],
    ['/sub/deep/data.json', 'application/json'],
    ['/noext', 'application/octet-stream'],
  ])('%s is %s', async (target, type) => expect((await ask('HEAD', target)).field('content-type')).toBe(type));
});

describe('a big file', () => {
  const size = 3 * 1024 * 1024 + 17;
  const bytes = Buffer.alloc(size, 'porthole');
  beforeAll(() => writeFileSync(join(root, 'big.bin'), bytes));

  it('arrives whole through a stream that stops again and again', async () => {
    const origin = await FolderOrigin.open(root);
    const stream = new RecordingStream(64 * 1024);
    stream.sink = origin.openExchange(requestFor('GET', '/big.bin'), stream);
    await stream.finished;
    expect(Buffer.concat(stream.chunks).equals(bytes)).toBe(true);
  });

  it('is not read on while the stream takes nothing, and is let go when the visitor leaves', async () => {
    const origin = await FolderOrigin.open(root);
    const stream = new RecordingStream(1);
    const full = new Promise<void>((resolve) => {
      stream.onFull = resolve;
    });
    const sink = origin.openExchange(requestFor('GET', '/big.bin'), stream);
    await full;
    expect(stream.chunks).toHaveLength(1);
    sink.onReset('CANCELLED', '');
    expect(stream.chunks).toHaveLength(1);
  });

  it('that becomes shorter under way is never a clean end', async () => {
    writeFileSync(join(root, 'shrinking.bin'), bytes);
    const origin = await FolderOrigin.open(root);
    const stream = new RecordingStream(1);
    stream.onFull = () => {
      truncateSync(join(root, 'shrinking.bin'), 10);
      setImmediate(() => stream.drain());
    };
    stream.sink = origin.openExchange(requestFor('GET', '/shrinking.bin'), stream);
    await stream.finished;
    expect(stream.resetCode).toBe('ORIGIN_TRUNCATED');
  });

  it('cannot be had as a raw connection', async () => {
    const origin = await FolderOrigin.open(root);
    const stream = new RecordingStream();
    origin.openRaw({ visitorAddress: '', visitorPort: 0, localAddress: '', localPort: 0 }, stream);
    expect(stream.resetCode).toBe('NOT_SUPPORTED');
  });
});
