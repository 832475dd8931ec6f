/** Stopping: what is under way finishes, WebSockets are told, new requests are refused only when nobody else takes them. */
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startAgent } from '../harness/agent.ts';
import { startOrigin } from '../harness/origin.ts';
import { plainAnswer, startRawOrigin } from '../harness/raw-origin.ts';
import { askOnce, connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import { everythingIsHere, startStage } from '../harness/stage.ts';
import { staysTrue, until, within } from '../harness/until.ts';
import { download, expectWhole } from '../harness/visits.ts';

const MIB = 1024 * 1024;

/** A stage whose origin answers only when told. */
async function heldStage() {
  const release = Promise.withResolvers<void>();
  const origin = await startRawOrigin(async ({ wire }) => {
    await wire.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst');
    await release.promise;
    await wire.send('last');
  });
  const stage = await startStage(origin.port, { relay: { config: { drain: '8s' } } });
  return {
    origin,
    stage,
    release: release.resolve,
    [Symbol.asyncDispose]: async () => {
      release.resolve();
      await stage.close();
      await origin.close();
    },
  };
}

describe('SIGTERM to the relay', () => {
  it('lets an exchange under way finish, takes no new ones, and ends with 0', async () => {
    await using scene = await heldStage();
    const { stage } = scene;
    await using visitor = await connectVisitor(stage.url);
    await visitor.send(getRequest(stage.url));
    await visitor.readUntil('first');
    stage.relay.program.signal('SIGTERM');
    await until('the door is closed, or says 503', async () => {
      try {
        return (
          (await askOnce(stage.url, getRequest(stage.url), { deadlineMs: 2_000 })).field('retry-after') !== undefined
        );
      } catch {
        return true;
      }
    });
    expect(stage.relay.program.exit).toBeUndefined();
    scene.release();
    await visitor.readUntil('last');
    await visitor.untilEnded();
    visitor.end();
    expect(await within('the relay ends', stage.relay.program.exited)).toEqual({ code: 0, signal: null });
    expect(stage.agent.program.exit).toBeUndefined();
  });

  it('ends at once when nothing is under way, idle connections of visitors included', async () => {
    const origin = await startOrigin();
    const stage = await startStage(origin.port);
    await using visitor = await connectVisitor(stage.url);
    await visitor.send(getRequest(stage.url));
    await readAnswer(visitor);
    const start = performance.now();
    stage.relay.program.signal('SIGTERM');
    await visitor.untilEnded();
    visitor.end();
    expect((await within('the relay ends', stage.relay.program.exited)).code).toBe(0);
    expect(performance.now() - start).toBeLessThan(3_000);
    await stage.close();
    await origin.close();
  });

  it('tells WebSockets with 1012 that the service restarts', async () => {
    const origin = await startOrigin();
    const stage = await startStage(origin.port, { relay: { config: { drain: '1s' } } });
    const socket = new WebSocket(`${stage.url.replace('http', 'ws')}/s`, { lookup: everythingIsHere });
    await once(socket, 'open');
    const closed = once(socket, 'close');
    stage.relay.program.signal('SIGTERM');
    const [code] = (await within('the WebSocket ends', closed, 15_000)) as [number];
    expect(code).toBe(1012);
    await within('the relay ends', stage.relay.program.exited, 5_000);
    await stage.close();
    await origin.close();
  });

  it('cuts what does not finish inside the drain time', async () => {
    const origin = await startRawOrigin(async ({ wire }) => {
      await wire.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst');
      await wire.untilClosed(60_000);
    });
    const stage = await startStage(origin.port, { relay: { config: { drain: '1s' } } });
    await using visitor = await connectVisitor(stage.url);
    await visitor.send(getRequest(stage.url));
    await visitor.readUntil('first');
    const start = performance.now();
    stage.relay.program.signal('SIGTERM');
    await within('the relay ends', stage.relay.program.exited);
    expect(performance.now() - start).toBeGreaterThan(800);
    expect(performance.now() - start).toBeLessThan(5_000);
    await visitor.untilEnded();
    await stage.close();
    await origin.close();
  });

  it('a second SIGTERM or Ctrl-C ends it now', async () => {
    await using scene = await heldStage();
    await using visitor = await connectVisitor(scene.stage.url);
    await visitor.send(getRequest(scene.stage.url));
    await visitor.readUntil('first');
    scene.stage.relay.program.signal('SIGTERM');
    await scene.stage.relay.program.waitForLine('draining', (line) =>
      /drain|stopping/i.test(line) ? true : undefined,
    );
    scene.stage.relay.program.signal('SIGINT');
    await within('the relay ends', scene.stage.relay.program.exited, 3_000);
  });
});

describe('SIGTERM to the agent', () => {
  it('lets an exchange under way finish, ends with 0 and frees the name at once', async () => {
    await using scene = await heldStage();
    const { stage } = scene;
    await using visitor = await connectVisitor(stage.url);
    await visitor.send(getRequest(stage.url));
    await visitor.readUntil('first');
    stage.agent.program.signal('SIGTERM');
    await staysTrue('the agent waits for the exchange', () => stage.agent.program.exit === undefined, 300);
    scene.release();
    await visitor.readUntil('last');
    expect(await within('the agent ends', stage.agent.program.exited)).toEqual({ code: 0, signal: null });
    expect((await askOnce(stage.url, getRequest(stage.url))).status).toBe(404);
  });

  it('finishes a download that is under way', async () => {
    const origin = await startOrigin();
    const stage = await startStage(origin.port);
    const started = Promise.withResolvers<void>();
    const transfer = download(stage.url, `/size/${128 * MIB}`, { progress: () => started.resolve() });
    await started.promise;
    stage.agent.program.signal('SIGINT');
    expectWhole(await transfer, 128 * MIB);
    expect((await within('the agent ends', stage.agent.program.exited)).code).toBe(0);
    await stage.close();
    await origin.close();
  });
});

describe('a pool', () => {
  it('goes on with the others when one agent stops under load', async () => {
    const origin = await startRawOrigin(async ({ wire }) => wire.send(plainAnswer()));
    const stage = await startStage(origin.port, { agent: { name: 'shared', args: ['--pool'] } });
    await using second = await startAgent({
      relayUrl: stage.relay.url,
      token: stage.token,
      target: origin.port,
      name: 'shared',
      args: ['--pool'],
    });
    let failures = 0;
    let stop = false;
    const load = async (): Promise<void> => {
      await using visitor = await connectVisitor(stage.url);
      while (!stop) {
        await visitor.send(getRequest(stage.url));
        if ((await readAnswer(visitor)).status !== 200) failures++;
      }
    };
    const running = Array.from({ length: 8 }, load);
    stage.agent.program.signal('SIGTERM');
    await stage.agent.program.exited;
    stop = true;
    await Promise.all(running);
    expect(failures).toBe(0);
    expect(second.program.exit).toBeUndefined();
    await stage.close();
    await origin.close();
  });
});
