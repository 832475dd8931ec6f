/** Everything a command needs from outside, handed in by `main.ts`, so that no other file touches the process. */
import { join } from 'node:path';
import type { LinkEvents, OnOriginFailed, Origin, RelayLink } from '@porthole/agent';
import { openOutput, type Output } from './output/output.ts';
import { LineWriter, type OutputStream } from './output/line-writer.ts';
import { printable } from './output/plain-lines.ts';
import type { TunnelPlan } from './plan.ts';
import { statusFolder } from './running/status-socket.ts';
import { Credentials, credentialsPath } from './settings/credentials.ts';
import type { LogLevel } from './settings/config-schema.ts';
import type { RelayChoice, Surroundings } from './settings/relay-choice.ts';
import type { StopRequests } from './stop-requests.ts';

export interface InputStream extends AsyncIterable<Buffer | string> {
  readonly isTTY?: boolean;
}

/** How much is told. Known from flag and environment at first, from the configuration file as soon as that is read. */
export interface Verbosity {
  level: string | undefined;
}

export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly home: string;
  readonly temporary: string;
  readonly uid: number | undefined;
  readonly pid: number;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly version: string;
  readonly now: () => number;
  readonly stops: StopRequests;
  readonly verbosity: Verbosity;
  readonly openOrigin: (plan: TunnelPlan, onFailed: OnOriginFailed) => Origin;
  readonly openLink: (choice: RelayChoice, events: LinkEvents) => RelayLink;
}

export function surroundings(world: World): Surroundings {
  const { env, cwd, home } = world;
  return { env, cwd, home, credentials: new Credentials(credentialsPath(env, home)) };
}

export function statusFolderOf(world: World): string {
  return statusFolder(world);
}

/** Keys and certificates of end-to-end tunnels. */
export function certificateFolderOf({ env, home }: World): string {
  const base = env['XDG_STATE_HOME'] ?? '';
  return join(base.startsWith('/') ? base : join(home, '.local', 'state'), 'porthole', 'certificates');
}

export function eventOutput(
  world: World,
  options: { readonly json: boolean; readonly level: LogLevel; readonly qr: ((url: string) => string[]) | undefined },
): Output {
  return openOutput(world.stdout, world.stderr, world.env['TERM'], { ...options, now: world.now });
}

/** Prints what a command answers and ends with; lines are made harmless to the terminal. */
export async function printLines(stream: OutputStream, lines: readonly string[]): Promise<void> {
  const writer = new LineWriter(stream, () => '');
  writer.write(`${lines.map(printable).join('\n')}\n`);
  await writer.flush(2000);
}
