/** What a run found: rows, a table for people, and what the machine was. */
import { execFileSync } from 'node:child_process';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { median, medianRatio } from './rounds.ts';

export interface Row {
  readonly title: string;
  readonly unit: string;
  /** By competitor, round by round. */
  readonly values: ReadonlyMap<string, readonly number[]>;
  readonly digits: number;
  readonly target: Target;
}

export type Target =
  /** Porthole against the two nginx of the same run: at least this many times. */
  | { readonly kind: 'ratio'; readonly atLeast: number }
  | { readonly kind: 'least'; readonly value: number }
  | { readonly kind: 'most'; readonly value: number }
  /** For information. */
  | { readonly kind: 'none' };

const PORTHOLE = 'porthole';
const YARDSTICK = 'two nginx';

export function isReached(row: Row): boolean {
  if (row.target.kind === 'none') return true;
  const rounds = row.values.get(PORTHOLE) ?? [];
  if (row.target.kind === 'ratio') return medianRatio(rounds, row.values.get(YARDSTICK) ?? []) >= row.target.atLeast;
  const own = median(rounds);
  return row.target.kind === 'least' ? own >= row.target.value : own <= row.target.value;
}

export function table(rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap((row) => [...row.values.keys()]))];
  const lines = [['', 'unit', ...names, 'of two nginx', 'of direct', 'target', '']];
  for (const row of rows) {
    const own = row.values.get(PORTHOLE) ?? [];
    lines.push([
      row.title,
      row.unit,
      ...names.map((name) => (row.values.has(name) ? figure(median(row.values.get(name) ?? []), row.digits) : '')),
      ratio(own, row.values.get(YARDSTICK)),
      ratio(own, row.values.get('direct')),
      targetText(row),
      verdict(row),
    ]);
  }
  return markdown(lines);
}

/** What each round of a row gave, for whoever wonders about a median. */
export function roundLines({ values, digits }: Row): string[] {
  return [...values].map(([name, rounds]) => `  ${name}: ${rounds.map((value) => figure(value, digits)).join('  ')}`);
}

function verdict(row: Row): string {
  if (row.target.kind === 'none') return '';
  return isReached(row) ? 'reached' : 'MISSED';
}

function targetText({ target, unit, digits }: Row): string {
  if (target.kind === 'none') return '';
  if (target.kind === 'ratio') return `${target.atLeast.toFixed(1)} x two nginx`;
  return `${target.kind === 'least' ? 'at least' : 'at most'} ${figure(target.value, digits)} ${unit}`;
}

function ratio(own: readonly number[], other: readonly number[] | undefined): string {
  return other === undefined ? '' : figure(medianRatio(own, other), 2);
}

function figure(value: number, digits: number): string {
  if (Number.isNaN(value)) return 'failed';
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function markdown(lines: readonly string[][]): string {
  const widths = (lines[0] as string[]).map((_, column) =>
    Math.max(...lines.map((line) => (line[column] as string).length), 3),
  );
  const text = (line: readonly string[]): string =>
    `| ${line.map((cell, column) => align(cell, column, widths)).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column < 2 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [text(lines[0] as string[]), rule, ...lines.slice(1).map(text)].join('\n');
}

function align(cell: string, column: number, widths: readonly number[]): string {
  return column < 2 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number);
}

export function machine(): string {
  const processor = cpus()[0]?.model ?? 'unknown processor';
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB of memory`;
  return [
    `${cpus().length} x ${processor}, ${memory}`,
    `${platform()} ${release()} ${arch()}`,
    `Node ${process.versions.node}`,
    version('nginx', ['-v']),
    version('wrk', ['-v']),
  ].join('; ');
}

function version(program: string, args: readonly string[]): string {
  try {
    return firstLine(
      execFileSync('sh', ['-c', `PATH="$PATH:/usr/sbin" ${program} ${args.join(' ')} 2>&1 || true`], {
        encoding: 'utf8',
      }),
    );
  } catch {
    return `${program} not found`;
  }
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').replace(/\s+Copyright.*/, '').trim();
}
