/** The effective configuration as a file that would give it again, secrets masked, each line with its source. */
import type { LoadedConfig } from './load-config.ts';
import type { Source } from './faults.ts';
import { OPTION_PATHS, type OptionPath, optionAt } from './options.ts';

export function printConfig({ values, sources }: Pick<LoadedConfig, 'values' | 'sources'>): string {
  const lines: string[] = [];
  let section = '';
  for (const path of OPTION_PATHS) {
    const dot = path.indexOf('.');
    const ownSection = dot === -1 ? '' : path.slice(0, dot);
    if (ownSection !== section && ownSection !== '') lines.push(`${ownSection}:`);
    section = ownSection;
    const key = dot === -1 ? path : `  ${path.slice(dot + 1)}`;
    const line = `${key}: ${printValue(path, values[path])}`;
    lines.push(`${line.trimEnd().padEnd(44)} # ${describe(sources.get(path))}`);
  }
  return `${lines.join('\n')}\n`;
}

function printValue(path: OptionPath, value: unknown): string {
  const option = optionAt(path);
  if (option.secret === true && value !== undefined) return '"***"';
  const printed = option.type.print(value);
  if (Array.isArray(printed)) return `[${printed.map((item) => JSON.stringify(item)).join(', ')}]`;
  return typeof printed === 'string' && printed !== '' && !/^[\w./-]+$/.test(printed)
    ? JSON.stringify(printed)
    : String(printed);
}

function describe(source: Source | undefined): string {
  switch (source?.kind) {
    case 'file':
      return `${source.file}:${source.line}`;
    case 'environment':
    case 'flag':
      return source.name;
    default:
      return 'default';
  }
}
