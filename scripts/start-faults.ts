/** What can go wrong with `npm start`, in the words of somebody who typed no more than that. */
import { parseArgs } from 'node:util';
import { PortholeError } from '@porthole/agent';

const DEFAULT_PORT = '8080';

/** The message is a sentence with what to do. */
export class StartFault extends Error {
  override readonly name = 'StartFault';
  readonly exitCode: 1 | 2;

  constructor(exitCode: 1 | 2, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** `variable` is PORT of the environment. Throws StartFault. */
export function readPort(args: readonly string[], variable: string | undefined): number {
  const flag = readFlag(args);
  const [what, text] =
    flag !== undefined
      ? ['--port', flag]
      : ['PORT', variable === undefined || variable === '' ? DEFAULT_PORT : variable];
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
    throw new StartFault(
      2,
      `${what} ${JSON.stringify(text)} is not a port from 1 to 65535 (or 0 for any free one), for example: npm start -- --port 8081`,
    );
  return Number(text);
}

function readFlag(args: readonly string[]): string | undefined {
  try {
    return parseArgs({ args: [...args], options: { port: { type: 'string' } } }).values.port;
  } catch (cause) {
    // The first sentence says which; what follows speaks of options that are none here.
    const [which = ''] = (cause instanceof Error ? cause.message : String(cause)).split(/[.\n]/);
    throw new StartFault(2, `${which}. npm start takes a port and nothing else: npm start -- --port 8081`, { cause });
  }
}

/** A sentence where one is known; what is left is a bug and keeps its stack. */
export function startFault(error: unknown, port: number): unknown {
  if (error instanceof PortholeError) return new StartFault(1, ofPorthole(error, port), { cause: error });
  if (!(error instanceof Error) || !('path' in error) || !('code' in error)) return error;
  const why =
    error.code === 'EEXIST' || error.code === 'ENOTDIR'
      ? `is not a folder; move it away, the relay keeps its data there`
      : `cannot be written (${String(error.code)}); see to its owner and permissions`;
  return new StartFault(1, `${String(error.path)} ${why}.`, { cause: error });
}

function ofPorthole(error: PortholeError, port: number): string {
  switch (error.code) {
    case 'ADDRESS_IN_USE':
      return `Port ${port} is taken by another program. Stop that program, or choose another port: npm start -- --port 8081`;
    case 'DATA_FOLDER_IN_USE':
      return `A relay runs in this clone already (${error.detail}). Use that one, or stop it first.`;
    default:
      return `${error.message} ${error.hint}`;
  }
}
