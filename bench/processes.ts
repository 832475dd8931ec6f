/** Programs a benchmark starts: found, started, awaited, and ended again whatever happens. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const READY_WITHIN_MS = 20_000;

export interface RunningProgram {
  readonly pid: number;
  /** Everything it has printed so far, both streams, the last 64 KiB. */
  output(): string;
  /** Resolves when a line of its output matches; rejects when the program ends before. */
  line(pattern: RegExp): Promise<RegExpExecArray>;
  stop(): Promise<void>;
}

export class Workbench {
  readonly folder = mkdtempSync(join(tmpdir(), 'porthole-bench-'));
  readonly #running = new Set<RunningProgram>();

  start(command: string, args: readonly string[], env: Record<string, string> = {}): RunningProgram {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      cwd: this.folder,
    });
    const program = watch(child, command);
    this.#running.add(program);
    child.once('exit', () => this.#running.delete(program));
    return program;
  }

  /** A Node program of this repository, from source. */
  startNode(file: string, args: readonly string[] = [], env: Record<string, string> = {}): RunningProgram {
    return this.start(process.execPath, ['--conditions=@porthole/source', file, ...args], env);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map((program) => program.stop()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function watch(child: ChildProcess, command: string): RunningProgram {
  let text = '';
  let ended = false;
  const waiting = new Set<() => void>();
  const wake = (): void => waiting.forEach((check) => check());
  const take = (chunk: Buffer): void => {
    text = (text + chunk.toString('utf8')).slice(-65_536);
    wake();
  };
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  const closed = new Promise<void>((resolve) => {
    const end = (): void => {
      ended = true;
      wake();
      resolve();
    };
    child.once('error', (error) => {
      text += `${command}: ${error.message}\n`;
      end();
    });
    child.once('close', end);
  });
  return {
    pid: child.pid ?? -1,
    output: () => text,
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => finish(new Error(`${command} did not say ${String(pattern)} in time:\n${text}`)),
          READY_WITHIN_MS,
        );
        const finish = (error: Error): void => {
          clearTimeout(timer);
          waiting.delete(check);
          reject(error);
        };
        const check = (): void => {
          const match = pattern.exec(text);
          if (match !== null) {
            clearTimeout(timer);
            waiting.delete(check);
            resolve(match);
          } else if (ended) finish(new Error(`${command} ended early:\n${text}`));
        };
        waiting.add(check);
        check();
      }),
    stop: async () => {
      if (ended) return;
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await closed;
      clearTimeout(killer);
    },
  };
}

/** Runs a program to its end and returns what it printed; throws when it fails. */
export async function runToEnd(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${text}`);
  return text;
}

export function findOnPath(program: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, program)).find((path) => isExecutable(path));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A port nobody listens on just now. Programs that cannot be given port 0 leave no better way. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}

/** As many different ones. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/** Waits until something accepts connections on the port. */
export async function listening(port: number): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const outcome = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (outcome) return;
    if (Date.now() > deadline) throw new Error(`nothing listens on port ${port}`);
    await delay(50);
  }
}

/** Resident memory of a process, bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? Number.NaN) * 1024;
}

export function openHandles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
