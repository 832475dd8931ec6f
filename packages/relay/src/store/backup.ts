/** A copy of the store as it is at one moment, made while a relay writes to it. */
import { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PortholeError } from '@porthole/protocol';
import { STORE_FILE } from './open-store.ts';
import { storeFailure } from './sqlite-database.ts';

/** The copy is one whole file, readable by its owner only. Throws STORE_FAILED, FILE_EXISTS. */
export function backUpStore(dataDir: string, file: string): void {
  const source = join(dataDir, STORE_FILE);
  // Opening it would make an empty one.
  if (!existsSync(source)) throw new PortholeError('STORE_FAILED', `there is no store in ${dataDir}`);
  createPrivately(file);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(source, { timeout: 10_000 });
    database.prepare('VACUUM INTO ?').run(file);
    checkWhole(file);
  } catch (cause) {
    rmSync(file, { force: true });
    throw storeFailure(cause, file);
  } finally {
    database?.close();
  }
}

/** VACUUM INTO takes a file that is there if it is empty, and keeps its mode. */
function createPrivately(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (cause) {
    const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
    throw exists
      ? new PortholeError('FILE_EXISTS', file, { cause })
      : new PortholeError('FILE_UNREADABLE', `${file} cannot be written`, { cause });
  }
}

function checkWhole(file: string): void {
  const copy = new DatabaseSync(file, { readOnly: true });
  try {
    const row = copy.prepare('PRAGMA integrity_check').get() as { integrity_check: string };
    if (row.integrity_check !== 'ok')
      throw new PortholeError('STORE_FAILED', `the copy is damaged: ${row.integrity_check}`);
  } finally {
    copy.close();
  }
}
