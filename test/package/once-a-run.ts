/** Work whose result several test files look at: the first that wants it does it, the others wait. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import { until } from '../harness/until.ts';

const DEADLINE_MS = 120_000;

interface Outcome {
  readonly made?: unknown;
  readonly fault?: string;
}

/** `make` is given an empty folder, and what it returns reaches the other files as JSON. */
export async function onceARun<Made>(name: string, make: (folder: string) => Promise<Made>): Promise<Made> {
  const folder = join(inject('runFolder'), name);
  const file = `${folder}.json`;
  if (isFirst(folder)) {
    const outcome: Outcome = await make(folder).then(
      (made) => ({ made }),
      (error: unknown) => ({ fault: String(error) }),
    );
    // Whoever sees the file sees all of it.
    writeFileSync(`${file}.part`, JSON.stringify(outcome));
    renameSync(`${file}.part`, file);
  }
  await until(`${name}, made by another test file`, () => existsSync(file), DEADLINE_MS);
  const { made, fault } = JSON.parse(readFileSync(file, 'utf8')) as Outcome;
  if (fault !== undefined) throw new Error(fault);
  return made as Made;
}

function isFirst(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
