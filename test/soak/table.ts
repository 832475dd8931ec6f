/** The tables at the end of a soak. */
import type { LoadCounts } from './load.ts';
import type { Usage } from './usage.ts';

export interface SoakResult {
  readonly counts: LoadCounts;
  readonly faults: ReadonlyMap<string, number>;
  readonly carriers: number;
  readonly resumes: number;
  readonly before: Usage;
  readonly after: Usage;
  readonly failures: readonly string[];
}

const MIB = 1024 * 1024;
const SHOWN_ERRORS = 20;

export type Print = (line?: string) => void;

export function tableRow(print: Print, what: string, ...cells: readonly (string | number)[]): void {
  print(`  ${what.padEnd(34)}${cells.map((cell) => String(cell).padStart(14)).join('')}`);
}

export function printTable(print: Print, result: SoakResult): void {
  const { counts, faults } = result;
  const row = (what: string, ...cells: (string | number)[]): void => tableRow(print, what, ...cells);
  print('\nload');
  row('small requests', counts.requests);
  row('transfers', counts.transfers);
  row('streams (WebSocket, events, TCP)', counts.longVisits);
  row('messages in them', counts.messages);
  row('MiB in bodies', Math.round(counts.bytes / MIB));
  print('faults');
  for (const [kind, count] of faults) row(kind, count);
  row(
    'all',
    [...faults.values()].reduce((sum, count) => sum + count, 0),
  );
  row('carriers made', result.carriers);
  row('lanes resumed', result.resumes);
  print('usage');
  row('', 'at the start', 'at the end');
  for (const [what, was] of result.before) row(what, was, result.after.get(what) ?? '');
  print('seen by visitors');
  row('errors', counts.errors.length);
  for (const error of counts.errors.slice(0, SHOWN_ERRORS)) print(`    ${error}`);
  for (const failure of result.failures) print(`FAILED ${failure}`);
}
