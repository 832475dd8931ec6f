/**
 * Where the command meets the process: arguments, environment, streams, signals, exit code. Nothing else here; what
 * is done is in `program.ts` and the commands.
 */
import { readFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { PortholeError } from '@porthole/agent';
import { openOrigin, relayLinkOpener } from './agent-link.ts';
import { errorEvent } from './output/events.ts';
import { plainLines } from './output/plain-lines.ts';
import { runProgram } from './program.ts';
import { exitCodeOf } from './run-tunnels.ts';
import { StopRequests } from './stop-requests.ts';
import { printLines, type Verbosity, type World } from './world.ts';

const args = process.argv.slice(2);
/** How long what still is open may keep the process at its end. */
const LINGER_MS = 1000;
const verbosity: Verbosity = { level: levelAtFirst() };

/** A terminal that is stopped (Ctrl-S) would otherwise stop the traffic with it: Node writes to terminals synchronously. */
function neverBlock(stream: NodeJS.WriteStream): void {
  const { _handle: handle } = stream as { _handle?: { setBlocking?: (on: boolean) => unknown } };
  if (stream.isTTY) handle?.setBlocking?.(false);
  // Whoever read our output may leave (EPIPE); that is no reason to end a tunnel.
  stream.on('error', () => {});
}

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const parsed: unknown = JSON.parse(text);
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : '';
}

/** Until the command line and the file are read; what fails before that may have to be shown with its stack, too. */
function levelAtFirst(): string | undefined {
  const flag = '--log-level';
  const at = args.findLastIndex((arg) => arg === flag || arg.startsWith(`${flag}=`));
  if (at === -1) return process.env['PORTHOLE_LOG_LEVEL'];
  return args[at] === flag ? args[at + 1] : args[at]?.slice(flag.length + 1);
}

/** A sentence and what to do; never a stack unless one was asked for. */
async function report(cause: unknown): Promise<number> {
  const error =
    cause instanceof PortholeError
      ? cause
      : new PortholeError('INTERNAL', cause instanceof Error ? cause.message : String(cause), { cause });
  const event = errorEvent(error);
  if (args.includes('--json')) await printLines(process.stdout, [JSON.stringify(event)]);
  else await printLines(process.stderr, plainLines(event));
  if (verbosity.level === 'debug')
    process.stderr.write(`${error.stack ?? ''}\n${error.cause instanceof Error ? (error.cause.stack ?? '') : ''}\n`);
  return exitCodeOf(error.code);
}

/**
 * Ends once the last sockets have closed: going at once could reset a carrier whose farewell the relay has not read,
 * and the relay would then keep our names for the grace time. A precaution: it has not been seen to happen.
 */
function leave(code: number): void {
  process.exitCode = code;
  setTimeout(() => process.exit(code), LINGER_MS).unref();
}

async function main(): Promise<number> {
  const stops = new StopRequests(() => performance.now());
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stops.request());
  const version = packageVersion();
  const onFault = (cause: unknown): void => void report(cause);
  const world: World = {
    env: process.env,
    cwd: process.cwd(),
    home: homedir(),
    temporary: tmpdir(),
    uid: process.getuid?.(),
    pid: process.pid,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    version,
    now: () => Date.now(),
    stops,
    verbosity,
    openOrigin,
    openLink: relayLinkOpener(process.env, `porthole/${version}`, onFault),
  };
  void stops.asked.then(() => {
    if (!stops.taken) process.exit(1);
  });
  // The command sees it, too, and says that it ended; this is for one that does not come to it.
  void stops.insisted.then(() => setTimeout(() => process.exit(1), 100));
  return await runProgram(args, world);
}

neverBlock(process.stdout);
neverBlock(process.stderr);
process.on('uncaughtException', (cause) => {
  void report(cause).then((code) => process.exit(code));
});
main()
  .catch(report)
  .then(leave)
  .catch(() => process.exit(1));
