/** The options as a table for the documentation, and as a commented file to start from. */
import { environmentName, flagName, OPTION_PATHS, type OptionPath, optionAt } from './options.ts';

/** A markdown table, one row per option. */
export function optionTable(): string {
  const rows = OPTION_PATHS.map((path) => {
    const option = optionAt(path);
    const cells = [
      `\`${path}\``,
      option.type.name,
      code(printedDefault(path)),
      code(flagName(path) ?? ''),
      code(environmentName(path)),
      option.help,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    '| key | type | default | flag | environment | what it does |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

/**
 * A configuration file in which every option stands as a comment with its default, except those `set` gives. Options
 * that have no default are shown empty.
 */
export function commentedFile(set: Partial<Record<OptionPath, string>>): string {
  const lines = [
    '# Configuration of a Porthole relay. Lines with # show the defaults; `porthole-relay config` shows what is in effect.',
  ];
  let section = '';
  for (const path of OPTION_PATHS) {
    const dot = path.indexOf('.');
    const ownSection = dot === -1 ? '' : path.slice(0, dot);
    const indent = ownSection === '' ? '' : '  ';
    lines.push('');
    if (ownSection !== section && ownSection !== '') lines.push(`${ownSection}:`);
    section = ownSection;
    lines.push(...wrap(optionAt(path).help, 110).map((line) => `${indent}# ${line}`));
    const value = set[path];
    const written =
      `${path.slice(dot + 1)}: ${value === undefined ? printedDefault(path) : JSON.stringify(value)}`.trimEnd();
    lines.push(`${indent}${value === undefined ? '# ' : ''}${written}`);
  }
  return `${lines.join('\n')}\n`;
}

function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + word.length >= width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

/** The default as one would write it; empty when there is none. */
export function printedDefault(path: OptionPath): string {
  const option = optionAt(path);
  return String(option.type.print(option.fallback));
}

function code(text: string): string {
  return text === '' ? '' : `\`${text}\``;
}
