/** The rules of the house: who may import whom, what is pure, where the outside world is touched. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isBuiltin } from 'node:module';
import { describe, expect, it } from 'vitest';
import { PACKAGES, ROOT, readSource, readSourceTree, resolveInside, type SourceFile } from './source-tree.ts';

const files = readSourceTree();
const byPath = new Map(files.map((file) => [file.path, file]));

/** Inside the relay, a higher number may import a lower one; the same number only within its own folder. */
const RELAY_LEVELS: Record<string, number> = {
  '': 3,
  commands: 3,
  agents: 2,
  peers: 2,
  supervisor: 2,
  edge: 2,
  admin: 2,
  routing: 1,
  tls: 1,
  access: 1,
  store: 0,
  observe: 0,
  config: 0,
};

const HOUSES: Record<string, readonly string[]> = {
  protocol: [],
  agent: ['protocol'],
  acme: ['protocol'],
  cli: ['agent', 'acme'],
  relay: ['protocol', 'acme'],
};

/** Third-party packages and heavy built-ins that have one door in each house. */
const ONE_DOOR = ['ws', 'pino', '@prometheus-io/client', 'dns-packet', 'yaml', 'uqr', '@clack/prompts'];

const OUTSIDE_WORLD = ['process.env', 'process.argv', 'process.exit', 'console'];
const IMPURE = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'performance',
  'process',
  'Math.random',
  'Date.now',
  'fetch',
];
const PURE_BUILTINS = ['node:crypto', 'node:buffer'];
const FORBIDDEN_WORDS = /(^|[-/])(utils?|commons?|helpers?|misc|managers?|handlers?)(?=[-./]|$)/;

function folderOf(file: SourceFile): string {
  const slash = file.inside.indexOf('/');
  return slash === -1 ? '' : file.inside.slice(0, slash);
}

function faults(check: (file: SourceFile) => Iterable<string>): string[] {
  return files.flatMap((file) => [...check(file)].map((fault) => `${file.path}: ${fault}`));
}

