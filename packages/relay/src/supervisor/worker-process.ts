/** One worker as the supervisor sees it: from its start until it has ended. */
import { type ErrorCode, PortholeError } from '@porthole/protocol';
import type { FromWorker, ReadyMessage, StartedProcess, ToWorker } from './channel-messages.ts';
import { type OnReport, WorkerReports } from './worker-reports.ts';

/** After the drain time a worker has so long to end by itself. */
const KILL_AFTER_MS = 15_000;

export type WorkerState = 'starting' | 'ready' | 'draining' | 'gone';

export class WorkerProcess {
  readonly node: string;
  readonly generation: number;
  readonly ready: Promise<ReadyMessage>;
  readonly exited: Promise<void>;
  readonly startedAt = performance.now();
  /** To be asked once it is ready. */
  readonly reports: WorkerReports;
  readonly #process: StartedProcess;
  readonly #ready = Promise.withResolvers<ReadyMessage>();
  readonly #exited = Promise.withResolvers<void>();
  #state: WorkerState = 'starting';
  #failure: { readonly code: ErrorCode; readonly detail: string } | undefined;
  #killTimer: NodeJS.Timeout | undefined;

  constructor(node: string, generation: number, process: StartedProcess, onReport: OnReport) {
    this.node = node;
    this.generation = generation;
    this.#process = process;
    this.reports = new WorkerReports((request) => this.send(request), onReport);
    this.ready = this.#ready.promise;
    this.exited = this.#exited.promise;
    // Whoever waits for it gets the failure; nobody has to.
    this.ready.catch(() => undefined);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get state(): WorkerState {
    return this.#state;
  }

  listen(onMessage: (message: FromWorker) => void, onExit: (how: string, was: WorkerState) => void): void {
    this.#process.onMessage((message) => {
      if (message.type === 'ready') this.#onReady(message);
      else if (message.type === 'failed') this.#failure = message;
      else if (message.type === 'reported') this.reports.take(message);
      else onMessage(message);
    });
    this.#process.onExit((how) => {
      const was = this.#state;
      this.#state = 'gone';
      clearTimeout(this.#killTimer);
      this.reports.end();
      const { code, detail } = this.#failure ?? {
        code: 'INTERNAL',
        detail: `a worker ended before it was ready (${how})`,
      };
      this.#ready.reject(new PortholeError(code, detail));
      onExit(how, was);
      this.#exited.resolve();
    });
  }

  send(message: ToWorker, handle?: object): void {
    if (this.#state !== 'gone') this.#process.send(message, handle);
  }

  drain(limitMs: number, moves: boolean): void {
    if (this.#state === 'gone') return;
    if (this.#state === 'starting') {
      this.kill();
      return;
    }
    this.#state = 'draining';
    this.send({ type: 'drain', limitMs, moves });
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => this.kill(), Math.min(limitMs + KILL_AFTER_MS, 2 ** 31 - 1));
  }

  kill(): void {
    if (this.#state !== 'gone') this.#process.kill('SIGKILL');
  }

  #onReady(message: ReadyMessage): void {
    if (this.#state === 'starting') this.#state = 'ready';
    this.#ready.resolve(message);
  }
}
