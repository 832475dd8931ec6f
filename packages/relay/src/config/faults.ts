/** What is wrong with a configuration, all of it at once, each with the place where it is to be corrected. */
import { PortholeError } from '@porthole/protocol';

/** Where a value came from. */
export type Source =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: 'environment'; readonly name: string }
  | { readonly kind: 'flag'; readonly name: string };

export interface ConfigFault {
  readonly source: Source;
  /** Path of the option; empty when it is about the whole file. */
  readonly path: string;
  readonly message: string;
}

/** `relay.yml:3:7: limits.max_fields: …`, `PORTHOLE_RELAY_HTTP: …`, `--http: …`. */
function formatFault({ source, path, message }: ConfigFault): string {
  switch (source.kind) {
    case 'file':
      return `${source.file}:${source.line}:${source.column}: ${path === '' ? '' : `${path}: `}${message}`;
    case 'environment':
    case 'flag':
      return `${source.name}: ${message}`;
    case 'default':
      return `${path}: ${message}`;
  }
}

/** Its `detail` has one fault a line. */
export class ConfigError extends PortholeError {
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    super('CONFIG_INVALID', faults.map(formatFault).join('\n'));
    this.faults = faults;
  }
}

/** The candidate nearest to what was written, if it is near enough to be meant. */
export function nearest(written: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(written.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(written.slice(0, 80).toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's, row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, substituted));
    }
    row = next;
  }
  return row[b.length] as number;
}
