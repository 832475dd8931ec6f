/** Small files that hold settings and secrets: read with a limit, written whole or not at all. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { PortholeError } from '@porthole/agent';

/** Undefined when there is no such file. Throws FILE_UNREADABLE for one that cannot be read or is too large. */
export function readIfThere(path: string, maxBytes: number): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw new PortholeError('FILE_UNREADABLE', reasonText(path, cause), { cause });
  }
  try {
    return readAll(fd, path, maxBytes);
  } finally {
    closeSync(fd);
  }
}

/** Reads until the end and not by size: a token may come from a pipe (`--token-file <(pass show relay)`). */
function readAll(fd: number, path: string, maxBytes: number): string {
  const buffer = Buffer.alloc(maxBytes + 1);
  let length = 0;
  try {
    if (fstatSync(fd).isDirectory()) throw new PortholeError('FILE_UNREADABLE', `${path} is a folder`);
    while (length <= maxBytes) {
      const count = readSync(fd, buffer, length, buffer.length - length, null);
      if (count === 0) return buffer.toString('utf8', 0, length);
      length += count;
    }
  } catch (cause) {
    throw cause instanceof PortholeError
      ? cause
      : new PortholeError('FILE_UNREADABLE', reasonText(path, cause), { cause });
  }
  throw new PortholeError('FILE_UNREADABLE', `${path} is larger than ${maxBytes} bytes`);
}

export function readNeeded(path: string, maxBytes: number): string {
  const text = readIfThere(path, maxBytes);
  if (text === undefined) throw new PortholeError('FILE_UNREADABLE', `${path} does not exist`);
  return text;
}

/** Only the owner can read the result, and a crash leaves the old file or the new one. */
export function writeSecretFile(path: string, text: string): void {
  const draft = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(draft, text, { mode: 0o600, flag: 'wx' });
    chmodSync(draft, 0o600);
    renameSync(draft, path);
  } catch (cause) {
    rmSync(draft, { force: true });
    throw new PortholeError('FILE_UNREADABLE', `${path} could not be written: ${faultCode(cause)}`, { cause });
  }
}

/** `~/` is the home folder, everything else is relative to `base`. */
export function expandPath(path: string, base: string, home: string): string {
  return path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : resolve(base, path);
}

function isMissing(cause: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(faultCode(cause));
}

function reasonText(path: string, cause: unknown): string {
  const code = faultCode(cause);
  return code === 'EACCES' || code === 'EPERM' ? `${path}: permission denied` : `${path}: ${code}`;
}

function faultCode(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
}
