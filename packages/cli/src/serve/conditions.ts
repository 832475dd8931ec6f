/** Conditional requests (RFC 9110 section 13.2.2), for a file with a strong tag and a modification time. */
import type { FileFacts } from './locate.ts';

/** Looks a request field up by its lower-case name; several lines of it come joined. */
export type FieldReader = (name: string) => string | undefined;

export type ConditionOutcome = 'proceed' | 'not-modified' | 'failed';

export function evaluateConditions(field: FieldReader, file: FileFacts): ConditionOutcome {
  const match = field('if-match');
  if (match !== undefined) {
    if (!lists(match, file.tag, false)) return 'failed';
  } else {
    const unmodifiedSince = parseDate(field('if-unmodified-since'));
    if (unmodifiedSince !== undefined && seconds(file.modifiedMs) > unmodifiedSince) return 'failed';
  }
  const noneMatch = field('if-none-match');
  if (noneMatch !== undefined) return lists(noneMatch, file.tag, true) ? 'not-modified' : 'proceed';
  const modifiedSince = parseDate(field('if-modified-since'));
  if (modifiedSince !== undefined && seconds(file.modifiedMs) <= modifiedSince) return 'not-modified';
  return 'proceed';
}

/** Whether `Range` still counts: no `If-Range`, or one that names exactly this file (section 13.1.5). */
export function rangeHolds(field: FieldReader, file: FileFacts): boolean {
  const value = field('if-range')?.trim();
  if (value === undefined) return true;
  if (value.startsWith('"') || value.startsWith('W/')) return value === file.tag;
  return parseDate(value) === seconds(file.modifiedMs);
}

function lists(field: string, tag: string, weak: boolean): boolean {
  if (field.trim() === '*') return true;
  for (const match of field.matchAll(/(W\/)?("[^"]*")/g)) {
    if (match[2] === tag && (weak || match[1] === undefined)) return true;
  }
  return false;
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/** Only dates in one of HTTP's formats count (section 5.6.7); they all begin with the name of a day. */
function parseDate(value: string | undefined): number | undefined {
  if (value === undefined || !/^(mon|tue|wed|thu|fri|sat|sun)[a-z]*,? /i.test(value.trim())) return undefined;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? undefined : seconds(ms);
}
