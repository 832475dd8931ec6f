/** Servers that refuse to run as root, run by somebody else when the tests are root (containers, CI). */
import { chownSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { installed } from './debian.ts';

export interface Command {
  readonly command: string;
  readonly args: string[];
}

/** `program` as one of `users` (the first that exists) when the tests run as root, else as it is. */
export function notAsRoot(users: readonly string[], program: string, args: readonly string[]): Command {
  const command = installed(program) ?? program;
  const ids = process.getuid?.() === 0 ? idsOf(users) : undefined;
  if (ids === undefined) return { command, args: [...args] };
  return { command: 'setpriv', args: [`--reuid=${ids.uid}`, `--regid=${ids.gid}`, '--clear-groups', command, ...args] };
}

/** Gives a folder and what is in it to that user, where `notAsRoot` would run a program as him. */
export function giveFolder(folder: string, users: readonly string[]): void {
  const ids = process.getuid?.() === 0 ? idsOf(users) : undefined;
  if (ids === undefined) return;
  chownSync(folder, ids.uid, ids.gid);
  for (const entry of readdirSync(folder, { recursive: true }))
    chownSync(join(folder, String(entry)), ids.uid, ids.gid);
}

/** Runs `work` in this process without the rights of root, to which no file is closed. Not in a thread. */
export async function withoutPrivileges(work: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return work();
  process.seteuid?.(idsOf(['nobody']).uid);
  try {
    await work();
  } finally {
    process.seteuid?.(0);
  }
}

function idsOf(users: readonly string[]): { uid: number; gid: number } {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const user of users) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${user}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(`none of the users ${users.join(', ')} exists`);
}
