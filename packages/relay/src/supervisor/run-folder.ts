/** The folder of the workers' local sockets: nobody but the relay's user may enter, because carriers pass through it. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A local socket's path has 107 bytes at most; the names in the folder take some of them. */
const MAX_PATH_BYTES = 80;
/** Workers of a supervisor that was killed may still finish something, but not for so long. */
const LEFT_BEHIND_MS = 3_600_000;

export interface RunFolder {
  readonly path: string;
  remove(): void;
}

/** One per supervisor: workers that one left behind must not meet those of the next under the same name. */
export function openRunFolder(dataDir: string, pid: number): RunFolder {
  const folders = join(dataDir, 'run');
  mkdirSync(folders, { recursive: true, mode: 0o700 });
  removeLeftBehind(folders);
  const wanted = join(folders, String(pid));
  const isShort = Buffer.byteLength(wanted) <= MAX_PATH_BYTES;
  if (isShort) mkdirSync(wanted, { recursive: true, mode: 0o700 });
  const path = isShort ? wanted : mkdtempSync(join(tmpdir(), 'porthole-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

function removeLeftBehind(folders: string): void {
  for (const name of readdirSync(folders)) {
    const path = join(folders, name);
    if (Date.now() - statSync(path).mtimeMs > LEFT_BEHIND_MS) rmSync(path, { recursive: true, force: true });
  }
}
