/** Reads the configuration file: YAML to raw values by option path, each with its place. */
import { isAlias, isMap, isScalar, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import type { ConfigFault, Source } from './faults.ts';
import { nearest } from './faults.ts';
import { OPTION_PATHS } from './options.ts';

export interface RawValue {
  readonly value: unknown;
  readonly source: Source;
}

export interface ReadFile {
  readonly values: ReadonlyMap<string, RawValue>;
  readonly faults: readonly ConfigFault[];
}

/** Every path and every part of one: what a key may be. */
const SECTIONS: ReadonlySet<string> = new Set(
  OPTION_PATHS.flatMap((path) => (path.includes('.') ? path.slice(0, path.indexOf('.')) : [])),
);
const PATHS: ReadonlySet<string> = new Set(OPTION_PATHS);

/** `file` is only for the messages. */
export function readConfigText(text: string, file: string): ReadFile {
  const reader = new FileReader(file);
  const document = parseDocument(text, { lineCounter: reader.lines, strict: true, uniqueKeys: true });
  for (const error of document.errors) reader.fault(error.pos[0], '', firstLine(error.message));
  if (reader.faults.length > 0) return reader;
  if (isMap(document.contents)) reader.readMap(document.contents, '');
  else if (document.contents !== null && !isEmptyScalar(document.contents))
    reader.fault(0, '', 'must be a list of `key: value` lines');
  return reader;
}

class FileReader implements ReadFile {
  readonly lines = new LineCounter();
  readonly values = new Map<string, RawValue>();
  readonly faults: ConfigFault[] = [];
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  fault(offset: number, path: string, message: string): void {
    this.faults.push({ source: this.#source(offset), path, message });
  }

  readMap(map: YAMLMap, prefix: string): void {
    for (const { key, value } of map.items) {
      const keyNode = key as Node;
      const offset = keyNode.range?.[0] ?? 0;
      const path = `${prefix}${isScalar(keyNode) ? String(keyNode.value) : '?'}`;
      if (SECTIONS.has(path)) this.#readSection(path, value as Node | null, offset);
      else if (PATHS.has(path)) this.#readValue(path, value as Node | null, offset);
      else this.fault(offset, path, unknownKey(path, prefix));
    }
  }

  #readSection(path: string, value: Node | null, offset: number): void {
    if (isMap(value)) this.readMap(value, `${path}.`);
    else if (value !== null && !isEmptyScalar(value))
      this.fault(value.range?.[0] ?? offset, path, 'must be a section with keys of its own');
  }

  #readValue(path: string, value: Node | null, offset: number): void {
    // A key without a value is somebody's unfinished edit, or a default left in place: the default it is.
    if (value === null || isEmptyScalar(value)) return;
    const source = this.#source(value.range?.[0] ?? offset);
    if (isAlias(value)) this.faults.push({ source, path, message: 'aliases are not supported' });
    else this.values.set(path, { value: sourceText(value), source });
  }

  #source(offset: number): Source {
    const { line, col } = this.lines.linePos(offset);
    return { kind: 'file', file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}

/** Scalars as they are written, so that `0x10` or `1_0` are judged by us and not by YAML's idea of a number. */
function sourceText(value: Node): unknown {
  if (isScalar(value)) return value.source ?? value.value;
  return value.toJSON();
}

function isEmptyScalar(node: unknown): boolean {
  return isScalar(node) && node.value === null;
}

function unknownKey(path: string, prefix: string): string {
  const known = [...PATHS, ...SECTIONS].filter((candidate) => prefix === '' || candidate.startsWith(prefix));
  // Somebody may have left out or added the section, so all paths are candidates for the last part.
  const guess =
    nearest(path, known) ??
    OPTION_PATHS.find((candidate) => candidate.endsWith(`.${path}`) || path.endsWith(`.${candidate}`));
  return guess === undefined ? 'there is no such option' : `there is no such option; did you mean ${guess}?`;
}

function firstLine(message: string): string {
  return (message.split('\n', 1)[0] ?? '').replace(/ at line \d+, column \d+:?$/, '');
}
