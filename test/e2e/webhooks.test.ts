/** Bodies arrive to the byte, so that signatures over them hold; ranges come back as the origin made them. */
import { createHmac, randomBytes } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAgent } from '../harness/agent.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { askOnce, connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import { type Stage, startStage } from '../harness/stage.ts';

const SECRET = 'shared with the sender';

let origin: Origin;
let stage: Stage;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'porthole-ranges-'));
  writeFileSync(join(folder, 'film.bin'), randomBytes(300_000));
  origin = await startOrigin({
    route: (request, response, url) => {
      if (url.pathname !== '/hook') return false;
      const mac = createHmac('sha256', SECRET);
      request.on('data', (chunk: Buffer) => mac.update(chunk));
      request.on('end', () =>
        response.writeHead(mac.digest('hex') === request.headers['x-signature'] ? 204 : 403).end(),
      );
      return true;
    },
  });
  stage = await startStage(origin.port);
});
afterAll(async () => {
  await stage?.close();
  await origin?.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('webhooks', () => {
  it.each(['with a length', 'in odd chunks'])(
    'keep their signature: random binary multipart bodies %s, two per connection',
    async (how) => {
      await using visitor = await connectVisitor(stage.url);
      for (let i = 0; i < 20; i++) {
        const body = Buffer.concat([
          Buffer.from('--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n'),
          randomBytes(1 + i * 3777),
          Buffer.from('\r\n--b--\r\n'),
        ]);
        const signature = createHmac('sha256', SECRET).update(body).digest('hex');
        const head = `POST /hook HTTP/1.1\r\nHost: ${stage.host}\r\nX-Signature: ${signature}\r\nContent-Type: multipart/form-data; boundary=b\r\n`;
        if (how === 'with a length') {
          await visitor.send(Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]));
        } else {
          const chunks: Buffer[] = [];
          for (let at = 0, size = 1; at < body.length; at += size, size = (size * 7) % 4093) {
            const piece = body.subarray(at, at + size);
            chunks.push(
              Buffer.from(`${piece.length.toString(16)}${i % 2 === 0 ? ';ext=1' : ''}\r\n`),
              piece,
              Buffer.from('\r\n'),
            );
          }
          await visitor.send(
            Buffer.concat([
              Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`),
              ...chunks,
              Buffer.from('0\r\n\r\n'),
            ]),
          );
        }
        expect((await readAnswer(visitor)).status).toBe(204);
      }
    },
  );
});

describe('ranges', () => {
  const RANGES = [
    'bytes=0-1',
    'bytes=0-',
    'bytes=-500',
    'bytes=100000-200000',
    'bytes=0-0,-1',
    'bytes=999999-',
    'bytes=x-y',
    'bytes=299999-299999',
  ];

  it.each(RANGES)('%s of a served folder are answered as RFC 9110 says, byte for byte', async (range) => {
    await using agent = await startAgent({
      relayUrl: stage.relay.url,
      token: stage.token,
      kind: 'serve',
      target: folder,
    });
    const url = await agent.url();
    const size = statSync(join(folder, 'film.bin')).size;
    const answer = await askOnce(url, getRequest(url, '/film.bin', `Range: ${range}\r\n`));
    const single = /^bytes=(\d*)-(\d*)$/.exec(range);
    if (range === 'bytes=999999-') {
      expect([answer.status, answer.field('content-range')]).toEqual([416, `bytes */${size}`]);
      return;
    }
    if (single === null) {
      expect([200, 206, 416]).toContain(answer.status);
      return;
    }
    const first = single[1] === '' ? size - Number(single[2]) : Number(single[1]);
    const last = single[1] === '' || single[2] === '' ? size - 1 : Number(single[2]);
    expect([answer.status, answer.field('content-range')]).toEqual([206, `bytes ${first}-${last}/${size}`]);
    const wanted: Buffer[] = [];
    for await (const piece of createReadStream(join(folder, 'film.bin'), { start: first, end: last }))
      wanted.push(piece as Buffer);
    expect(answer.body.equals(Buffer.concat(wanted))).toBe(true);
  });

  it('If-Range, and HEAD, keep to the entity they saw', async () => {
    await using agent = await startAgent({
      relayUrl: stage.relay.url,
      token: stage.token,
      kind: 'serve',
      target: folder,
    });
    const url = await agent.url();
    const head = await askOnce(url, getRequest(url, '/film.bin').replace('GET', 'HEAD'), { method: 'HEAD' });
    expect([head.status, head.field('content-length'), head.field('accept-ranges')]).toEqual([200, '300000', 'bytes']);
    const etag = head.field('etag') ?? '';
    const modified = head.field('last-modified') ?? '';
    const same = await askOnce(
      url,
      getRequest(url, '/film.bin', `Range: bytes=0-9\r\nIf-Range: ${etag.startsWith('W/') ? modified : etag}\r\n`),
    );
    expect([200, 206]).toContain(same.status);
    const changed = await askOnce(url, getRequest(url, '/film.bin', 'Range: bytes=0-9\r\nIf-Range: "other"\r\n'));
    expect([changed.status, changed.body.length]).toEqual([200, 300_000]);
    const fresh = await askOnce(url, getRequest(url, '/film.bin', `If-None-Match: ${etag}\r\n`));
    expect(fresh.status).toBe(304);
  });

  it('nothing outside the folder is served', async () => {
    await using agent = await startAgent({
      relayUrl: stage.relay.url,
      token: stage.token,
      kind: 'serve',
      target: folder,
    });
    const url = await agent.url();
    for (const path of [
      '/../etc/passwd',
      '/%2e%2e/etc/passwd',
      '/..%2fetc/passwd',
      '//etc/passwd',
      '/%00',
      '/film.bin/..%5c..%5cetc',
    ]) {
      const answer = await askOnce(url, getRequest(url, path));
      expect(answer.body.toString()).not.toContain('root:');
      expect(answer.status).not.toBe(500);
    }
  });
});
