/** Finds what a request path means below the served folder, through the file system's own eyes (symbolic links resolved). */
import { constants } from 'node:fs';
import { lstat, open, realpath, type FileHandle } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';

export type Located =
  | { readonly kind: 'file'; readonly handle: FileHandle; readonly stats: FileFacts }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'refused'; readonly status: 403 | 404 | 500 | 503 };

export interface FileFacts {
  readonly size: number;
  readonly modifiedMs: number;
  /** Changes with the size and with both of the file's nanosecond times, one of which nobody can set back. */
  readonly tag: string;
}

const NOT_HERE: Located = { kind: 'refused', status: 404 };

/** `root` is a real path. A file comes back open; whoever gets it closes it. */
export async function locate(root: string, segments: readonly string[], dotfiles: boolean): Promise<Located> {
  if (!dotfiles && segments.some(isDotfile)) return NOT_HERE;
  try {
    const path = await realpath(join(root, ...segments));
    if (!isInside(root, path, dotfiles)) return NOT_HERE;
    // Looked at before it is opened: opening a pipe or a device would block or do something.
    const before = await lstat(path);
    if (before.isDirectory()) return { kind: 'folder', path };
    if (!before.isFile()) return { kind: 'refused', status: 403 };
    return await openFile(path);
  } catch (cause) {
    return { kind: 'refused', status: statusOfFault(cause) };
  }
}

/** The file may have been replaced since it was looked at, so a link is not followed, and facts come from the handle. */
async function openFile(path: string): Promise<Located> {
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  const handle = await open(path, flags);
  try {
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile()) {
      await handle.close();
      return { kind: 'refused', status: 403 };
    }
    const tag = `"${stats.size.toString(36)}-${stats.mtimeNs.toString(36)}-${stats.ctimeNs.toString(36)}"`;
    return {
      kind: 'file',
      handle,
      stats: { size: Number(stats.size), modifiedMs: plausibleTime(Number(stats.mtimeMs)), tag },
    };
  } catch (cause) {
    await handle.close();
    throw cause;
  }
}

/** A link inside the folder must not lead out of it, nor to a hidden file. */
export function isInside(root: string, path: string, dotfiles: boolean): boolean {
  if (path === root) return true;
  if (!path.startsWith(root.endsWith(sep) ? root : root + sep)) return false;
  return dotfiles || !relative(root, path).split(sep).some(isDotfile);
}

export function isDotfile(name: string): boolean {
  return name.startsWith('.');
}

/** File systems hold any number as a time; dates do not. */
export function plausibleTime(ms: number): number {
  return Math.min(Math.max(0, ms), 8.64e15);
}

export function statusOfFault(cause: unknown): 403 | 404 | 500 | 503 {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
    case 'EINVAL':
      return 404;
    case 'EACCES':
    case 'EPERM':
      return 403;
    case 'EMFILE':
    case 'ENFILE':
      return 503;
    default:
      return 500;
  }
}
