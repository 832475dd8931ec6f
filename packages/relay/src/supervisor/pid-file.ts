/** What a supervisor leaves in the data folder for `porthole-relay reload`: which process it is, how the last reload went. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kill } from 'node:process';

const PID_FILE = 'relay.pid';
const OUTCOME_FILE = 'reload.json';

export interface ReloadOutcome {
  /** Counts reloads of this supervisor, failed ones too. */
  readonly count: number;
  readonly ok: boolean;
  readonly detail: string;
}

export class PidFile {
  readonly #dataDir: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  write(pid: number): void {
    this.#replace(PID_FILE, `${pid}\n`);
    this.tell({ count: 0, ok: true, detail: '' });
  }

  /** Only if it is still ours: another relay may have been started on the folder. */
  remove(pid: number): void {
    if (this.#readPid() === pid) rmSync(join(this.#dataDir, PID_FILE), { force: true });
  }

  /** The supervisor that runs on this folder; undefined when there is none. */
  running(): number | undefined {
    const pid = this.#readPid();
    return pid !== undefined && isRelay(pid) ? pid : undefined;
  }

  /** The last relay on this folder did not end by itself. */
  isLeftBehind(): boolean {
    return this.#readPid() !== undefined && this.running() === undefined;
  }

  tell(outcome: ReloadOutcome): void {
    this.#replace(OUTCOME_FILE, JSON.stringify(outcome));
  }

  outcome(): ReloadOutcome | undefined {
    try {
      const read: unknown = JSON.parse(readFileSync(join(this.#dataDir, OUTCOME_FILE), 'utf8'));
      if (typeof read !== 'object' || read === null || !('count' in read) || !('ok' in read) || !('detail' in read))
        return undefined;
      return { count: Number(read.count), ok: read.ok === true, detail: String(read.detail) };
    } catch {
      return undefined;
    }
  }

  /** Whole or not at all: somebody may be reading. */
  #replace(name: string, text: string): void {
    const path = join(this.#dataDir, name);
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  #readPid(): number | undefined {
    try {
      const pid = Number(readFileSync(join(this.#dataDir, PID_FILE), 'utf8'));
      return Number.isInteger(pid) && pid > 1 ? pid : undefined;
    } catch {
      return undefined;
    }
  }
}

/** A pid may belong to somebody else by now, who would not take a signal kindly. */
function isRelay(pid: number): boolean {
  try {
    kill(pid, 0);
  } catch {
    return false;
  }
  const commandLine = `/proc/${pid}/cmdline`;
  return !existsSync(commandLine) || readFileSync(commandLine, 'latin1').includes('serve');
}
