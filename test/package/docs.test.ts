/** The pages say what the code does: generated ones are fresh, the protocol's numbers agree, named files exist. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ERRORS } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import * as frame from '../../packages/protocol/src/frame.ts';
import { type CliEvent, levelOf } from '../../packages/cli/src/output/events.ts';
import { buildProgram } from '../../packages/cli/src/program.ts';
import type { World } from '../../packages/cli/src/world.ts';
import { generatedPages } from '../../scripts/generated-pages.ts';
import { readSourceTree, ROOT } from './source-tree.ts';

/** Codes of doors that are not built yet: numbers are never reused, so they have theirs already. */
const KEPT_FOR_LATER: readonly string[] = [];

function page(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

describe('generated pages', () => {
  it('are fresh (`npm run docs` writes them)', () => {
    const pages = generatedPages();
    expect(pages.length).toBeGreaterThan(1);
    for (const { path, text } of pages) expect(page(path), path).toBe(text);
  });
});

describe('docs/configuration.md', () => {
  const rows = page('docs/configuration.md').split('## The command line')[1]?.split('\n') ?? [];

  it('has a row for every flag that any command of porthole takes', () => {
    const world = { version: '' } as unknown as World;
    const commands = buildProgram(world, () => Promise.resolve()).commands;
    const flags = new Set(commands.flatMap(({ options }) => options.map(({ flags: shown }) => shown)));
    expect(flags.size).toBeGreaterThan(20);
    for (const flag of flags) expect(rows.filter((row) => row.startsWith(`| \`${flag}\` |`))).toHaveLength(1);
  });

  it('says of flags that begin with --no- that they switch something off', () => {
    const off = rows.filter((row) => row.startsWith('| `--no-'));
    expect(off.length).toBeGreaterThan(1);
    for (const row of off) expect(row).toMatch(/\| do not |; the flag switches that off \|$/);
  });
});

describe('docs/programs.md', () => {
  const text = page('docs/programs.md');
  const rows = (heading: string): string[] =>
    (text.split(`## ${heading}`)[1]?.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('| `'));

  it('has every option and every event of the library', () => {
    const names = rows('The library')
      .map((row) => row.split('|')[1] ?? '')
      .join();
    const options = ['agent.ts', 'served-by.ts'].flatMap((file) =>
      [...page(`packages/agent/src/${file}`).matchAll(/^ {2}readonly (\w+)\?: /gm)].map(([, name]) => name),
    );
    const events = [...page('packages/agent/src/tunnel.ts').matchAll(/^ {2}(\w+): \[info: /gm)].map(([, name]) => name);
    expect(options.length).toBeGreaterThan(15);
    expect(events.length).toBeGreaterThan(4);
    // What is for the package itself and for logs.
    const inner = new Set(['log', 'closesAgent']);
    for (const name of [...options, ...events])
      if (!inner.has(String(name))) expect(names, name).toContain(`\`${name}\``);
  });

  it('has every event of --json, with its fields and its level', () => {
    const source = page('packages/cli/src/output/events.ts').split('export function')[0] ?? '';
    const kinds = source.split(/^ {2}\| /m).slice(1);
    expect(kinds.length).toBeGreaterThan(10);
    for (const kind of kinds) {
      const event = /event: '(\w+)'/.exec(kind)?.[1];
      const row = rows('`--json`').find((line) => line.startsWith(`| \`${event}\` |`));
      expect(row, event).toBeDefined();
      expect(row, event).toContain(` ${levelOf({ event } as CliEvent)}`);
      for (const [, field] of kind.matchAll(/readonly (\w+)\??:/g))
        if (field !== 'event') expect(row, event).toContain(`\`${field}\``);
    }
  });
});

describe('the error table', () => {
  it('documents every code once, under its group', () => {
    const documented = [...page('docs/errors.md').matchAll(/^\| `([A-Z0-9_]+)` \|/gm)].map((match) => match[1]);
    expect(new Set(documented)).toEqual(new Set(Object.keys(ERRORS)));
    expect(documented.length).toBe(Object.keys(ERRORS).length);
  });

  it('gives each code a wire number of its own', () => {
    const numbers = Object.values(ERRORS).map((row) => row.wire);
    expect(new Set<number>(numbers).size).toBe(numbers.length);
  });

  it('has no code that nothing uses', () => {
    const code = readSourceTree().filter((file) => file.path !== 'packages/protocol/src/error-table.ts');
    const isUsed = (name: string): boolean =>
      code.some((file) => new RegExp(`['"\`]${name}['"\`]|\\b${name}:`).test(file.text));
    const unused = Object.keys(ERRORS).filter((name) => !isUsed(name));
    expect(unused.toSorted((a, b) => a.localeCompare(b))).toEqual(KEPT_FOR_LATER);
  });
});

describe('docs/protocol.md', () => {
  const text = page('docs/protocol.md');
  const rows = [...text.matchAll(/^\| 0x([0-9a-f]{2}) \| (\w+) \|.*\| (\d+) \| (\d+) \| (END)? ?\|$/gm)];

  it('lists every frame with its number', () => {
    expect(rows.length).toBeGreaterThan(10);
    const listed = Object.fromEntries(rows.map((row) => [row[2], Number.parseInt(row[1] as string, 16)]));
    expect(listed).toEqual(frame.FRAME);
  });

  it('states the payload limits and flags the code checks', () => {
    for (const [, number, name, least, most, flag] of rows) {
      const type = Number.parseInt(number as string, 16);
      expect(frame.headerFault(type, 0, Number(least)), name).toBeUndefined();
      expect(frame.headerFault(type, 0, Number(most)), name).toBeUndefined();
      if (Number(least) > 0) expect(frame.headerFault(type, 0, Number(least) - 1), name).toBeDefined();
      if (Number(most) < frame.MAX_PAYLOAD_BYTES)
        expect(frame.headerFault(type, 0, Number(most) + 1), name).toBeDefined();
      expect(frame.headerFault(type, frame.FLAG_END, Number(least)) === undefined, name).toBe(flag === 'END');
    }
  });

  it('states the sizes of the code', () => {
    for (const bytes of [frame.INITIAL_WINDOW_BYTES, frame.DATA_PAYLOAD_BYTES]) {
      expect(text).toContain(bytes.toLocaleString('en'));
    }
    expect(text).toContain(`version ${frame.PROTOCOL_VERSION}`);
    expect(text).toContain(frame.CARRIER_PATH);
    expect(text).toContain(`Upgrade: ${frame.UPGRADE_TOKEN}`);
    expect(text).toContain(frame.WEBSOCKET_PROTOCOL);
  });
});

describe('prose', () => {
  const pages = [
    ...globSync('*.md', { cwd: ROOT }),
    ...globSync('{docs,bench,deploy,examples}/**/*.md', { cwd: ROOT }),
  ].filter((path) => !path.includes('node_modules'));

  it('links to files that exist', () => {
    expect(pages.length).toBeGreaterThan(5);
    const broken = pages.flatMap((path) =>
      [...page(path).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map((match) => match[1] as string)
        .filter((target) => !existsSync(join(ROOT, dirname(path), target)))
        .map((target) => `${path}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it('names files of this repository that exist', () => {
    const broken = pages.flatMap((path) =>
      [...page(path).matchAll(/`((?:packages|test|bench|scripts|examples|docs|deploy)\/[\w./-]+\.\w+)`/g)]
        .map((match) => match[1] as string)
        .filter((target) => !existsSync(join(ROOT, target)))
        .map((target) => `${path}: ${target}`),
    );
    expect(broken).toEqual([]);
  });

  it('proves each feature of the README with a test file', () => {
    const table = page('README.md').split('## What it does')[1]?.split('\n## ')[0] ?? '';
    const features = table.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| feature'));
    expect(features.length).toBeGreaterThan(15);
    const unproven = features.filter((line) => !/`(?:test|packages|examples)\/[\w./-]+\.test\.ts`/.test(line));
    expect(unproven).toEqual([]);
  });
});
