/** Reads the packages' source files into what the layer rules ask about: imports, globals used, module-level state. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'vite';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const PACKAGES = ['protocol', 'acme', 'agent', 'cli', 'relay'] as const;

export interface SourceFile {
  /** From the root, with forward slashes: `packages/relay/src/edge/listener.ts`. */
  readonly path: string;
  /** The package's folder name. */
  readonly house: string;
  /** Path inside `src`. */
  readonly inside: string;
  readonly text: string;
  /** Module specifiers as written, type imports included. */
  readonly imports: readonly string[];
  /** Names read that the file does not get from an object: `console`, `setTimeout`; and `process.env` style pairs. */
  readonly names: ReadonlySet<string>;
  /** Module-level variables that change after loading: every `let`, and collections a function writes to. */
  readonly moduleState: readonly string[];
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** Every file that is shipped: no tests. */
export function readSourceTree(): SourceFile[] {
  const files: SourceFile[] = [];
  for (const house of PACKAGES) {
    const src = join(ROOT, 'packages', house, 'src');
    for (const inside of globSync('**/*.ts', { cwd: src })) {
      if (/\.(test|contract)\.ts$/.test(inside)) continue;
      files.push(readSource(house, inside, readFileSync(join(src, inside), 'utf8')));
    }
  }
  return files.toSorted((a, b) => a.path.localeCompare(b.path));
}

export function readSource(house: string, inside: string, text: string): SourceFile {
  const path = `packages/${house}/src/${inside.replaceAll('\\', '/')}`;
  const parsed = parseSync(path, text);
  if (parsed.errors.length > 0) throw new Error(`${path}: ${parsed.errors[0]?.message}`);
  const program = parsed.program as unknown as Node;
  const imports: string[] = [];
  const names = new Set<string>();
  walk(program, (node, parent, key) => {
    collectImport(node, imports);
    collectName(node, parent, key, names);
  });
  return { path, house, inside: inside.replaceAll('\\', '/'), text, imports, names, moduleState: moduleState(program) };
}

/** The path from the root a specifier leads to inside this repository, or undefined for anything foreign. */
export function resolveInside(file: SourceFile, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return relative(ROOT, join(ROOT, dirname(file.path), specifier)).replaceAll('\\', '/');
  const match = /^@porthole\/(\w+)(?:\/([\w/-]+))?$/.exec(specifier);
  if (match === null) return undefined;
  const [, house, entry] = match;
  const manifest = JSON.parse(readFileSync(join(ROOT, 'packages', house as string, 'package.json'), 'utf8')) as {
    exports: Record<string, { '@porthole/source': string }>;
  };
  const target = manifest.exports[entry === undefined ? '.' : `./${entry}`];
  if (target === undefined) throw new Error(`${file.path}: ${specifier} is not exported`);
  return `packages/${house}/${target['@porthole/source'].replace('./', '')}`;
}

function walk(node: Node, visit: (node: Node, parent: Node | undefined, key: string) => void): void {
  const step = (current: Node, parent: Node | undefined, key: string): void => {
    visit(current, parent, key);
    for (const [name, value] of Object.entries(current)) {
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) step(child, current, name);
    }
  };
  step(node, undefined, '');
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';
}

const IMPORTING = new Set([
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
]);

function collectImport(node: Node, imports: string[]): void {
  if (!IMPORTING.has(node.type)) return;
  const source = (node['source'] ?? node['argument']) as { value?: unknown } | null | undefined;
  if (typeof source?.value === 'string') imports.push(source.value);
}

/** Places where an identifier names a member or a key, not a variable. */
function isOnlyAName(parent: Node | undefined, key: string): boolean {
  if (parent === undefined) return false;
  if (parent.type === 'MemberExpression' && key === 'property') return parent['computed'] !== true;
  return key === 'key' && parent['computed'] !== true && parent['shorthand'] !== true;
}

function collectName(node: Node, parent: Node | undefined, key: string, names: Set<string>): void {
  if (node.type === 'MemberExpression' && node['computed'] !== true) {
    const object = node['object'] as Node;
    if (object.type === 'Identifier')
      names.add(`${String(object['name'])}.${String((node['property'] as Node)['name'])}`);
  }
  if (node.type === 'Identifier' && !isOnlyAName(parent, key)) names.add(String(node['name']));
}

const COLLECTIONS = new Set(['Map', 'Set', 'WeakMap', 'WeakSet', 'Array']);
const WRITING = new Set([
  'set',
  'add',
  'delete',
  'clear',
  'push',
  'pop',
  'shift',
  'unshift',
  'splice',
  'sort',
  'reverse',
  'fill',
]);

function moduleState(program: Node): string[] {
  const found: string[] = [];
  const collections = new Set<string>();
  for (const statement of program['body'] as Node[]) {
    const exported =
      statement.type === 'ExportNamedDeclaration' ? (statement['declaration'] as Node | null) : statement;
    if (exported?.type !== 'VariableDeclaration' || exported['declare'] === true) continue;
    for (const declarator of exported['declarations'] as Node[]) {
      const name = String((declarator['id'] as Node)['name'] ?? '(pattern)');
      if (exported['kind'] !== 'const') found.push(`${String(exported['kind'])} ${name}`);
      else if (isCollection(declarator['init'] as Node | null)) collections.add(name);
    }
  }
  for (const name of writtenInFunctions(program, collections)) found.push(`collection ${name}`);
  return found;
}

function isCollection(init: Node | null): boolean {
  if (init === null) return false;
  if (init.type === 'NewExpression') return COLLECTIONS.has(String((init['callee'] as Node)['name']));
  return init.type === 'ArrayExpression' || init.type === 'ObjectExpression';
}

/** Filling a table while the module loads is fine; writing to it from a function is state. */
function writtenInFunctions(program: Node, collections: ReadonlySet<string>): Set<string> {
  const written = new Set<string>();
  const step = (node: Node, inFunction: boolean): void => {
    const name = inFunction ? writtenName(node) : undefined;
    if (name !== undefined && collections.has(name)) written.add(name);
    const inner = inFunction || /Function/.test(node.type) || node.type === 'MethodDefinition';
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) step(child, inner);
    }
  };
  step(program, false);
  return written;
}

function writtenName(node: Node): string | undefined {
  if (node.type === 'CallExpression') {
    const callee = node['callee'] as Node;
    if (callee.type !== 'MemberExpression' || !WRITING.has(String((callee['property'] as Node)['name'])))
      return undefined;
    return identifierName(callee['object']);
  }
  const place =
    node.type === 'AssignmentExpression'
      ? node['left']
      : node.type === 'UpdateExpression'
        ? node['argument']
        : undefined;
  if (!isNode(place) || place.type !== 'MemberExpression') return undefined;
  return identifierName(place['object']);
}

function identifierName(node: unknown): string | undefined {
  return isNode(node) && node.type === 'Identifier' ? String(node['name']) : undefined;
}
