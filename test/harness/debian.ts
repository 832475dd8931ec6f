/** Whether a program the interop tests talk to is installed. What is missing is skipped loudly, never silently. */
import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Full path of a program, or undefined. Looks into PATH and where Debian puts servers. */
export function installed(program: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', ...postgresFolders()];
  for (const folder of folders) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // look further
    }
  }
  return undefined;
}

/** For `describe.skipIf(missing('redis-server'))`: true, with a line on standard error, when one is not installed. */
export function missing(...programs: string[]): boolean {
  const absent = programs.filter((program) => installed(program) === undefined);
  if (absent.length === 0) return false;
  process.stderr.write(`\nSKIPPED: ${absent.join(', ')} not installed (see .ci/run for the packages the tests want)\n`);
  return true;
}

function postgresFolders(): string[] {
  try {
    return readdirSync('/usr/lib/postgresql').map((version) => `/usr/lib/postgresql/${version}/bin`);
  } catch {
    return [];
  }
}
