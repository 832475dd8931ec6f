/** All that the commands know of the process they run in. `main.ts` gives the real one, tests their own. */
import type { LogOutput } from '../observe/log.ts';
import type { ParentChannel, StartedProcess } from '../supervisor/channel-messages.ts';

export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly version: string;
  readonly isTty: boolean;
  /** What was asked for, and nothing else. */
  out(text: string): void;
  /** Hints and warnings, a line each. */
  note(line: string): void;
  readonly logOutput: LogOutput;
  /** Asks the person at the terminal; absent where there is none. */
  readonly ask?: ((question: string) => Promise<string>) | undefined;
  /** Calls for every request to stop (SIGTERM, SIGINT). Returns the way to be called no more. */
  onStop(listener: () => void): () => void;
}

/** What running a relay takes besides: other processes and signals about them. */
export interface ServeWorld extends World {
  /** Calls when the terminal has gone, or a service is to be reloaded (SIGHUP). */
  onHangUp(listener: () => void): void;
  /** Calls for every request to reload, however the process was started (SIGUSR2). */
  onReload(listener: () => void): void;
  readonly pid: number;
  /** Starts this program again as a worker, with these file descriptors behind those of every process and the channel. */
  startWorker(fds: readonly number[]): StartedProcess;
  /** Undefined in a process that no supervisor started. */
  readonly parent: ParentChannel | undefined;
}
