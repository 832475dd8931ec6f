/** Where `porthole-relay` meets the process: arguments, environment, streams, signals, exit code. Nothing else here. */
import { readFileSync } from 'node:fs';
import { errorRow, PortholeError } from '@porthole/protocol';
import { runProgram } from './commands/program.ts';
import type { World } from './commands/world.ts';
import { openLogOutput, strikeTokens } from './observe/log.ts';

const logOutput = openLogOutput(2);

function version(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : '';
}

function onStop(listener: () => void): () => void {
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

const world: World = {
  env: process.env,
  cwd: process.cwd(),
  version: version(),
  isTty: process.stderr.isTTY === true,
  out: (text) => void process.stdout.write(text),
  note: (line) => void process.stderr.write(`${line}\n`),
  logOutput,
  onStop,
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
