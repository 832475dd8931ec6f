/** All that the commands know of the process they run in. `main.ts` gives the real one, tests their own. */
import type { LogOutput } from '../observe/log.ts';

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
  /** Calls for every request to stop (SIGTERM, SIGINT). Returns the way to be called no more. */
  onStop(listener: () => void): () => void;
}
