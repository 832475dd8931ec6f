/** The folder origin's own pages: a listing, and short plain words when there is nothing to send. */
import { opendir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDotfile, isInside, plausibleTime } from './locate.ts';

/** Entries a listing shows at most; the page says when there are more. */
const MAX_LISTED = 5_000;

interface ListingEntry {
  readonly name: string;
  readonly folder: boolean;
  readonly size: number;
  readonly modifiedMs: number;
}

export interface Listing {
  readonly entries: readonly ListingEntry[];
  readonly complete: boolean;
}

const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  206: 'Partial Content',
  301: 'Moved Permanently',
  304: 'Not Modified',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  412: 'Precondition Failed',
  416: 'Range Not Satisfiable',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

const SENTENCES: Readonly<Record<number, string>> = {
  400: 'The path of this request is not valid.',
  403: 'This may not be read.',
  404: 'There is nothing here.',
  405: 'Files can only be read: use GET or HEAD.',
  412: 'The file is not the one the request asked for.',
  416: 'The file has no such bytes.',
  500: 'The file could not be read.',
  503: 'Too many files are open; try again in a moment.',
};

export function reasonOf(status: number): string {
  return REASONS[status] ?? '';
}

export function plainPage(status: number): string {
  return `${status} ${reasonOf(status)}\n${SENTENCES[status] ?? ''}\n`;
}

/** Only what a request for it would get: no hidden files, no links out of the root, nothing but files and folders. */
export async function readListing(root: string, folder: string, dotfiles: boolean): Promise<Listing> {
  const entries: ListingEntry[] = [];
  for await (const entry of await opendir(folder)) {
    if (!dotfiles && isDotfile(entry.name)) continue;
    if (entries.length === MAX_LISTED) return { entries: sorted(entries), complete: false };
    const facts = await entryFacts(root, join(folder, entry.name), dotfiles);
    if (facts !== undefined) entries.push({ name: entry.name, ...facts });
  }
  return { entries: sorted(entries), complete: true };
}

async function entryFacts(
  root: string,
  path: string,
  dotfiles: boolean,
): Promise<Omit<ListingEntry, 'name'> | undefined> {
  try {
    const real = await realpath(path);
    if (!isInside(root, real, dotfiles)) return undefined;
    const stats = await stat(real);
    if (!stats.isFile() && !stats.isDirectory()) return undefined;
    return { folder: stats.isDirectory(), size: stats.size, modifiedMs: plausibleTime(stats.mtimeMs) };
  } catch {
    return undefined;
  }
}

function sorted(entries: ListingEntry[]): ListingEntry[] {
  const collator = new Intl.Collator('en', { numeric: true });
  return entries.sort((a, b) => Number(b.folder) - Number(a.folder) || collator.compare(a.name, b.name));
}

export function listingPage(segments: readonly string[], listing: Listing): string {
  const title = escapeHtml(`/${segments.map((name) => `${name}/`).join('')}`);
  const rows = listing.entries.map(row);
  if (segments.length > 0) rows.unshift('<tr><td><a href="../">../</a></td><td></td><td></td></tr>');
  const more = listing.complete ? '' : `<p>Only the first ${MAX_LISTED} entries are shown.</p>\n`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>
<style>body{font:15px/1.6 system-ui,sans-serif;margin:2em;color-scheme:light dark}td{padding-right:2em}td+td{text-align:right;font-variant-numeric:tabular-nums;opacity:.7}</style>
</head><body><h1>${title}</h1>
<table>
${rows.join('\n')}
</table>
${more}</body></html>
`;
}

function row(entry: ListingEntry): string {
  const slash = entry.folder ? '/' : '';
  const href = escapeHtml(`./${encodeURIComponent(entry.name.toWellFormed())}${slash}`);
  const time = new Date(entry.modifiedMs).toISOString().slice(0, 16).replace('T', ' ');
  const size = entry.folder ? '' : sizeText(entry.size);
  return `<tr><td><a href="${href}">${escapeHtml(entry.name)}${slash}</a></td><td>${size}</td><td>${time}</td></tr>`;
}

function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
