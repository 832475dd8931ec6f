/**
 * What the admin address says of a relay with workers: of all of them together, asked at that moment. One that does not
 * answer in time is named as silent and keeps nobody waiting.
 */
import type { Log } from '../observe/log.ts';
import { type MetricRow, Metrics, renderFamilies } from '../observe/metrics.ts';
import type { RelayTotals } from './relay-totals.ts';
import type { Supervisor } from './supervisor.ts';
import type { WorkerProcess } from './worker-process.ts';
import { MAX_REPORT_CHARS, type ReportKind } from './worker-reports.ts';
import { parseWorkerStatus, type WorkerStatus } from './worker-status.ts';

/** Machines that ask for health commonly wait for a second. */
const PULSE_MS = 750;
const REPORT_MS = 1_000;
/** The supervisor's own process, among the workers. */
const SUPERVISOR = 'supervisor';

export interface RelayAccountParts {
  readonly supervisor: Pick<Supervisor, 'workers' | 'generation' | 'crashes' | 'isStopping'>;
  readonly totals: RelayTotals;
  /** What the supervisor knows better than any worker. */
  readonly ownRows: Iterable<MetricRow>;
  /** Of the supervisor's process. */
  readonly process: Metrics;
  readonly version: string;
  readonly log: Log;
}

interface Asked {
  readonly worker: WorkerProcess;
  readonly report: string | undefined;
}

export class RelayAccount {
  readonly #parts: RelayAccountParts;
  readonly #own = new Metrics();
  readonly #startedAt = performance.now();
  #silent = 0;

  constructor(parts: RelayAccountParts) {
    this.#parts = parts;
    this.#own.add(parts.ownRows);
    this.#own.add(this.#workerRows());
  }

  /** A worker that is started, again or for the first time, is on its way to be mended. */
  async notAlive(): Promise<string | undefined> {
    const begun = this.#begun();
    return begun.length === 0 || (await anyAnswers(begun)) ? undefined : 'no worker answers';
  }

  async notReady(): Promise<string | undefined> {
    const { supervisor } = this.#parts;
    if (supervisor.isStopping) return 'draining';
    if (supervisor.generation === 0) return 'starting';
    const ready = supervisor.workers.filter(({ state }) => state === 'ready');
    if (ready.length === 0) return 'no worker is ready';
    return (await anyAnswers(ready)) ? undefined : 'no worker answers';
  }

  async metrics(): Promise<string> {
    const { totals, process } = this.#parts;
    const asked = await this.#askAll('metrics');
    totals.heard(SUPERVISOR, process.read());
    const processes = asked.map(({ worker, report }) => ({ node: worker.node, isSilent: report === undefined }));
    this.#silent = processes.filter(({ isSilent }) => isSilent).length;
    const own = this.#own.read();
    return await renderFamilies(totals.merge(own, [{ node: SUPERVISOR, isSilent: false }, ...processes]));
  }

  async status(): Promise<unknown> {
    const { supervisor, version } = this.#parts;
    const asked = await this.#askAll('status');
    const told = asked.map(({ worker, report }) => ({ worker, status: this.#parse(worker, report) }));
    const starting = supervisor.workers.filter(({ state }) => state === 'starting');
    return {
      version,
      uptime_s: Math.round((performance.now() - this.#startedAt) / 1000),
      draining: supervisor.isStopping,
      generation: supervisor.generation,
      workers: [...told, ...starting.map((worker) => ({ worker, status: undefined }))].map(workerLine),
      sessions: told.flatMap(({ worker, status }) =>
        (status?.sessions ?? []).map((session) => ({ ...session, worker: worker.node })),
      ),
      // All read the same store; the newest knows best.
      certificates: told.findLast(({ status }) => status !== undefined)?.status?.certificates ?? [],
    };
  }

  #workerRows(): MetricRow[] {
    const { supervisor } = this.#parts;
    return [
      ['porthole_workers', 'Worker processes, by state.', () => countStates(supervisor.workers), 'state'],
      [
        'porthole_workers_silent',
        'Workers that did not answer in time: of them only the counters are in the sums, as they were last told.',
        () => this.#silent,
      ],
      ['porthole_worker_crashes_total', 'Workers that ended although nobody wanted that.', () => supervisor.crashes],
      [
        'porthole_generation',
        'How often workers were started for all: 1, and 1 for each reload.',
        () => supervisor.generation,
      ],
    ];
  }

  /** Workers that can be asked, older ones first. */
  #begun(): WorkerProcess[] {
    return this.#parts.supervisor.workers.filter(({ state }) => state === 'ready' || state === 'draining');
  }

  async #askAll(kind: ReportKind): Promise<Asked[]> {
    const begun = this.#begun();
    const maxChars = Math.floor(MAX_REPORT_CHARS / Math.max(1, begun.length));
    const asked = await Promise.all(
      begun.map(async (worker) => ({ worker, report: await worker.reports.ask(kind, REPORT_MS, maxChars) })),
    );
    // One that has ended meanwhile is not silent.
    return asked.filter(({ worker }) => worker.state !== 'gone');
  }

  #parse({ node }: WorkerProcess, report: string | undefined): WorkerStatus | undefined {
    if (report === undefined) return undefined;
    try {
      return parseWorkerStatus(report);
    } catch (err) {
      this.#parts.log.error({ event: 'fault', node, err });
      return undefined;
    }
  }
}

async function anyAnswers(workers: readonly WorkerProcess[]): Promise<boolean> {
  const pulses = workers.map(async ({ reports }) => {
    if ((await reports.ask('pulse', PULSE_MS)) === undefined) throw new Error('silent');
  });
  return await Promise.any(pulses).then(
    () => true,
    () => false,
  );
}

function workerLine({ worker, status }: { worker: WorkerProcess; status: WorkerStatus | undefined }): object {
  return {
    worker: worker.node,
    generation: worker.generation,
    pid: worker.pid ?? null,
    state: worker.state,
    silent: worker.state !== 'starting' && status === undefined,
    version: status?.version ?? null,
    uptime_s: status?.uptime_s ?? null,
    sessions: status === undefined ? null : status.sessions.length + status.left_out.sessions,
    left_out: status?.left_out ?? null,
  };
}

function countStates(workers: readonly WorkerProcess[]): Record<string, number> {
  const counts: Record<string, number> = { ready: 0, draining: 0, starting: 0 };
  for (const { state } of workers) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}
