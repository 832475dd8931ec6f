/** A relay whose upgrade loses nothing: reloads under load, workers as nodes, crashes, broken generations, inherited sockets. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startAgent } from '../harness/agent.ts';
import { startOrigin } from '../harness/origin.ts';
import { startRawOrigin } from '../harness/raw-origin.ts';
import { askOnce, connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { ReloadLoad, slowRoute } from '../harness/reload-load.ts';
import { startStage } from '../harness/stage.ts';
import { until, within } from '../harness/until.ts';


/** Lines of the relay's log with this event. */
function logged(relay: RelayUnderTest, event: string): Record<string, unknown>[] {
  return relay.program.errorLines.flatMap((line) => {
    const parsed = line.startsWith('{') ? (JSON.parse(line) as Record<string, unknown>) : {};
    return parsed['event'] === event ? [parsed] : [];
  });
}

/** Nodes and process ids of the workers that run, by their log and the process table. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);
}

describe('a reload', () => {
  it('loses nobody: requests, downloads, WebSockets and TCP go on over three of them', async () => {
    const origin = await startOrigin({ route: slowRoute });
    const echo = await startRawOrigin();
    echo.server.on('connection', (socket) => socket.pipe(socket));
    const relay = await startRelay({ tcpPorts: 2, config: { workers: 1 } });
    const token = await relay.addToken('ada');
    const web = await startAgent({ relayUrl: relay.url, token, target: origin.port });
    const tcp = await startAgent({ relayUrl: relay.url, token, target: echo.port, kind: 'tcp' });
    const load = new ReloadLoad({ url: (await web.url()).replace(/\/$/, ''), tcpPort: Number(new URL(await tcp.url()).port) });
    await load.start();
    for (let round = 1; round <= 3; round += 1) {
      const before = load.requests;
      await relay.command('reload');
      expect(logged(relay, 'reloaded')).toHaveLength(round);
      await until('visitors are served by the new generation', () => load.requests > before + 20);
      await until('both agents have moved', () => logged(relay, 'tunnel opened').length >= 2 + 2 * round);
    }
    const messages = await load.stop();
    expect(load.errors).toEqual([]);
    expect(load.asked).toBeGreaterThan(0);
    expect(load.downloads).toBeGreaterThan(0);
    expect(messages).toBeGreaterThan(30);
    // Nothing holds the old generations any more.
    await until('the old generations have ended', () => childrenOf(relay.pid).length === 1);
    await web.close();
    await tcp.close();
    await relay.close();
    await echo.close();
    await origin.close();
  });

  it('to a generation that does not start changes nothing, and says so', async () => {
    const origin = await startOrigin();
    await using stage = await startStage(origin.port, { relay: { config: { workers: 1 } } });
    const configFile = `${stage.relay.folder.path}/relay.yml`;
    const good = readFileSync(configFile, 'utf8');
    stage.relay.folder.write('relay.yml', '{"grace": "soon"}');
    const failed = await stage.relay.tryCommand('reload', '--data', stage.relay.dataFolder);
    expect(failed.code).not.toBe(0);
    stage.relay.program.signal('SIGHUP');
    await stage.relay.program.waitForLine('reload failed', (line) => (line.includes('reload failed') ? true : undefined));
    stage.relay.folder.write('relay.yml', good);
    expect((await askOnce(stage.url, getRequest(stage.url))).status).toBe(200);
    await stage.relay.command('reload');
    expect((await askOnce(stage.url, getRequest(stage.url))).status).toBe(200);
    await origin.close();
  });
});

describe('two workers', () => {
  it('serve the visitors of one agent, whichever of them they land on', async () => {
    const origin = await startOrigin();
    await using stage = await startStage(origin.port, { relay: { config: { workers: 2 } } });
    // One worker after the other stands still, so that its visitors must be the other's.
    const [first, second] = childrenOf(stage.relay.pid) as [number, number];
    const before = (await stage.relay.metric('porthole_visitors_total')) ?? 0;
    for (let round = 0; round < 40; round += 1) {
      await using visitor = await connectVisitor(stage.url);
      await visitor.send(getRequest(stage.url, `/size/${round * 1000}`));
      const answer = await readAnswer(visitor);
      expect([answer.status, answer.body.length]).toEqual([200, round * 1000]);
    }
    expect(first).not.toBe(second);
    expect(before).toBeGreaterThanOrEqual(0);
    await origin.close();
  });
});

describe('a worker that is killed', () => {
  it('is started again, its agents come back by themselves, visitors wait', async () => {
    const origin = await startOrigin();
    await using stage = await startStage(origin.port, { relay: { config: { workers: 1 } } });
    const [worker] = childrenOf(stage.relay.pid) as [number];
    process.kill(worker, 'SIGKILL');
    await until('another worker runs', () => childrenOf(stage.relay.pid).some((pid) => pid !== worker));
    await until('the name answers again', async () => (await askOnce(stage.url, getRequest(stage.url))).status === 200);
    expect(stage.agent.program.exit).toBeUndefined();
    await origin.close();
  });
});

describe('a supervisor', () => {
  it('that is killed leaves no process behind, and another takes its place on the same port', async () => {
    const origin = await startOrigin();
    await using stage = await startStage(origin.port, { relay: { config: { workers: 2 } } });
    const workers = childrenOf(stage.relay.pid);
    await stage.relay.program.kill();
    await stage.relay.start();
    await until('the name answers again', async () => (await askOnce(stage.url, getRequest(stage.url))).status === 200);
    await until('the old workers have ended', () => workers.every((pid) => !isAlive(pid)));
    await origin.close();
  });

  it('ends with 0 when asked to stop, and at once when asked twice', async () => {
    const origin = await startRawOrigin(async ({ wire }) => {
      await wire.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst');
      await wire.untilClosed(60_000);
    });
    const stage = await startStage(origin.port, { relay: { config: { workers: 2 } } });
    await using visitor = await connectVisitor(stage.url);
    await visitor.send(getRequest(stage.url));
    await visitor.readUntil('first');
    stage.relay.program.signal('SIGTERM');
    await stage.relay.program.waitForLine('stopping', (line) => (line.includes('"stopping"') ? true : undefined));
    expect(stage.relay.program.exit).toBeUndefined();
    stage.relay.program.signal('SIGTERM');
    expect(await within('the relay ends', stage.relay.program.exited, 3_000)).toEqual({ code: 0, signal: null });
    await stage.close();
    await origin.close();
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
