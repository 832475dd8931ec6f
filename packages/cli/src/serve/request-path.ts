/** Reads a request target as names below a folder. Anything that could mean another place is refused, never cleaned. */

import { sep } from 'node:path';

export interface RequestPath {
  readonly ok: true;
  /** Decoded names, none of them empty, `.` or `..`, none with a separator in it. */
  readonly segments: readonly string[];
  /** The path ended in a slash, so it means a folder. */
  readonly folder: boolean;
  /** From the question mark on, as sent; empty when there is none. */
  readonly query: string;
}

export type ParsedPath = RequestPath | { readonly ok: false; readonly status: 400 | 404 };

const BAD: ParsedPath = { ok: false, status: 400 };
const NOT_HERE: ParsedPath = { ok: false, status: 404 };

/** `target` is latin1 text as it stood on the wire. */
export function parseRequestPath(target: string): ParsedPath {
  if (!target.startsWith('/')) return BAD;
  const mark = target.indexOf('?');
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? '' : target.slice(mark);
  const raw = path.slice(1).split('/');
  const folder = raw.at(-1) === '';
  if (folder) raw.pop();
  const segments: string[] = [];
  for (const part of raw) {
    const name = decode(part);
    if (name === undefined || name.includes('\0')) return BAD;
    if (!isPlainName(name)) return NOT_HERE;
    segments.push(name);
  }
  return { ok: true, segments, folder, query };
}

/** An encoded slash, a backslash or (on Windows) a colon would make one name into a path, a drive or a side stream. */
function isPlainName(name: string): boolean {
  if (name === '' || name === '.' || name === '..') return false;
  if (name.includes('/') || name.includes('\\')) return false;
  return sep !== '\\' || !(name.includes(':') || name.endsWith('.') || name.endsWith(' '));
}

/** Percent-decoding to UTF-8 (RFC 3986 section 2.1); undefined for a broken escape or bytes that are not UTF-8. */
function decode(part: string): string | undefined {
  if (!/[%\x80-\xff]/.test(part)) return part;
  const bytes = part.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`);
  try {
    return decodeURIComponent(bytes);
  } catch {
    return undefined;
  }
}

/** The path again, in the one spelling that redirects use. */
export function encodePath(segments: readonly string[]): string {
  return `/${segments.map((name) => encodeURIComponent(name.toWellFormed())).join('/')}`;
}
