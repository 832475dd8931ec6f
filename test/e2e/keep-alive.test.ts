/** The keep-alive race: an origin that closes idle connections at the worst moment costs no request, and no POST runs twice. */
import { describe, expect, it } from 'vitest';
import { startOrigin } from '../harness/origin.ts';
import { plainAnswer, readRequestBody, startRawOrigin } from '../harness/raw-origin.ts';
import { connectVisitor, getRequest, postRequest, readAnswer } from '../harness/raw-visitor.ts';
import { startStage } from '../harness/stage.ts';

// Each test has a stage of its own, and is idle for most of its time: they run at once.
describe.concurrent('connections kept to the origin', () => {
  it.each([5, 20, 100])(
    'that end after %i ms of idleness give no 502, with requests timed at the edge',
    async (keepAliveTimeoutMs) => {
      await using origin = await startOrigin({ keepAliveTimeoutMs });
      await using stage = await startStage(origin.port);
      await using visitor = await connectVisitor(stage.url);
      const rounds = keepAliveTimeoutMs === 100 ? 20 : 150;
      for (let i = 0; i < rounds; i++) {
        await visitor.send(
          i % 3 === 0 ? postRequest(stage.url, `/echo?${i}`, 'body') : getRequest(stage.url, `/size/3?${i}`),
        );
        const answer = await readAnswer(visitor);
        expect([i, answer.status]).toEqual([i, 200]);
        // Timed at the edge: this is the subject of the test, not a way to wait for anything.
        await new Promise((resolve) => setTimeout(resolve, keepAliveTimeoutMs - 2 + (i % 5)));
      }
      const counts = new Map<string, number>();
      for (const line of origin.seen.filter((seen) => seen.startsWith('POST')))
        counts.set(line, (counts.get(line) ?? 0) + 1);
      expect([...counts.values()].every((count) => count === 1)).toBe(true);
    },
  );

  it('that die under a GET are replaced once: the request runs again on a fresh one', async () => {
    let deaths = 0;
    await using origin = await startRawOrigin(async ({ wire, index }) => {
      // The second request on any connection kills it.
      if (index > 0) {
        deaths++;
        wire.reset();
        return;
      }
      await wire.send(plainAnswer());
    });
    await using stage = await startStage(origin.port);
    await using visitor = await connectVisitor(stage.url);
    for (let i = 0; i < 20; i++) {
      await visitor.send(getRequest(stage.url, `/${i}`));
      expect((await readAnswer(visitor)).status).toBe(200);
    }
    expect(deaths).toBeGreaterThan(0);
  });

  it('that die under a POST whose body has gone out give 502: it never runs twice', async () => {
    const runs: string[] = [];
    await using origin = await startRawOrigin(async (request) => {
      if (request.line.startsWith('POST')) {
        await readRequestBody(request);
        runs.push(request.line);
        if (request.index > 0) return request.wire.reset();
      }
      await request.wire.send(plainAnswer());
    });
    await using stage = await startStage(origin.port);
    await using visitor = await connectVisitor(stage.url);
    for (let i = 0; i < 20; i++) {
      await visitor.send(getRequest(stage.url, '/warm-up'));
      await readAnswer(visitor);
      await visitor.send(postRequest(stage.url, `/${i}`, 'pay once'));
      expect([200, 502]).toContain((await readAnswer(visitor)).status);
    }
    expect(new Set(runs).size).toBe(runs.length);
  });

  it('are kept: a hundred requests in a row need few', async () => {
    await using origin = await startOrigin();
    await using stage = await startStage(origin.port);
    await using visitor = await connectVisitor(stage.url);
    for (let i = 0; i < 100; i++) {
      await visitor.send(getRequest(stage.url, '/size/3'));
      expect((await readAnswer(visitor)).status).toBe(200);
    }
    expect(origin.accepted).toBeLessThan(5);
  });
});
