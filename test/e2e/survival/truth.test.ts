/**
 * After each thing that can happen to a tunnel, what is said about it (terminal, `porthole status`, `/api/status`,
 * `/metrics`) agrees with a request through its public address, within one heartbeat.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentUnderTest, startAgent } from '../../harness/agent.ts';
import type { CarrierCutter } from '../../harness/carrier-cutter.ts';
import { type Origin, startOrigin } from '../../harness/origin.ts';
import { CHALLENGE, CLOSE, dialCarrier, HELLO, type RawCarrier, WELCOME } from '../../harness/raw-carrier.ts';
import { askOnce, getRequest } from '../../harness/raw-visitor.ts';
import { type RelayUnderTest, startRelay } from '../../harness/relay.ts';
import { type CutStage, startCutStage } from '../../harness/stage.ts';
import { until } from '../../harness/until.ts';

const HEARTBEAT_MS = 5_000;
/** `porthole status` is a process of its own, which takes a while to start. */
const ASKING_MS = 1_000;
const NAME = 'canary';

let origin: Origin;
let stage: CutStage;
let relay: RelayUnderTest;
let cutter: CarrierCutter;
let token: string;
let agent: AgentUnderTest;
let url: string;

beforeAll(async () => {
  origin = await startOrigin();
  // No waiting: the canary's answer is about now. Short heartbeats make the silence noticed, long before it is to be told.
  const config = { wait: '0s', heartbeat: '1s', grace: '30s' };
  stage = await startCutStage(origin.port, { relay: { config }, agent: { name: NAME } });
  ({ relay, cutter, token, agent, url } = stage);
});
afterAll(async () => {
  // Not the stage's any more.
  await agent?.close();
  await stage?.close();
  await origin?.close();
});

interface Account {
  readonly canary: 'ready' | 'away' | 'gone';
  readonly metrics: string;
  readonly api: string;
  readonly status: string;
  readonly terminal: string;
}

/** One that was under way when the line went silent is kept for the agent's return: no answer in a second is `away`. */
async function canary(): Promise<Account['canary']> {
  const answer = await askOnce(url, getRequest(url), { deadlineMs: 1_000 }).catch(() => undefined);
  if (answer === undefined) return 'away';
  if (answer.status === 200) return 'ready';
  return answer.field('porthole-error') === 'AGENT_AWAY' ? 'away' : 'gone';
}

async function metrics(): Promise<string> {
  const [tunnels = 0, away = 0] = [await relay.metric('porthole_leases'), await relay.metric('porthole_leases_away')];
  return tunnels === 0 ? 'gone' : away > 0 ? 'away' : 'ready';
}

interface ApiStatus {
  readonly sessions: readonly {
    readonly state: string;
    readonly tunnels: readonly { readonly name: string; readonly state: string }[];
  }[];
}

async function api(): Promise<string> {
  const { sessions } = JSON.parse(await relay.admin('/api/status')) as ApiStatus;
  const tunnel = sessions.flatMap((session) => session.tunnels).find((each) => each.name === NAME);
  return tunnel?.state ?? 'gone';
}

async function status(): Promise<string> {
  const said = await agent.status();
  if (said === undefined) return 'gone';
  return said.state === 'connected' && said.tunnels[0]?.state === 'open' ? 'ready' : 'away';
}

/** What the last line about the tunnel's state said. */
function terminal(): string {
  const last = agent.events.findLast(({ event }) => ['tunnel', 'interrupted', 'resumed', 'closed'].includes(event));
  if (agent.program.exit !== undefined) return 'gone';
  return last?.event === 'interrupted' ? 'away' : 'ready';
}

async function account(): Promise<Account> {
  return {
    metrics: await metrics(),
    api: await api(),
    status: await status(),
    terminal: terminal(),
    canary: await canary(),
  };
}

