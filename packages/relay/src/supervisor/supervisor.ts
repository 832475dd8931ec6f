/**
 * Owns the relay's bound sockets and accepts nothing: workers do. Starts them, starts them again when they crash, and
 * replaces a whole generation by the next without a moment in which nobody listens.
 */
import { PortholeError } from '@porthole/protocol';
import type { Log } from '../observe/log.ts';
import type { BoundSocket } from './bound-socket.ts';
import {
  CHANNEL_VERSION,
  FIRST_INHERITED_FD,
  type FromWorker,
  type InheritedFds,
  type PublicRole,
  type ReadyMessage,
  type StartedProcess,
} from './channel-messages.ts';
import type { PortHandles } from './port-handles.ts';
import type { Registrar } from './registrar.ts';
import { parseFamilies } from '../observe/metric-family.ts';
import type { RelayTotals } from './relay-totals.ts';
import { SessionLedger } from './session-ledger.ts';
import { WorkerProcess, type WorkerState } from './worker-process.ts';
import type { ReportKind } from './worker-reports.ts';

/** A worker that takes longer to get ready is taken for broken. */
const START_TIMEOUT_MS = 60_000;
const RESTART_FIRST_MS = 100;
const RESTART_LAST_MS = 15_000;
/** A worker that lived so long did not crash because of how it was started. */
const RESTART_FORGET_MS = 60_000;

export interface SupervisorSettings {
  /** Workers per generation; at least 1. */
  readonly workers: number;
  /** How long an old generation may take after a reload. */
  readonly reloadDrainMs: number;
}

export interface SupervisorParts {
  readonly settings: SupervisorSettings;
  readonly sockets: ReadonlyMap<PublicRole, BoundSocket>;
  readonly ports: PortHandles;
  readonly registrar: Registrar;
  /** Hears what the workers count. */
  readonly totals: RelayTotals;
  /** Folder of the workers' local sockets. */
  readonly folder: string;
  /** The file descriptors are to be inherited from `FIRST_INHERITED_FD` on. */
  readonly startProcess: (fds: readonly number[]) => StartedProcess;
  readonly log: Log;
}

