/** Temporary folders that go with the test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TempFolder extends Disposable {
  readonly path: string;
  /** Writes a file readable by its owner only and returns its path. */
  write(name: string, content: string): string;
  remove(): void;
}

export function tempFolder(): TempFolder {
  const path = mkdtempSync(join(tmpdir(), 'porthole-test-'));
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  return {
    path,
    write: (name, content) => {
      const file = join(path, name);
      writeFileSync(file, content, { mode: 0o600 });
      return file;
    },
    remove,
    [Symbol.dispose]: remove,
  };
}
