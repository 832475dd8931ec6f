/** Opens the store's file with the right permissions and tables, and says in words what SQLite says in numbers. */
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PortholeError } from '@porthole/protocol';

/** How long a process waits for another one's write. */
const BUSY_TIMEOUT_MS = 3000;
/** How long the mark of a deletion stays: longer than any process can go without looking. */
const DELETION_MARK_MS = 24 * 3_600_000;
const SCHEMA_VERSION = 1;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS documents (
  key TEXT PRIMARY KEY, value TEXT, revision INTEGER NOT NULL UNIQUE, changed_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
INSERT OR IGNORE INTO counter (id, value) VALUES (1, 0);
PRAGMA user_version = ${SCHEMA_VERSION};
`;

export function openDatabase(file: string, maxBytes: number | undefined): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    if (file !== ':memory:') createPrivately(file);
    database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    database.exec('PRAGMA journal_mode = WAL');
    // A token that was printed must still be there after a power cut.
    database.exec('PRAGMA synchronous = FULL');
    if (maxBytes !== undefined) database.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(maxBytes / 4096))}`);
    prepareSchema(database);
    return database;
  } catch (cause) {
    database?.close();
    throw cause instanceof PortholeError ? cause : storeFailure(cause, file);
  }
}

function prepareSchema(database: DatabaseSync): void {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > SCHEMA_VERSION) {
    throw new PortholeError(
      'STORE_FAILED',
      `the store was written by a newer release (format ${version}); update this one`,
    );
  }
  // An ordinary start writes nothing, so that a full disk does not keep the relay from starting.
  if (version < SCHEMA_VERSION) database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT;`);
  try {
    database.prepare('DELETE FROM documents WHERE value IS NULL AND changed_at < ?').run(Date.now() - DELETION_MARK_MS);
  } catch {
    // Housekeeping: the marks go at the next start.
  }
}

/** SQLite would create the file readable by everybody; its -wal and -shm files take the mode of the file. */
function createPrivately(file: string): void {
  makeFolder(dirname(file));
  closeSync(openSync(file, 'a', 0o600));
}

/** Step by step: Node's `recursive` never returns where a file system answers ENOENT to any new folder, as /proc does. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another process may have made it just now.
    if (!existsSync(folder)) throw error;
  }
}

const SQLITE_WORDS: Record<number, string> = {
  5: 'another process keeps the store locked; try again',
  6: 'another process keeps the store locked; try again',
  8: 'the data folder is read-only; give the relay write permission',
  10: 'the disk reports an error; check it and the free space',
  11: 'the file is damaged; restore it from a backup',
  13: 'the disk is full; nothing was lost, free some space and try again',
  14: 'the file cannot be opened; check the data folder and its permissions',
  26: 'the file is not a Porthole store; check the data folder',
};

export function storeFailure(cause: unknown, file?: string): PortholeError {
  if (cause instanceof PortholeError) return cause;
  const words = wordsFor(cause);
  return new PortholeError('STORE_FAILED', file === undefined ? words : `${file}: ${words}`, { cause });
}

function wordsFor(cause: unknown): string {
  if (!(cause instanceof Error)) return 'unknown failure';
  // The low byte is the primary result code; the rest says where it happened.
  if ('errcode' in cause && typeof cause.errcode === 'number')
    return SQLITE_WORDS[cause.errcode & 0xff] ?? cause.message;
  if ('code' in cause && cause.code === 'ENOSPC') return SQLITE_WORDS[13] as string;
  if ('code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')) return SQLITE_WORDS[14] as string;
  if ('code' in cause && (cause.code === 'EACCES' || cause.code === 'EPERM')) return SQLITE_WORDS[14] as string;
  return cause.message;
}
