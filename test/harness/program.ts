/** A real process under test: started, listened to line by line, stopped, and nothing of it left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { installed } from './debian.ts';
import { commandLine, processesWith } from './process-usage.ts';
import { DEFAULT_DEADLINE_MS, until, within } from './until.ts';

const MARK = 'PORTHOLE_TEST_RUN';
const MAX_LINES = 20_000;
/** Hundreds of processes are started from source: compiling it once saves more than half of each start. */
const COMPILE_CACHE = join(tmpdir(), 'porthole-test-compile-cache');

export interface ProgramOptions {
  /** For messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** `pipe` (default) is read line by line; `unread` is a pipe that nobody reads. */
  readonly stdout?: 'pipe' | 'unread';
  readonly stdin?: 'ignore' | 'pipe';
  /** What `close` sends first. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** How long after the signal the process may take. Default 10 s. */
  readonly stopWithinMs?: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Program {
  readonly name: string;
  readonly pid: number;
  readonly child: ChildProcess;
  /** Lines of standard output and standard error so far (the last 20,000 of each). */
  readonly lines: string[] = [];
  readonly errorLines: string[] = [];
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;
  #options: ProgramOptions;
  #mark: string;
  #listeners = new Set<(line: string) => void>();

  constructor(options: ProgramOptions) {
    this.name = options.name;
    this.#options = options;
    this.#mark = randomUUID();
    const [command, ...args] = endingWithUs([options.command, ...options.args]);
    this.child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...cleanEnvironment(), NODE_COMPILE_CACHE: COMPILE_CACHE, [MARK]: this.#mark, ...options.env },
      stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
    });
    if (this.child.pid === undefined) throw new Error(`${options.name}: could not start ${options.command}`);
    this.pid = this.child.pid;
    const killAtExit = (): void => void this.child.kill('SIGKILL');
    process.once('exit', killAtExit);
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        process.off('exit', killAtExit);
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
    if (options.stdout !== 'unread') this.#follow('stdout', this.lines);
    this.#follow('stderr', this.errorLines);
  }

  /** The first line (past or to come, of either output) for which `pick` gives something. Fails when the process ends first. */
  waitForLine<T>(what: string, pick: (line: string) => T | undefined, deadlineMs = DEFAULT_DEADLINE_MS): Promise<T> {
    for (const line of [...this.lines, ...this.errorLines]) {
      const found = pick(line);
      if (found !== undefined) return Promise.resolve(found);
    }
    let listener: ((line: string) => void) | undefined;
    const seen = new Promise<T>((resolve, reject) => {
      listener = (line) => {
        const found = pick(line);
        if (found !== undefined) resolve(found);
      };
      this.#listeners.add(listener);
      // 'close' comes after the last line, 'exit' may come before it.
      this.child.once('close', () =>
        reject(new Error(`${this.name} ended (${JSON.stringify(this.exit)}) before ${what}\n${this.tail()}`)),
      );
    });
    return within(`${this.name}: ${what}`, seen, deadlineMs)
      .catch((error: Error) => {
        throw new Error(`${error.message}\n${this.tail()}`, { cause: error });
      })
      .finally(() => listener !== undefined && this.#listeners.delete(listener));
  }

  /** The number of lines so far for which `pick` says yes. */
  countLines(pick: (line: string) => boolean): number {
    return this.lines.filter(pick).length + this.errorLines.filter(pick).length;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** SIGSTOP: the process stands still, its sockets stay open. */
  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  thaw(): void {
    this.child.kill('SIGCONT');
  }

  /** SIGKILL, and waits for the end. */
  async kill(): Promise<Exit> {
    this.child.kill('SIGKILL');
    return await this.exited;
  }

  /** Stops the process in its own way; fails when it has to be killed or leaves children behind. */
  async close(): Promise<void> {
    const limit = this.#options.stopWithinMs ?? 10_000;
    if (this.exit === undefined) {
      this.child.kill('SIGCONT');
      this.child.kill(this.#options.stopSignal ?? 'SIGTERM');
      try {
        await within('stop', this.exited, limit);
      } catch {
        await this.kill();
        throw new Error(`${this.name} did not stop within ${limit} ms and was killed\n${this.tail()}`);
      }
    }
    this.child.stdin?.destroy();
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
    await this.#assertNothingLeft();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  tail(): string {
    return [
      `--- ${this.name}, standard output`,
      ...this.lines.slice(-15),
      `--- ${this.name}, standard error`,
      ...this.errorLines.slice(-15),
    ].join('\n');
  }

  async #assertNothingLeft(): Promise<void> {
    const others = (): number[] => processesWith(MARK, this.#mark).filter((pid) => pid !== this.pid);
    // A helper process notices that its parent is gone a moment later.
    await until('children end', () => others().length === 0, 2_000).catch(() => undefined);
    const left = others()
      .map((pid) => ({ pid, command: commandLineIfThere(pid) }))
      .filter(({ command }) => command !== '');
    for (const { pid } of left) process.kill(pid, 'SIGKILL');
    const named = left.map(({ pid, command }) => `${pid} ${command}`);
    if (left.length > 0) throw new Error(`${this.name} left ${left.length} process(es) behind: ${named.join(', ')}`);
  }

  #follow(which: 'stdout' | 'stderr', into: string[]): void {
    const stream = this.child[which];
    if (stream === null) return;
    createInterface({ input: stream }).on('line', (line) => {
      into.push(line);
      if (into.length > MAX_LINES) into.shift();
      for (const listener of this.#listeners) listener(line);
    });
  }
}

/** Runs a program to its end and returns what it printed. */
export async function runProgram(
  options: ProgramOptions & { readonly input?: string; readonly deadlineMs?: number },
): Promise<Exit & { stdout: string; stderr: string }> {
  const program = new Program({ ...options, ...(options.input === undefined ? {} : { stdin: 'pipe' as const }) });
  if (options.input !== undefined) program.child.stdin?.end(options.input);
  const ended = once(program.child, 'close');
  try {
    await within(`${options.name} ends`, ended, options.deadlineMs ?? 30_000);
  } catch (error) {
    await program.kill();
    throw new Error(`${(error as Error).message}\n${program.tail()}`, { cause: error });
  }
  const exit = await program.exited;
  return { ...exit, stdout: program.lines.join('\n'), stderr: program.errorLines.join('\n') };
}

/** The tests' own environment without what would change how the programs under test behave. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [key, value] of Object.entries(process.env)) {
    if (/^(PORTHOLE|VITEST|NODE_OPTIONS|NODE_V8_COVERAGE|NODE_ENV|TEST$)/.test(key)) continue;
    if (/^(https?|no|all)_proxy$/i.test(key)) continue;
    env[key] = value;
  }
  return env;
}

/** Empty for a process that has ended meanwhile. */
function commandLineIfThere(pid: number): string {
  try {
    return commandLine(pid);
  } catch {
    return '';
  }
}

/** A test runner that is killed cannot stop what it started: the kernel does, where it can be told to (Linux). */
function endingWithUs(command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  const setpriv = installed('setpriv');
  return setpriv === undefined ? command : [setpriv, '--pdeathsig', 'KILL', ...command];
}
