/**
 * What a relay leaves in its data folder: which process it is, so that no second one starts there, and for
 * `porthole-relay reload` whether it can be reloaded and how the last reload went.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kill } from 'node:process';
import { PortholeError } from '@porthole/protocol';

const PID_FILE = 'relay.pid';
const OUTCOME_FILE = 'reload.json';

export interface ReloadOutcome {
  /** Counts reloads of this supervisor, failed ones too. */
  readonly count: number;
  readonly ok: boolean;
  readonly detail: string;
}

interface Holder {
  readonly pid: number;
  /** When it began, as the system counts: a pid may be somebody else's by now. Empty where that is not known. */
  readonly began: string;
  readonly canReload: boolean;
}

const RELOADS = 'reloads';

export class PidFile {
  readonly #dataDir: string;
  #own: Holder | undefined;
  #wasLeftBehind = false;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  /** Before anything is done in the folder. Throws DATA_FOLDER_IN_USE. */
  claim(pid: number): void {
    const holder = this.#read();
    // In a container, the next process often has the pid of the last.
    if (holder !== undefined && holder.pid !== pid && isRunning(holder)) {
      const path = join(this.#dataDir, PID_FILE);
      throw new PortholeError('DATA_FOLDER_IN_USE', `${this.#dataDir}: process ${holder.pid}, as ${path} says`);
    }
    this.#wasLeftBehind = holder !== undefined;
    this.#write({ pid, began: beginOf(pid), canReload: false });
  }

  /** From now on the process can take the signal to reload, which would end one that cannot. */
  allowReload(): void {
    if (this.#own === undefined) return;
    this.tell({ count: 0, ok: true, detail: '' });
    this.#write({ ...this.#own, canReload: true });
  }

  /** Only if it is still ours: somebody may have removed it, and another relay have been started on the folder. */
  release(): void {
    const holder = this.#read();
    if (this.#own === undefined || holder === undefined) return;
    if (holder.pid === this.#own.pid && holder.began === this.#own.began)
      rmSync(join(this.#dataDir, PID_FILE), { force: true });
  }

  /** The relay that runs on this folder; undefined when there is none. */
  running(): Holder | undefined {
    const holder = this.#read();
    return holder !== undefined && isRunning(holder) ? holder : undefined;
  }

  /** Of the relay before the one that claimed the folder: it did not end by itself. */
  get wasLeftBehind(): boolean {
    return this.#wasLeftBehind;
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

  #write(holder: Holder): void {
    this.#own = holder;
    const { pid, began, canReload } = holder;
    this.#replace(PID_FILE, `${[pid, began === '' ? '-' : began, ...(canReload ? [RELOADS] : [])].join(' ')}\n`);
  }

  #read(): Holder | undefined {
    try {
      const [pid, began = '', word] = readFileSync(join(this.#dataDir, PID_FILE), 'utf8').trim().split(' ');
      if (pid === undefined || !/^[1-9]\d*$/.test(pid)) return undefined;
      return { pid: Number(pid), began: began === '-' ? '' : began, canReload: word === RELOADS };
    } catch {
      return undefined;
    }
  }
}

function isRunning({ pid, began }: Holder): boolean {
  try {
    kill(pid, 0);
  } catch (cause) {
    // It runs and is another user's: what it is can still be seen.
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EPERM')) return false;
    return began !== '' && beginOf(pid) === began;
  }
  return began === '' ? isServing(pid) : beginOf(pid) === began;
}

/** As good as can be said without knowing when it began. */
function isServing(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes('serve');
  } catch {
    return true;
  }
}

/** Of a process that has not ended (proc_pid_stat(5)). Empty where the system does not tell. */
function beginOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name before it is in parentheses and may hold anything.
    const [state = '', ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? '' : (rest[18] ?? '');
  } catch {
    return '';
  }
}
