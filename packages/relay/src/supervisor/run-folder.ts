/** The folder of the workers' local sockets: nobody but the relay's user may enter, because carriers pass through it. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A local socket's path has 107 bytes at most; the names in the folder take some of them. */
const MAX_PATH_BYTES = 80;

export interface RunFolder {
  readonly path: string;
  remove(): void;
}

export function openRunFolder(dataDir: string): RunFolder {
  const wanted = join(dataDir, 'run');
  if (Buffer.byteLength(wanted) > MAX_PATH_BYTES) {
    const path = mkdtempSync(join(tmpdir(), 'porthole-'));
    return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
  }
  mkdirSync(wanted, { recursive: true, mode: 0o700 });
  chmodSync(wanted, 0o700);
  return { path: wanted, remove: () => removeSockets(wanted) };
}

/** Of workers that have ended; those of an earlier supervisor that still finish something keep theirs. */
function removeSockets(folder: string): void {
  for (const name of readdirSync(folder)) if (name.endsWith('.sock')) rmSync(join(folder, name), { force: true });
}
