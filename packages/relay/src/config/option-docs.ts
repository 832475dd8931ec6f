/** The options as a table for the documentation, and as a commented file to start from. */
import { environmentName, flagName, OPTION_PATHS, type OptionPath, optionAt } from './options.ts';

/** A markdown table, one row per option. */
export function optionTable(): string {
  const rows = OPTION_PATHS.map((path) => {
    const option = optionAt(path);
    const cells = [`\`${path}\``, option.type.name, code(printedDefault(path)), code(flagName(path) ?? ''), code(environmentName(path)), option.help];
    return `| ${cells.join(' | ')} |`;
  });
  return ['| key | type | default | flag | environment | what it does |', '|---|---|---|---|---|---|', ...rows, ''].join('\n');
}

/** The default as one would write it; empty when there is none. */
export function printedDefault(path: OptionPath): string {
  const option = optionAt(path);
  return String(option.type.print(option.fallback));
}

function code(text: string): string {
  return text === '' ? '' : `\`${text}\``;
}