describe('the source tree', () => {
  it('is found at all', () => {
    expect(files.length).toBeGreaterThan(40);
    for (const house of PACKAGES) expect(files.some((file) => file.house === house)).toBe(true);
  });

  it('imports other packages only where the houses allow it', () => {
    const found = faults(function* (file) {
      for (const specifier of file.imports) {
        const target = resolveInside(file, specifier);
        if (target === undefined) continue;
        const house = target.split('/')[1] as string;
        if (house !== file.house && !(HOUSES[file.house] ?? []).includes(house)) yield `imports ${specifier}`;
        if (house !== file.house && specifier.startsWith('.'))
          yield `reaches into another package by path: ${specifier}`;
        if (!byPath.has(target)) yield `imports ${specifier}, which is not there`;
      }
    });
    expect(found).toEqual([]);
  });

  it('imports only downward inside the relay, and no door imports another', () => {
    const found = faults(function* (file) {
      if (file.house !== 'relay') return;
      const from = folderOf(file);
      if (RELAY_LEVELS[from] === undefined) yield `'${from}' has no level`;
      for (const specifier of file.imports) {
        const target = byPath.get(resolveInside(file, specifier) ?? '');
        if (target === undefined || target.house !== 'relay') continue;
        const to = folderOf(target);
        const isTop = (folder: string): boolean => folder === '' || folder === 'commands';
        if (to === from || (isTop(to) && isTop(from))) continue;
        if ((RELAY_LEVELS[to] ?? 9) >= (RELAY_LEVELS[from] ?? 0)) yield `${from} imports ${specifier}`;
      }
    });
    expect(found).toEqual([]);
  });

  it('keeps the protocol pure: only node.ts and the folder beside it touch sockets, timers and clocks', () => {
    const found = faults(function* (file) {
      if (file.house !== 'protocol' || /^node(\.ts|\/)/.test(file.inside)) return;
      for (const specifier of file.imports) {
        if (isBuiltin(specifier) && !PURE_BUILTINS.includes(specifier)) yield `imports ${specifier}`;
        if (/^packages\/protocol\/src\/node(\.ts|\/)/.test(resolveInside(file, specifier) ?? ''))
          yield `imports ${specifier}`;
      }
      for (const name of IMPURE) if (file.names.has(name)) yield `uses ${name}`;
    });
    expect(found).toEqual([]);
  });

  it('declares every third-party package it imports', () => {
    const found = faults(function* (file) {
      const manifest = JSON.parse(readFileSync(join(ROOT, 'packages', file.house, 'package.json'), 'utf8')) as {
        dependencies?: Record<string, string>;
      };
      for (const specifier of file.imports) {
        if (specifier.startsWith('.') || isBuiltin(specifier)) continue;
        const name = specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/');
        if (manifest.dependencies?.[name] === undefined) yield `imports ${specifier}, which package.json does not name`;
      }
    });
    expect(found).toEqual([]);
  });

  it('imports built-in modules with their node: prefix', () => {
    expect(faults((file) => file.imports.filter((name) => isBuiltin(name) && !name.startsWith('node:')))).toEqual([]);
  });

  it('gives a third-party package one door in each house', () => {
    const found: string[] = [];
    for (const house of PACKAGES) {
      for (const name of ONE_DOOR) {
        const users = files.filter((file) => file.house === house && file.imports.includes(name));
        if (users.length > 1)
          found.push(`${house}: ${name} is imported by ${users.map((file) => file.inside).join(', ')}`);
      }
    }
    expect(found).toEqual([]);
  });

  it('touches the environment, the arguments and the console only in main.ts and the terminal', () => {
    const found = faults(function* (file) {
      if (basename(file.inside) === 'main.ts') return;
      if (file.house === 'cli' && basename(file.inside) === 'terminal.ts') return;
      for (const name of OUTSIDE_WORLD) if (file.names.has(name)) yield `uses ${name}`;
    });
    expect(found).toEqual([]);
  });

  it('has no import cycles, types included', () => {
    expect(findCycles()).toEqual([]);
  });

  it('has no module-level state', () => {
    expect(faults((file) => file.moduleState)).toEqual([]);
  });

  it('names its files after what is in them', () => {
    const found = faults(function* (file) {
      if (FORBIDDEN_WORDS.test(file.inside)) yield 'a drawer, not a name';
      if (!/^([a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*(\.d)?\.ts$/.test(file.inside)) yield 'not kebab-case';
    });
    expect(found).toEqual([]);
  });

  it('says at the top of each file what it is for', () => {
    expect(
      faults((file) =>
        /^(#!.*\n)?\s*(\/\*\*|\/\/)/.test(file.text) || basename(file.inside) === 'index.ts' ? [] : ['no comment'],
      ),
    ).toEqual([]);
  });
});

describe('the scan itself', () => {
  it('sees type imports, dynamic imports and re-exports', () => {
    const text = `import type { A } from './a.ts'; export * from './b.ts'; export { c } from './c.ts'; type D = import('./d.ts').D; const e = () => import('./e.ts');`;
    expect(readSource('relay', 'x.ts', text).imports.toSorted()).toEqual([
      './a.ts',
      './b.ts',
      './c.ts',
      './d.ts',
      './e.ts',
    ]);
  });

  it('tells a global from a member of the same name', () => {
    const names = readSource(
      'relay',
      'x.ts',
      'clock.setTimeout(1); const o = { console: 1 }; process.env; o.console;',
    ).names;
    expect(names.has('setTimeout')).toBe(false);
    expect(names.has('console')).toBe(false);
    expect(names.has('process.env')).toBe(true);
  });

  it('tells a table filled while loading from state', () => {
    expect(readSource('relay', 'x.ts', 'const t = new Map(); for (const k of [1]) t.set(k, k);').moduleState).toEqual(
      [],
    );
    expect(
      readSource('relay', 'x.ts', 'const t = new Map(); export function f() { t.set(1, 1); }').moduleState,
    ).toEqual(['collection t']);
    expect(readSource('relay', 'x.ts', 'export let n = 0;').moduleState).toEqual(['let n']);
  });
});

/** Depth-first over the import graph; each cycle is reported once, as the path around it. */
function findCycles(): string[] {
  const state = new Map<string, 'open' | 'done'>();
  const trail: string[] = [];
  const cycles: string[] = [];
  const visit = (path: string): void => {
    state.set(path, 'open');
    trail.push(path);
    const file = byPath.get(path) as SourceFile;
    for (const specifier of file.imports) {
      const target = resolveInside(file, specifier);
      if (target === undefined || !byPath.has(target)) continue;
      if (state.get(target) === 'open') cycles.push([...trail.slice(trail.indexOf(target)), target].join(' -> '));
      else if (state.get(target) === undefined) visit(target);
    }
    trail.pop();
    state.set(path, 'done');
  };
  for (const file of files) if (state.get(file.path) === undefined) visit(file.path);
  return cycles;
}
