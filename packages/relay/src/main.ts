/** Where `porthole-relay` meets the process: arguments, environment, streams, signals, exit code. Nothing else here. */
import { type SendHandle, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { errorRow, PortholeError } from '@porthole/protocol';
import { runProgram } from './commands/program.ts';
import type { ServeWorld } from './commands/world.ts';
import { openLogOutput, strikeTokens } from './observe/log.ts';
import type { FromWorker, ParentChannel, StartedProcess, ToWorker } from './supervisor/channel-messages.ts';

const logOutput = openLogOutput(2);

function version(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : '';
}

function onStop(listener: () => void): () => void {
  const signals = ['SIGTERM', 'SIGINT'] as const;
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

/** The same program, the same arguments, another command; what systemd said was for the supervisor only. */
function startWorker(fds: readonly number[]): StartedProcess {
  const [program = '', , ...rest] = process.argv.slice(1);
  const { LISTEN_FDS: _fds, LISTEN_PID: _pid, LISTEN_FDNAMES: _names, ...env } = process.env;
  const child = spawn(process.execPath, [...process.execArgv, program, 'worker', ...rest], {
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...fds],
  });
  // A worker that has just ended is told nothing more.
  child.on('error', () => {});
  return {
    pid: child.pid,
    send: (message, handle) => {
      if (child.connected) child.send(message, handle as SendHandle | undefined, () => {});
    },
    kill: (signal) => void child.kill(signal),
    onMessage: (listener) => void child.on('message', (message) => listener(message as FromWorker)),
    onExit: (listener) => {
      let isOver = false;
      const over = (how: string): void => {
        if (!isOver) listener(how);
        isOver = true;
      };
      child.on('exit', (code, signal) => over(signal ?? `exit code ${code}`));
      child.on('error', (error) => {
        if (child.pid === undefined) over(error.message);
      });
    },
  };
}

function parentChannel(): ParentChannel | undefined {
  if (process.send === undefined) return undefined;
  return {
    send: (message) => {
      if (process.connected) process.send?.(message, undefined, {}, () => {});
    },
    onMessage: (listener) => void process.on('message', (message, handle) => listener(message as ToWorker, handle)),
    onDisconnect: (listener) => void process.on('disconnect', listener),
  };
}

/** On standard error, because standard output is for what was asked for. Ctrl-C and the end of input end the command. */
async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const gone = new Promise<never>((_resolve, reject) => {
    lines.once('SIGINT', () => reject(new PortholeError('NOT_ANSWERED', 'stopped')));
    lines.once('close', () => reject(new PortholeError('NOT_ANSWERED', 'the input ended')));
  });
  try {
    return await Promise.race([lines.question(question), gone]);
  } finally {
    gone.catch(() => {});
    lines.close();
  }
}

const world: ServeWorld = {
  env: process.env,
  cwd: process.cwd(),
  version: version(),
  isTty: process.stderr.isTTY === true,
  out: (text) => void process.stdout.write(text),
  note: (line) => void process.stderr.write(`${line}\n`),
  logOutput,
  ask: process.stdin.isTTY === true && process.stderr.isTTY === true ? ask : undefined,
  onStop,
  onHangUp: (listener) => void process.on('SIGHUP', listener),
  onReload: (listener) => void process.on('SIGUSR2', listener),
  pid: process.pid,
  startWorker,
  parent: parentChannel(),
};

/** A sentence and what to do about it. A stack only for what must not happen. */
function report(cause: unknown): number {
  if (!(cause instanceof PortholeError)) {
    const stack = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    world.note(`porthole-relay: ${errorRow('INTERNAL').message} Please report it.\n${strikeTokens(stack)}`);
    return 1;
  }
  const { message } = errorRow(cause.code);
  if (cause.detail.includes('\n')) world.note(`porthole-relay: ${message}\n${cause.detail}`);
  else world.note(`porthole-relay: ${cause.message}\n${cause.hint}`);
  return errorRow(cause.code).exit ?? 1;
}

/** Standard output may be a pipe that is read slowly: all of it goes out before the end. */
async function leave(code: number): Promise<never> {
  await logOutput.flush();
  await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
  process.exit(code);
}

// Whoever read our output may leave (EPIPE); that is no reason to stop a relay.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});
process.on('uncaughtException', (cause) => void leave(report(cause)));

runProgram(process.argv.slice(2), world)
  .catch(report)
  .then(leave)
  .catch(() => process.exit(1));