export class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #workers = new Set<WorkerProcess>();
  readonly #sessions = new SessionLedger();
  #settings: SupervisorSettings;
  #generation = 0;
  #serial = 0;
  #failures = 0;
  readonly #restarts = new Set<NodeJS.Timeout>();
  #crashes = 0;
  #stopping = false;

  constructor(parts: SupervisorParts) {
    this.#parts = parts;
    this.#settings = parts.settings;
  }

  /** 0 until the first one is ready. */
  get generation(): number {
    return this.#generation;
  }

  /** Of all generations. */
  get workers(): readonly WorkerProcess[] {
    return [...this.#workers];
  }

  get isStopping(): boolean {
    return this.#stopping;
  }

  /** Workers that ended although nobody wanted that. */
  get crashes(): number {
    return this.#crashes;
  }

  /** Resolves when the first generation is ready. Rejects with what kept it from that. */
  async start(): Promise<ReadyMessage> {
    try {
      const [first] = await this.#startGeneration();
      if (first === undefined) throw new PortholeError('INTERNAL', 'a generation without workers');
      return first;
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /**
   * The next generation on the same sockets; when it is ready the ones before it go, in their own time. Rejects with
   * what is wrong with the new one, in which case everything is as before.
   */
  async reload(settings: SupervisorSettings): Promise<void> {
    const before = [...this.#workers];
    const { log } = this.#parts;
    const previous = this.#settings;
    this.#settings = settings;
    try {
      await this.#startGeneration();
    } catch (error) {
      this.#settings = previous;
      throw error;
    }
    log.info({ event: 'reloaded', generation: this.#generation, workers: settings.workers });
    for (const worker of before) {
      this.#sessions.retire(worker.node);
      worker.drain(settings.reloadDrainMs, true);
    }
  }

  /** Lets every worker finish what is under way; resolves when all have ended. */
  async stop(limitMs: number): Promise<void> {
    this.#beginStop();
    for (const worker of this.#workers) worker.drain(limitMs, false);
    await this.#allGone();
  }

  /** At once. */
  async kill(): Promise<void> {
    this.#beginStop();
    for (const worker of this.#workers) worker.kill();
    await this.#allGone();
  }

  /** From here on nobody new is let wait in a backlog that no worker will look at. */
  #beginStop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    for (const timer of this.#restarts) clearTimeout(timer);
    for (const socket of this.#parts.sockets.values()) socket.close();
    this.#parts.ports.closeAll();
  }

  async #allGone(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.exited));
  }

  async #startGeneration(): Promise<readonly ReadyMessage[]> {
    const generation = this.#generation + 1;
    const started = Array.from({ length: this.#settings.workers }, () => this.#startWorker(generation));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new PortholeError('INTERNAL', `not ready within ${START_TIMEOUT_MS} ms`)),
        START_TIMEOUT_MS,
      );
    });
    try {
      const ready = await Promise.race([Promise.all(started.map((worker) => worker.ready)), late]);
      if (this.#stopping) throw new PortholeError('GOING_AWAY');
      this.#generation = generation;
      return ready;
    } catch (error) {
      for (const worker of started) worker.kill();
      await Promise.all(started.map((worker) => worker.exited));
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #startWorker(generation: number): WorkerProcess {
    const { sockets, startProcess } = this.#parts;
    this.#serial += 1;
    const node = `g${generation}.${this.#serial}`;
    const started = startProcess([...sockets.values()].map(({ fd }) => fd));
    const fds: InheritedFds = Object.fromEntries(
      [...sockets.keys()].map((role, at) => [role, FIRST_INHERITED_FD + at]),
    );
    const worker = new WorkerProcess(node, generation, started, (kind, report) => this.#onReport(node, kind, report));
    this.#workers.add(worker);
    worker.listen(
      (message) => this.#onMessage(worker, message, fds),
      (how, was) => this.#onExit(worker, how, was),
    );
    return worker;
  }

  #onMessage(worker: WorkerProcess, message: FromWorker, fds: InheritedFds): void {
    const { registrar } = this.#parts;
    if (message.type === 'hello') this.#introduce(worker, fds);
    else if (message.type === 'claim') registrar.claim(worker.node, message.ref, message.request);
    else if (message.type === 'lease') registrar.change(message.lease, message.change);
    else if (message.type === 'take-place')
      worker.send({ type: 'place', ref: message.ref, reply: this.#sessions.take(worker.node, message.request) });
    else if (message.type === 'leave-place') this.#sessions.leave(worker.node, message.identity);
    else if (message.type === 'open-port') void this.#openPort(worker, message.port);
  }

  #onReport(node: string, kind: ReportKind, report: string): boolean {
    if (kind !== 'metrics') return true;
    try {
      this.#parts.totals.heard(node, parseFamilies(report));
      return true;
    } catch (err) {
      this.#parts.log.error({ event: 'fault', node, err });
      return false;
    }
  }

  #introduce(worker: WorkerProcess, fds: InheritedFds): void {
    const { registrar, ports, folder } = this.#parts;
    for (const [port, { handle }] of ports.open) worker.send({ type: 'port', port }, handle);
    this.#sessions.enter(worker.node);
    const routes = registrar.enter(worker.node, (message) => worker.send(message));
    worker.send({
      type: 'start',
      version: CHANNEL_VERSION,
      node: worker.node,
      generation: worker.generation,
      folder,
      fds,
      routes,
    });
  }

  async #openPort(asking: WorkerProcess, port: number): Promise<void> {
    const { ports, registrar } = this.#parts;
    try {
      const { handle } = await ports.bind(port);
      // Whoever wanted it may have gone while it was being bound.
      if (this.#stopping || !registrar.isHeld(port)) ports.close(port);
      else
        for (const worker of this.#workers)
          if (worker.state !== 'draining') worker.send({ type: 'port', port }, handle);
    } catch (error) {
      asking.send({ type: 'port-failed', port, detail: error instanceof PortholeError ? error.detail : String(error) });
    }
  }

  #onExit(worker: WorkerProcess, how: string, was: WorkerState): void {
    const { registrar, totals, log } = this.#parts;
    this.#workers.delete(worker);
    registrar.leave(worker.node);
    totals.left(worker.node);
    this.#sessions.retire(worker.node);
    const isExpected = was === 'draining' || this.#stopping;
    const line = { event: 'worker ended', node: worker.node, pid: worker.pid, how };
    if (isExpected) log.info(line);
    else {
      this.#crashes += 1;
      log.error(line);
    }
    // One that never got ready belongs to whoever waits for its generation, or was itself a restart.
    if (isExpected || worker.generation !== this.#generation) return;
    this.#restartLater(worker);
  }

  #restartLater(worker: WorkerProcess): void {
    if (performance.now() - worker.startedAt > RESTART_FORGET_MS) this.#failures = 0;
    const delayMs = Math.min(RESTART_FIRST_MS * 2 ** this.#failures, RESTART_LAST_MS);
    this.#failures += 1;
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      // A reload in between has brought a whole generation.
      if (!this.#stopping && worker.generation === this.#generation) this.#startWorker(worker.generation);
    }, delayMs);
    this.#restarts.add(timer);
  }
}
