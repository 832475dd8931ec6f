/** The documentation pages that are made from code. `npm run docs` writes them; a test fails when one is stale. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ERRORS, type ErrorRow } from '@porthole/protocol';
import { CONFIGURATION_SOURCES, configurationText } from './configuration-page.ts';

export interface GeneratedPage {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
}

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

export function generatedPages(): GeneratedPage[] {
  return [
    { path: 'docs/errors.md', text: errorsPage() },
    { path: 'docs/configuration.md', text: `${NOTE(CONFIGURATION_SOURCES)}\n${configurationText()}` },
  ];
}

const NOTE = (source: string): string => `<!-- Made from ${source} by \`npm run docs\`. Do not edit. -->\n`;

/** The groups of the table are its comments; they are read from the source so that they exist once. */
function errorsPage(): string {
  const source = readFileSync(new URL('../packages/protocol/src/error-table.ts', import.meta.url), 'utf8');
  const lines = [
    NOTE('packages/protocol/src/error-table.ts'),
    '# Errors',
    '',
    'Every failure that can reach a person has a code, which never changes its meaning. Visitors find it in the `Porthole-Error`',
    'field of the relay’s own responses, users of the library in `error.code`, users of the command line in `error` events (`--json`)',
    'and in the exit code.',
    '',
    '*Wire* is the number in RESET, REFUSED and CLOSE frames; *status*, the HTTP status that a visitor gets; *exit*, the exit code of a',
    'command that ends because of it; *retry*, whether the same request, unchanged, can succeed later.',
  ];
  for (const group of errorGroups(source)) {
    lines.push(
      '',
      `## ${group.title}`,
      '',
      '| code | wire | status | exit | retry | what happened | what to do |',
      '|---|--:|--:|--:|---|---|---|',
    );
    for (const code of group.codes) lines.push(errorLine(code, ERRORS[code as keyof typeof ERRORS]));
  }
  return `${lines.join('\n')}\n`;
}

function errorLine(code: string, row: ErrorRow): string {
  const cells = [
    `\`${code}\``,
    row.wire,
    row.status ?? '',
    row.exit ?? '',
    row.retryable ? 'yes' : 'no',
    row.message,
    row.hint,
  ];
  return `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
}

function errorGroups(source: string): { title: string; codes: string[] }[] {
  const groups: { title: string; codes: string[] }[] = [];
  for (const line of source.slice(source.indexOf('export const ERRORS')).split('\n')) {
    const comment = /^ {2}\/\/ (.+?), \d+ to \d+\.$/.exec(line);
    if (comment !== null) groups.push({ title: comment[1] as string, codes: [] });
    const row = /^ {2}([A-Z][A-Z0-9_]+): \{/.exec(line);
    if (row !== null) groups.at(-1)?.codes.push(row[1] as string);
    if (line.startsWith('} as const')) break;
  }
  return groups;
}
