/** A relay whose upgrade loses nothing: reloads under load, workers as nodes, crashes, broken generations, inherited sockets. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { startAgent } from '../harness/agent.ts';
import { startOrigin } from '../harness/origin.ts';
import { startRawOrigin } from '../harness/raw-origin.ts';
import { dialCarrier, HEAD, OPEN } from '../harness/raw-carrier.ts';
import { askOnce, connectVisitor, getRequest, readAnswer } from '../harness/raw-visitor.ts';
import { FROM_SOURCE, type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { ReloadLoad, slowRoute } from '../harness/reload-load.ts';
import { startStage } from '../harness/stage.ts';
import { tempFolder } from '../harness/temp-folder.ts';
import { visitWebSocket } from '../harness/visits.ts';
import { bindSocket } from '../../packages/relay/src/supervisor/bound-socket.ts';
import { staysTrue, until, within } from '../harness/until.ts';

const RELAY_BIN = fileURLToPath(new URL('../../packages/relay/bin/porthole-relay.mjs', import.meta.url));

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
    const load = new ReloadLoad({
      url: (await web.url()).replace(/\/$/, ''),
      tcpPort: Number(new URL(await tcp.url()).port),
    });
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
    await stage.relay.program.waitForLine('reload failed', (line) =>
      line.includes('reload failed') ? true : undefined,
    );
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
    await using stage = await startStage(origin.port, { relay: { config: { workers: 2 }, tcpPorts: 1 } });
    const { relay, token } = stage;
    const args = ['--remote-port', String(relay.ports?.first)];
    await using byPort = await startAgent({ relayUrl: relay.url, token, target: origin.port, args });
    const portUrl = await byPort.url();
    const visits = Array.from({ length: 60 }, async (_, round) => {
      const url = round % 2 === 0 ? stage.url : portUrl;
      await using visitor = await connectVisitor(url);
      await visitor.send(getRequest(url, `/size/${round * 1000}`));
      const answer = await readAnswer(visitor);
      expect([answer.status, answer.body.length]).toEqual([200, round * 1000]);
    });
    await Promise.all(visits);
    // Agents and visitors are of one relay, whichever process has them.
    expect(await stage.relay.metric('porthole_exchanges_total')).toBe(60);
    expect(await stage.relay.metric('porthole_sessions')).toBe(2);
    await origin.close();
  });

  it('pass a resume on to the one that has the session', async () => {
    const origin = await startOrigin();
    await using stage = await startStage(origin.port, { cutter: true, relay: { config: { workers: 2 } } });
    const visit = await visitWebSocket(stage.url);
    for (let cuts = 0; logged(stage.relay, 'carrier passed on').length === 0; cuts += 1) {
      expect(cuts).toBeLessThan(40);
      const { count } = visit;
      stage.cutter?.cut();
      await visit.untilCount(count + 10);
    }
    expect(logged(stage.relay, 'session opened')).toHaveLength(1);
    await visit.stop();
    await origin.close();
  });
});

describe('a session of the old generation', () => {
  it('is resumed there when its carrier is cut after the reload', async () => {
    const origin = await startOrigin();
    await using stage = await startStage(origin.port, { cutter: true, relay: { config: { workers: 1 } } });
    const visit = await visitWebSocket(stage.url);
    await stage.relay.command('reload');
    await until('the agent has moved', () => logged(stage.relay, 'tunnel opened').length === 2);
    for (let cuts = 0; cuts < 3; cuts += 1) {
      const { count } = visit;
      stage.cutter?.cut();
      await visit.untilCount(count + 10);
    }
    expect(logged(stage.relay, 'carrier passed on').length).toBeGreaterThan(0);
    expect((await askOnce(stage.url, getRequest(stage.url))).status).toBe(200);
    await visit.stop();
    await until('the old generation has ended', () => childrenOf(stage.relay.pid).length === 1);
    await origin.close();
  });

  it('finishes what is under way when the agent stops before it has left', async () => {
    const gate = Promise.withResolvers<void>();
    const origin = await startRawOrigin(async ({ wire }) => {
      await wire.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst');
      await gate.promise;
      await wire.send('last');
    });
    await using stage = await startStage(origin.port, { relay: { config: { workers: 1 } } });
    await using visitor = await connectVisitor(stage.url);
    await visitor.send(getRequest(stage.url));
    await visitor.readUntil('first');
    await stage.relay.command('reload');
    await until('the agent has a new session', () => logged(stage.relay, 'session opened').length === 2);
    stage.agent.program.signal('SIGTERM');
    await staysTrue('the agent waits for the exchange', () => stage.agent.program.exit === undefined, 300);
    gate.resolve();
    await visitor.readUntil('last');
    expect((await within('the agent ends', stage.agent.program.exited)).code).toBe(0);
    await origin.close();
  });

  it('tells WebSockets to come back when the drain time is over', async () => {
    const origin = await startOrigin();
    await using stage = await startStage(origin.port, { relay: { config: { workers: 1, reload_drain: '1s' } } });
    const visit = await visitWebSocket(stage.url);
    await stage.relay.command('reload');
    await expect(visit.over).rejects.toThrow('1012');
    await until('the old generation has ended', () => childrenOf(stage.relay.pid).length === 1);
    expect((await askOnce(stage.url, getRequest(stage.url))).status).toBe(200);
    await origin.close();
  });
});

describe('a WebSocket of the new generation whose agent has not left the old one', () => {
  it('is told to come back when the old one ends', async () => {
    await using relay = await startRelay({ config: { workers: 1, reload_drain: '200ms' } });
    // An agent by hand, which does not hear that it is to move.
    await using stubborn = await dialCarrier(relay.port);
    await stubborn.logIn(await relay.addToken('ada'));
    const url = (await stubborn.claim('stubborn')).replace(/\/$/, '');
    const reloaded = relay.command('reload');
    await relay.program.waitForLine('draining', (line) => (line.includes('"draining"') ? true : undefined));
    await using visitor = await connectVisitor(url);
    await visitor.send(
      `GET / HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
    const { stream } = await stubborn.nextOf(OPEN);
    await stubborn.send(HEAD, '101\0Switching Protocols\0Connection: Upgrade\r\nUpgrade: websocket\r\n', stream);
    await visitor.readUntil('\r\n\r\n');
    expect([...(await visitor.readToEnd())]).toEqual([0x88, 2, 1012 >> 8, 1012 & 0xff]);
    await reloaded;
  });
});

describe('a socket bound by systemd', () => {
  it('is used instead of binding one, and outlives the relay', async () => {
    const folder = tempFolder();
    const socket = await bindSocket(0, '127.0.0.1');
    const start = (): ChildProcess =>
      spawn(
        'sh',
        [
          '-c',
          'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"',
          'sh',
          process.execPath,
          FROM_SOURCE,
          RELAY_BIN,
          'serve',
          '--data',
          `${folder.path}/data`,
          '--http',
          '127.0.0.1:1',
          '--admin',
          'off',
        ],
        {
          stdio: ['ignore', 'ignore', 'pipe', socket.fd],
        },
      );
    const first = start();
    const port = await listeningPort(first);
    expect(port).toBeGreaterThan(1);
    expect(
      (await askOnce(`http://nobody.localhost:${port}`, getRequest(`http://nobody.localhost:${port}`))).status,
    ).toBe(404);
    first.kill('SIGTERM');
    await once(first, 'exit');
    // Nobody accepts, and nobody is refused: the next relay answers.
    const waiting = await connectVisitor(port);
    await waiting.send(getRequest(`http://nobody.localhost:${port}`));
    const second = start();
    expect((await readAnswer(waiting)).status).toBe(404);
    expect(await listeningPort(second)).toBe(port);
    await waiting.close();
    second.kill('SIGTERM');
    await once(second, 'exit');
    socket.close();
    folder.remove();
  });
});

async function listeningPort(relay: ChildProcess): Promise<number> {
  for await (const line of createInterface({ input: relay.stderr as Readable })) {
    const { event, http } = JSON.parse(line) as Record<string, string>;
    if (event === 'listening') return Number(http?.split(':').at(-1));
  }
  throw new Error('the relay ended before it listened');
}

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

  it('is the only one on its data: a second does not start, and the first can still be reloaded', async () => {
    await using relay = await startRelay({ config: { workers: 1 } });
    const second = await relay.tryCommand('serve', '--http', '127.0.0.1:0');
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(
      `Another relay runs on this data folder. (${relay.dataFolder}: process ${relay.pid}`,
    );
    await relay.command('reload');
    await relay.program.close();
    expect(existsSync(`${relay.dataFolder}/relay.pid`)).toBe(false);
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
