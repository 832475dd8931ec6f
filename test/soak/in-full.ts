/** Runs tests that `npm test` runs in small, in full size: sizes and counts of the promises they stand for. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Resolves to the exit code. */
export async function runInFull(files: readonly string[]): Promise<number> {
  const folder = join(ROOT, 'node_modules', 'vitest');
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { bin: { vitest: string } };
  const child = spawn(process.execPath, [join(folder, bin.vitest), 'run', '--project', 'e2e', ...files], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, PORTHOLE_SOAK_FULL: '1' },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}