/** All five say `expected`, within a heartbeat from now. */
async function expectTruth(expected: Account['canary']): Promise<void> {
  let last: Account | undefined;
  await until(
    `everybody says ${expected}`,
    async () => {
      last = await account();
      return Object.values(last).every((said) => said === expected);
    },
    HEARTBEAT_MS + ASKING_MS,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify(last)}`);
  });
}

describe('what is said about a tunnel', () => {
  it('is true when it stands', () => expectTruth('ready'));

  it('is true after its carrier was cut and resumed', async () => {
    const resumed = agent.countEvents('resumed');
    cutter.cut();
    await agent.untilEvents('resumed', resumed + 1);
    await expectTruth('ready');
  });

  it.each(['up', 'down', 'both'] as const)('is true in a black hole (%s) and after it', async (direction) => {
    cutter.blackHole(direction);
    await expectTruth('away');
    cutter.heal();
    await expectTruth('ready');
  });

  it('is true while the relay takes nobody, and after it', async () => {
    cutter.refuse(true);
    cutter.cut();
    await expectTruth('away');
    cutter.refuse(false);
    await expectTruth('ready');
  });

  it('is true after the relay was killed and started again', async () => {
    await relay.killAndRestart();
    await expectTruth('ready');
  });

  it('is true while the agent is stopped, as far as it can be asked, and after it', async () => {
    agent.program.freeze();
    await until(
      'the relay says away',
      async () => (await canary()) === 'away' && (await metrics()) === 'away' && (await api()) === 'away',
      HEARTBEAT_MS,
    );
    expect((await agent.status())?.state).toBe('unresponsive');
    agent.program.thaw();
    await expectTruth('ready');
  });

  it('is true after the agent was killed, and after its successor came', async () => {
    await agent.program.kill();
    await until(
      'the relay says away',
      async () => (await canary()) === 'away' && (await metrics()) === 'away' && (await api()) === 'away',
      HEARTBEAT_MS,
    );
    expect(await agent.status()).toBeUndefined();
    await agent.close();
    agent = await startAgent({ relayUrl: cutter.url, token, target: origin.port, name: NAME });
    await expectTruth('ready');
  });

  it('is true after the agent stopped in its own way', async () => {
    agent.program.signal('SIGTERM');
    await agent.program.exited;
    await expectTruth('gone');
  });
});

describe('what is said about a relay with two workers', () => {
  interface RelayStatus {
    readonly generation: number;
    readonly workers: readonly {
      readonly worker: string;
      readonly pid: number;
      readonly state: string;
      readonly silent: boolean;
      readonly sessions: number | null;
    }[];
    readonly sessions: readonly { readonly worker: string; readonly state: string }[];
  }

  let pair: RelayUnderTest;
  let crowd: readonly AgentUnderTest[] = [];
  beforeAll(async () => {
    // Room for the three agents, and not for their old and new sessions together.
    pair = await startRelay({
      config: { workers: 2, reload_drain: '1s', limits: { max_sessions_per_user: 4, max_sessions: 8 } },
    });
    const users = await pair.addToken('ada');
    crowd = await Promise.all(
      [1, 2, 3].map((i) => startAgent({ relayUrl: pair.url, token: users, target: origin.port, name: `one-${i}` })),
    );
  });
  afterAll(async () => {
    for (const each of crowd) await each.close();
    await pair?.close();
  });

  const account = async (): Promise<RelayStatus> => JSON.parse(await pair.admin('/api/status')) as RelayStatus;
  const probe = async (path: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${pair.adminPort}${path}`)).status;
  const visit = async (): Promise<void> => {
    for (const each of crowd) {
      const where = await each.url();
      expect((await askOnce(where, getRequest(where))).status).toBe(200);
    }
  };

  it('is the sum of both, and each by itself where that is what counts', async () => {
    await visit();
    const { workers, sessions, generation } = await account();
    expect(generation).toBe(1);
    expect(workers.map(({ state, silent }) => [state, silent])).toEqual([
      ['ready', false],
      ['ready', false],
    ]);
    expect(sessions).toHaveLength(3);
    expect(workers.reduce((sum, worker) => sum + (worker.sessions ?? 0), 0)).toBe(3);
    for (const session of sessions) expect(workers.map(({ worker }) => worker)).toContain(session.worker);
    expect(await pair.metric('porthole_sessions')).toBe(3);
    expect(await pair.metric('porthole_routes')).toBe(3);
    expect(await pair.metric('porthole_exchanges_total')).toBe(3);
    const processes = (await pair.admin('/metrics')).match(/^process_resident_memory_bytes\{worker="[^"]+"\}/gm);
    expect(processes).toHaveLength(3);
  });

  it('holds its limits over both, and gives places back', async () => {
    const token = await pair.addToken('bob');
    const hello = async (): Promise<readonly [string, RawCarrier]> => {
      const carrier = await dialCarrier(pair.port);
      await carrier.nextOf(CHALLENGE);
      await carrier.send(HELLO, JSON.stringify(carrier.hello(token)));
      const { type, payload } = await carrier.next();
      return [type === WELCOME ? 'welcome' : (JSON.parse(payload.toString()) as { code: string }).code, carrier];
    };
    const all: RawCarrier[] = [];
    for (const expected of ['welcome', 'welcome', 'welcome', 'welcome', 'SESSION_LIMIT']) {
      const [answer, carrier] = await hello();
      expect(answer).toBe(expected);
      all.push(carrier);
    }
    expect(await pair.metric('porthole_sessions')).toBe(7);
    for (const carrier of all.slice(0, 4)) await carrier.send(CLOSE, Buffer.alloc(2)).catch(() => undefined);
    await until('the places are free', async () => (await pair.metric('porthole_sessions')) === 3);
    const [again, carrier] = await hello();
    expect(again).toBe('welcome');
    await carrier.send(CLOSE, Buffer.alloc(2));
    for (const each of [...all, carrier]) await each.close();
    await until('only the agents are left', async () => (await pair.metric('porthole_sessions')) === 3);
  });

  it('names a worker that hangs, and waits for nobody', async () => {
    const pids = (await account()).workers.map(({ pid }) => pid);
    const [first = 0, second = 0] = pids;
    process.kill(first, 'SIGSTOP');
    const [metrics, { workers }, ...health] = await Promise.all([
      pair.admin('/metrics'),
      account(),
      probe('/healthz'),
      probe('/readyz'),
    ]);
    expect(metrics).toContain('porthole_workers_silent 1\n');
    // What it counted is not forgotten.
    expect(metrics).toContain('porthole_exchanges_total 3\n');
    expect(workers.map(({ silent }) => silent)).toEqual([true, false]);
    expect(health).toEqual([200, 200]);
    process.kill(second, 'SIGSTOP');
    expect(await Promise.all([probe('/healthz'), probe('/readyz')])).toEqual([503, 503]);
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    await until('both answer', async () => (await pair.metric('porthole_workers_silent')) === 0);
  });

  it('goes on over a reload: nothing that was counted is lost', async () => {
    await pair.command('reload');
    expect(await probe('/readyz')).toBe(200);
    await until('the old generation has ended', async () => (await account()).workers.length === 2);
    const { generation, sessions, workers } = await account();
    expect([generation, sessions.length]).toEqual([2, 3]);
    expect(workers.every(({ worker }) => worker.startsWith('g2.'))).toBe(true);
    expect(await pair.metric('porthole_sessions')).toBe(3);
    expect(await pair.metric('porthole_sessions_total')).toBe(11);
    await visit();
    expect(await pair.metric('porthole_exchanges_total')).toBe(6);
  });

  it('counts a worker that was killed, and is ready again with its successor', async () => {
    const [first] = (await account()).workers;
    if (first !== undefined) process.kill(first.pid, 'SIGKILL');
    await until('another has taken its place', async () => {
      const { workers } = await account();
      return workers.length === 2 && workers.every(({ pid, state }) => pid !== first?.pid && state === 'ready');
    });
    expect(await pair.metric('porthole_worker_crashes_total')).toBe(1);
    await until('all sessions are back', async () => (await pair.metric('porthole_sessions')) === 3);
    expect(await pair.metric('porthole_exchanges_total')).toBe(6);
  });
});
