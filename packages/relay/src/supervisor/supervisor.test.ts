import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SILENT_LOG } from '../observe/log.ts';
import type { FromWorker, PublicRole, StartedProcess, ToWorker } from './channel-messages.ts';
import type { BoundSocket } from './bound-socket.ts';
import { PortHandles } from './port-handles.ts';
import { Registrar } from './registrar.ts';
import { RelayTotals } from './relay-totals.ts';
import { Supervisor } from './supervisor.ts';

/** A worker's process, played by the test. */
class FakeProcess implements StartedProcess {
  readonly pid = 1;
  readonly fds: readonly number[];
  readonly received: ToWorker[] = [];
  signals: string[] = [];
  #onMessage: (message: FromWorker) => void = () => {};
  #onExit: (how: string) => void = () => {};

  constructor(fds: readonly number[]) {
    this.fds = fds;
  }

  send(message: ToWorker): void {
    this.received.push(message);
  }

  kill(signal: string): void {
    this.signals.push(signal);
    this.exit(signal);
  }

  onMessage(listener: (message: FromWorker) => void): void {
    this.#onMessage = listener;
  }

  onExit(listener: (how: string) => void): void {
    this.#onExit = listener;
  }

  say(message: FromWorker): void {
    this.#onMessage(message);
  }

  ready(): void {
    this.say({ type: 'hello' });
    this.say({ type: 'ready', listening: { url: 'http://localhost' } });
  }

  exit(how: string): void {
    this.#onExit(how);
  }

  get types(): string[] {
    return this.received.map(({ type }) => type);
  }
}

let started: FakeProcess[];
let closed: string[];
let supervisor: Supervisor;

beforeEach(() => {
  vi.useFakeTimers();
  started = [];
  closed = [];
  const socket = (name: string, fd: number): BoundSocket => ({ fd, handle: undefined, close: () => closed.push(name) });
  supervisor = new Supervisor({
    settings: { workers: 2, reloadDrainMs: 60_000 },
    sockets: new Map<PublicRole, BoundSocket>([
      ['http', socket('http', 20)],
      ['https', socket('https', 21)],
    ]),
    totals: new RelayTotals(),
    ports: new PortHandles('127.0.0.1'),
    registrar: new Registrar({ onPortFreed: () => {} }),
    folder: '/nowhere',
    startProcess: (fds) => {
      const fake = new FakeProcess(fds);
      started.push(fake);
      return fake;
    },
    log: SILENT_LOG,
  });
});

afterEach(() => {
  vi.useRealTimers();
});

async function running(): Promise<FakeProcess[]> {
  const start = supervisor.start();
  for (const worker of started) worker.ready();
  await start;
  return started.splice(0);
}

describe('Supervisor', () => {
  it('gives every worker the public sockets', async () => {
    const workers = await running();
    expect(workers.map(({ fds }) => fds)).toEqual([
      [20, 21],
      [20, 21],
    ]);
    expect(workers.map(({ received }) => received[0])).toMatchObject([
      { type: 'start', node: 'g1.1', generation: 1, fds: { http: 4, https: 5 } },
      { type: 'start', node: 'g1.2', generation: 1, fds: { http: 4, https: 5 } },
    ]);
    expect(closed).toEqual([]);
  });

  it('rejects with what a worker of the first generation says is wrong, and leaves none', async () => {
    const start = supervisor.start();
    started[0]?.ready();
    started[1]?.say({ type: 'failed', code: 'CONFIG_INVALID', detail: 'grace' });
    started[1]?.exit('exit code 1');
    await expect(start).rejects.toMatchObject({ code: 'CONFIG_INVALID', detail: 'grace' });
    expect(started[0]?.signals).toEqual(['SIGKILL']);
    expect(closed).toEqual(['http', 'https']);
  });

  it('lets the old generation go only when every worker of the new one is ready', async () => {
    const old = await running();
    const reload = supervisor.reload({ workers: 2, reloadDrainMs: 60_000 });
    started[0]?.ready();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(old.flatMap(({ types }) => types)).not.toContain('drain');
    started[1]?.ready();
    await reload;
    expect(old.map(({ received }) => received.at(-1))).toEqual([
      { type: 'drain', limitMs: 60_000, moves: true },
      { type: 'drain', limitMs: 60_000, moves: true },
    ]);
    expect(supervisor.generation).toBe(2);
  });

  it('goes on with the old generation when the new one breaks', async () => {
    const old = await running();
    const reload = supervisor.reload({ workers: 2, reloadDrainMs: 60_000 });
    started[0]?.ready();
    started[1]?.exit('SIGSEGV');
    await expect(reload).rejects.toMatchObject({ detail: expect.stringContaining('SIGSEGV') });
    expect(started[0]?.signals).toEqual(['SIGKILL']);
    expect(old.flatMap(({ types, signals }) => [...types, ...signals])).not.toContain('drain');
    expect(supervisor.generation).toBe(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(started).toHaveLength(2);
  });

  it('takes a generation that never gets ready for broken', async () => {
    await running();
    const reload = supervisor.reload({ workers: 1, reloadDrainMs: 60_000 });
    const outcome = expect(reload).rejects.toMatchObject({ detail: expect.stringContaining('not ready within') });
    await vi.advanceTimersByTimeAsync(60_000);
    await outcome;
  });

  it('starts a crashed worker again, later and later, and under a name of its own', async () => {
    const [first] = await running();
    first?.exit('SIGKILL');
    const delays: number[] = [];
    for (let crash = 0; crash < 9; crash += 1) {
      const before = started.length;
      let waited = 0;
      while (started.length === before) {
        await vi.advanceTimersByTimeAsync(50);
        waited += 50;
      }
      delays.push(waited);
      started.at(-1)?.ready();
      started.at(-1)?.exit('SIGSEGV');
    }
    expect(delays).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000]);
    expect(
      new Set(
        started.flatMap(({ received }) =>
          received.flatMap((message) => (message.type === 'start' ? [message.node] : [])),
        ),
      ).size,
    ).toBe(9);
  });

  it('closes the sockets before it lets the workers go, and kills those that do not end', async () => {
    const workers = await running();
    const stopped = supervisor.stop(30_000);
    expect(closed).toEqual(['http', 'https']);
    expect(workers.map(({ received }) => received.at(-1))).toMatchObject([
      { type: 'drain', moves: false },
      { type: 'drain', moves: false },
    ]);
    workers[0]?.exit('exit code 0');
    await vi.advanceTimersByTimeAsync(45_000);
    expect(workers.map(({ signals }) => signals)).toEqual([[], ['SIGKILL']]);
    await stopped;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(started).toEqual([]);
  });
});
