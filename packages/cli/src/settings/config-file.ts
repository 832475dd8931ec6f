/** Reads `porthole.yml`: positions are kept, so that every fault names its line, and all faults come at once. */
import { PortholeError } from '@porthole/agent';
import { isMap, isNode, isPair, isScalar, LineCounter, parseDocument, type Document, type Node } from 'yaml';
import type { z } from 'zod';
import { configSchema, FILE_KEYS, TUNNEL_KEYS, type ConfigDocument } from './config-schema.ts';
import { nearest } from './suggestion.ts';

export interface ConfigFault {
  readonly line: number;
  readonly column: number;
  /** Keys from the root, joined by dots; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}

export type ConfigOutcome =
  | { readonly ok: true; readonly document: ConfigDocument }
  | { readonly ok: false; readonly faults: readonly ConfigFault[] };

type Path = readonly PropertyKey[];

/** A file larger than this is not a configuration. */
export const MAX_CONFIG_BYTES = 1024 * 1024;

export function parseConfig(source: string): ConfigOutcome {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, version: '1.2' });
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  if (document.errors.length > 0) {
    return {
      ok: false,
      faults: document.errors.map((error) => ({ ...at(error.pos[0]), path: '', message: lowerFirst(error.message) })),
    };
  }
  let value: unknown;
  try {
    // Aliases may be nested so that a small file means a huge value; the library then throws.
    value = document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (cause) {
    return {
      ok: false,
      faults: [
        { line: 1, column: 1, path: '', message: lowerFirst(cause instanceof Error ? cause.message : String(cause)) },
      ],
    };
  }
  const result = configSchema.safeParse(value);
  const faults = result.success ? [] : result.error.issues.flatMap((issue) => faultsOf(issue, document, at));
  if (result.success && faults.length === 0) return { ok: true, document: result.data };
  return { ok: false, faults: faults.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/** Throws CONFIG_INVALID whose detail has one line for each fault: `file:line:col: path: message`. */
export function configFromText(file: string, source: string): ConfigDocument {
  const outcome = parseConfig(source);
  if (outcome.ok) return outcome.document;
  throw new PortholeError('CONFIG_INVALID', outcome.faults.map((fault) => faultText(file, fault)).join('\n'));
}

export function faultText(file: string, fault: ConfigFault): string {
  return `${file}:${fault.line}:${fault.column}: ${fault.path === '' ? '' : `${fault.path}: `}${fault.message}`;
}

function faultsOf(
  issue: z.core.$ZodIssue,
  document: Document,
  at: (offset: number) => { line: number; column: number },
): ConfigFault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      return { ...at(offsetOf(document, path, true)), path: path.join('.'), message: unknownKey(key, issue.path) };
    });
  }
  const onKey = issue.code === 'invalid_key' || issue.message.startsWith('does not apply');
  const message =
    issue.code === 'invalid_key' ? `the name of a tunnel ${issue.issues[0]?.message ?? 'is not valid'}` : issue.message;
  return [{ ...at(offsetOf(document, issue.path, onKey)), path: issue.path.join('.'), message }];
}

function unknownKey(key: string, path: Path): string {
  if (key === 'token')
    return 'a token does not belong into this file; put it into another and name that with token_file';
  const meant = nearest(key, path.length === 0 ? FILE_KEYS : TUNNEL_KEYS);
  return meant === undefined ? 'unknown key' : `unknown key; did you mean ${meant}?`;
}

/** Where the value (or the key) at `path` stands; for what is not there, the nearest thing around it. */
function offsetOf(document: Document, path: Path, wantsKey: boolean): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, key] of path.entries()) {
    if (!isMap(node)) return offset;
    const pair = node.items.find(
      (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(key),
    );
    if (pair === undefined) return offset;
    const last = depth === path.length - 1;
    offset = (last && wantsKey ? undefined : startOf(pair.value)) ?? startOf(pair.key) ?? offset;
    node = pair.value;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node satisfies Node).range?.[0] : undefined;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
