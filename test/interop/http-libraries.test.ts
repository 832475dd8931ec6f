/** undici, axios and fetch as visitors: keep-alive pools, streams, aborts, compressed answers. */
import { gzipSync } from 'node:zlib';
import { Agent as HttpAgent } from 'node:http';
import axios from 'axios';
import { Agent, fetch, Pool } from 'undici';
import { describe, expect, it } from 'vitest';
import { startOrigin } from '../harness/origin.ts';
import { patternSlice } from '../harness/random.ts';
import { everythingIsHere } from '../harness/stage.ts';
import { within } from '../harness/until.ts';
import { sceneOfFile } from '../harness/scene.ts';

const scene = sceneOfFile(() =>
  startOrigin({
    route: (_request, response, url) => {
      if (url.pathname !== '/gzip') return false;
      response
        .writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'application/json' })
        .end(gzipSync('{"zipped":true}'));
      return true;
    },
  }),
);

describe('undici', () => {
  it('keeps a pool of connections busy with a thousand requests', async () => {
    const pool = new Pool(scene.stage.url, { connections: 20, connect: { lookup: everythingIsHere } });
    const sizes = Array.from({ length: 1000 }, (_unused, i) => (i * 131) % 20_000);
    const lengths = await Promise.all(
      sizes.map(
        async (size) =>
          (await (await pool.request({ path: `/size/${size}`, method: 'GET' })).body.arrayBuffer()).byteLength,
      ),
    );
    expect(lengths).toEqual(sizes);
    await pool.close();
  });

  it('pipelines', async () => {
    const pool = new Pool(scene.stage.url, { connections: 2, pipelining: 10, connect: { lookup: everythingIsHere } });
    const bodies = await Promise.all(
      Array.from({ length: 100 }, async (_unused, i) =>
        (await pool.request({ path: `/what/${i}`, method: 'GET' })).body.text(),
      ),
    );
    expect(bodies).toEqual(Array.from({ length: 100 }, (_unused, i) => `you asked for /what/${i}\n`));
    await pool.close();
  });

  it('reads trailers', async () => {
    const pool = new Pool(scene.stage.url, { connect: { lookup: everythingIsHere } });
    const { body, trailers } = await pool.request({ path: '/trailers', method: 'GET' });
    await body.text();
    expect(trailers).toMatchObject({ 'x-sum': '42', 'grpc-status': '0' });
    await pool.close();
  });
});

describe('fetch', () => {
  const dispatcher = (): Agent => new Agent({ connect: { lookup: everythingIsHere } });

  it('uploads a stream, follows redirects, unpacks gzip', async () => {
    const visitors = dispatcher();
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 50; i++) yield patternSlice(i * 1000, 1000);
    }
    const up = await fetch(`${scene.stage.url}/hash`, {
      dispatcher: visitors,
      method: 'POST',
      body: pieces(),
      duplex: 'half',
    });
    expect(await up.json()).toMatchObject({ length: 50_000 });
    const moved = await fetch(`${scene.stage.url}/redirect?to=/size/5`, { dispatcher: visitors });
    expect((await moved.arrayBuffer()).byteLength).toBe(5);
    expect(await (await fetch(`${scene.stage.url}/gzip`, { dispatcher: visitors })).json()).toEqual({ zipped: true });
    await visitors.close();
  });

  it('that is aborted is noticed by the origin', async () => {
    const visitors = dispatcher();
    const stop = new AbortController();
    const answer = await fetch(`${scene.stage.url}/size/1000000000`, { dispatcher: visitors, signal: stop.signal });
    const before = scene.origin.abandoned;
    stop.abort();
    await expect(answer.arrayBuffer()).rejects.toThrow();
    await within(
      'the origin notices',
      scene.origin.whenever(() => scene.origin.abandoned === before + 1),
    );
    await visitors.destroy();
  });
});

describe('axios', () => {
  it('sends JSON and forms, unpacks gzip, and reports errors by status', async () => {
    const httpAgent = new HttpAgent({ keepAlive: true, lookup: everythingIsHere });
    const visitor = axios.create({ baseURL: scene.stage.url, httpAgent, proxy: false });
    expect((await visitor.post('/echo', { a: ['b', 'ä'] })).data).toEqual({ a: ['b', 'ä'] });
    expect((await visitor.get('/gzip')).data).toEqual({ zipped: true });
    const form = new FormData();
    form.append('file', new Blob([new Uint8Array(patternSlice(0, 10_000))]), 'a.bin');
    expect((await visitor.post('/hash', form)).data.length).toBeGreaterThan(10_000);
    await expect(visitor.get('/status/418')).rejects.toMatchObject({ response: { status: 418 } });
    httpAgent.destroy();
  });
});
