/** What the manifests promise is in the packages: entry points, types, nothing that only exists in this repository. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { beforeAll, describe, expect, it } from 'vitest';
import { SOFTWARE } from '../../packages/relay/src/relay.ts';
import { buildPackages, FOLDERS, installAlone, manifestIn, type Installed } from './packed.ts';
import { ROOT } from './source-tree.ts';

const run = promisify(execFile);

const CONSUMER = `
import { expose, PortholeError } from '@porthole/agent';
import { ERRORS } from '@porthole/protocol';
import * as http1 from '@porthole/protocol/http1';
import * as node from '@porthole/protocol/node';

export const used: unknown[] = [expose, PortholeError, ERRORS.INTERNAL.wire, http1, node];
// @ts-expect-error: types are there, not any
const wrong: number = expose;
void wrong;
`;

let built: string;
let library: Installed;

beforeAll(async () => {
  built = await buildPackages();
  library = await installAlone('@porthole/agent');
}, 240_000);

describe('the published manifests', () => {
  it.each(Object.entries(FOLDERS))('%s passes publint', async (_, folder) => {
    const pkgDir = join(built, folder);
    const { messages } = await publint({ pkgDir, strict: true, pack: 'npm' });
    const manifest = manifestIn(pkgDir);
    // The source condition is for this repository only; its files are not published.
    const ours = messages.filter((message) => !message.path.includes('@porthole/source'));
    expect(ours.map((message) => formatMessage(message, manifest as never, { color: false }))).toEqual([]);
  });

  it('agree on versions', () => {
    const manifests = Object.values(FOLDERS).map((folder) => manifestIn(join(ROOT, folder)));
    const versions = new Map(manifests.map(({ name, version }) => [name, version]));
    expect(new Set(versions.values()).size).toBe(1);
    for (const { dependencies } of manifests) {
      for (const [name, wanted] of Object.entries(dependencies ?? {}))
        if (versions.has(name)) expect(wanted).toBe(versions.get(name));
    }
  });

  it('have the version that the relay says it has', () => {
    const { version } = manifestIn(join(ROOT, FOLDERS['@porthole/relay'] as string));
    expect(SOFTWARE).toBe(`porthole-relay/${version}`);
  });

  it('pin third-party versions exactly', () => {
    const loose = Object.values(FOLDERS).flatMap((folder) =>
      Object.entries(manifestIn(join(ROOT, folder)).dependencies ?? {}).filter(
        ([, wanted]) => !/^\d+\.\d+\.\d+$/.test(wanted),
      ),
    );
    expect(loose).toEqual([]);
  });
});

describe('the published types', () => {
  it('resolve for a user with strict settings and no special condition', async () => {
    const { folder } = library;
    mkdirSync(join(folder, 'src'));
    writeFileSync(join(folder, 'src/user.mts'), CONSUMER);
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          module: 'nodenext',
          target: 'es2024',
          strict: true,
          noEmit: true,
          skipLibCheck: false,
          rootDir: 'src',
          types: ['node'],
          typeRoots: [join(ROOT, 'node_modules/@types')],
        },
        include: ['src'],
      }),
    );
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const { stdout } = await run(process.execPath, [tsc, '-p', folder]).catch((error: { stdout: string }) => error);
    expect(stdout).toBe('');
  });
});
