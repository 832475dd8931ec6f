/**
 * The embedded store: one SQLite file in WAL mode, shared by the processes of one machine. Writes of one event-loop
 * turn are committed together, because each commit waits for the disk. Deletions stay as marks for a while, so that
 * other processes notice them.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { PortholeError } from '@porthole/protocol';
import { openDatabase, storeFailure } from './sqlite-database.ts';
import { checkKey, encodeDocument } from './store.ts';
import type { JsonValue, Store, StoreChange, StoredDocument, WriteOutcome } from './store.ts';

/** How often a store looks for what other processes have written, in milliseconds. */
export const STORE_POLL_MS = 250;

export interface SqliteStoreOptions {
  /** Past this the store refuses to grow (STORE_FAILED). Default: no limit but the disk's. */
  readonly maxBytes?: number;
  /** How often changes of other processes are looked for. Default 250. */
  readonly pollMs?: number;
  /** Told when looking for changes fails; it goes on trying. */
  readonly onError?: (error: PortholeError) => void;
}

interface Write {
  readonly key: string;
  /** Undefined: delete. */
  readonly text: string | undefined;
  readonly expected: number | undefined;
  readonly done: (outcome: WriteOutcome) => void;
  readonly failed: (error: PortholeError) => void;
}

interface Row {
  readonly key: string;
  readonly value: string | null;
  readonly revision: number;
}

interface Watcher {
  readonly prefix: string;
  readonly onChange: (change: StoreChange) => void;
}

const MAX_PENDING_WRITES = 50_000;

export class SqliteStore implements Store {
  readonly #options: SqliteStoreOptions;
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  readonly #watchers = new Set<Watcher>();
  #pending: Write[] = [];
  #pollTimer: NodeJS.Timeout | undefined;
  #dataVersion = 0;
  #seenRevision = 0;
  #closed = false;

  private constructor(database: DatabaseSync, options: SqliteStoreOptions) {
    this.#database = database;
    this.#options = options;
    this.#statements = prepare(database);
  }

  /** `file` may be `:memory:`. Throws STORE_FAILED. */
  static open(file: string, options: SqliteStoreOptions = {}): SqliteStore {
    const database = openDatabase(file, options.maxBytes);
    try {
      return new SqliteStore(database, options);
    } catch (cause) {
      database.close();
      throw storeFailure(cause);
    }
  }

  async get(key: string): Promise<StoredDocument | undefined> {
    checkKey(key);
    const row = this.#read(() => this.#statements.get.get(key)) as Row | undefined;
    return row === undefined ? undefined : documentOf(row);
  }

  async put(key: string, value: JsonValue, expected?: number): Promise<WriteOutcome> {
    checkKey(key);
    return this.#write(key, encodeDocument(key, value), expected);
  }

  async delete(key: string, expected?: number): Promise<WriteOutcome> {
    checkKey(key);
    return this.#write(key, undefined, expected);
  }

  async list(prefix: string): Promise<readonly StoredDocument[]> {
    // '~' sorts after every letter a key may have.
    const rows = this.#read(() => this.#statements.list.all(prefix, `${prefix}~`)) as unknown as readonly Row[];
    return rows.flatMap((row) => documentOf(row) ?? []);
  }

  watch(prefix: string, onChange: (change: StoreChange) => void): () => void {
    const watcher = { prefix, onChange };
    if (this.#watchers.size === 0) this.#startPolling();
    this.#watchers.add(watcher);
    return () => {
      if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.#stopPolling();
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#commitPending();
    this.#closed = true;
    this.#watchers.clear();
    this.#stopPolling();
    this.#database.close();
  }

  #read<T>(query: () => T): T {
    if (this.#closed) throw new PortholeError('STORE_FAILED', 'the store is closed');
    try {
      return query();
    } catch (cause) {
      throw storeFailure(cause);
    }
  }

  #write(key: string, text: string | undefined, expected: number | undefined): Promise<WriteOutcome> {
    if (this.#closed) throw new PortholeError('STORE_FAILED', 'the store is closed');
    if (this.#pending.length >= MAX_PENDING_WRITES) throw new PortholeError('STORE_FAILED', 'too many writes at once');
    if (this.#pending.length === 0) setImmediate(() => this.#commitPending());
    return new Promise((done, failed) => this.#pending.push({ key, text, expected, done, failed }));
  }

  /** All or nothing: when the disk is full no write of the batch has happened. */
  #commitPending(): void {
    const batch = this.#pending;
    if (batch.length === 0 || this.#closed) return;
    this.#pending = [];
    let outcomes: WriteOutcome[];
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      outcomes = batch.map((write) => this.#apply(write));
      this.#database.exec('COMMIT');
    } catch (cause) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      for (const write of batch) write.failed(storeFailure(cause));
      return;
    }
    batch.forEach((write, index) => write.done(outcomes[index] as WriteOutcome));
    if (this.#watchers.size > 0) this.#catchUp();
  }

  #apply({ key, text, expected }: Write): WriteOutcome {
    const row = this.#statements.get.get(key) as Row | undefined;
    const revision = row === undefined || row.value === null ? 0 : row.revision;
    if (expected !== undefined && expected !== revision) return { ok: false, revision };
    if (text === undefined && revision === 0) return { ok: true, revision: 0 };
    const next = (this.#statements.nextRevision.get() as { value: number }).value;
    this.#statements.put.run(key, text ?? null, next, Date.now());
    return { ok: true, revision: next };
  }

  #startPolling(): void {
    this.#read(() => {
      this.#dataVersion = this.#readDataVersion();
      this.#seenRevision = (this.#statements.revision.get() as { value: number }).value;
    });
    this.#pollTimer = setInterval(() => this.#poll(), this.#options.pollMs ?? STORE_POLL_MS);
    // Watching alone is no reason for a process to stay.
    this.#pollTimer.unref();
  }

  #stopPolling(): void {
    clearInterval(this.#pollTimer);
    this.#pollTimer = undefined;
  }

  #readDataVersion(): number {
    return (this.#statements.dataVersion.get() as { data_version: number }).data_version;
  }

  /** `data_version` changes only by what other connections to the file commit; reading it costs microseconds. */
  #poll(): void {
    try {
      const version = this.#readDataVersion();
      if (version === this.#dataVersion) return;
      this.#dataVersion = version;
    } catch (cause) {
      this.#options.onError?.(storeFailure(cause));
      return;
    }
    this.#catchUp();
  }

  #catchUp(): void {
    let rows: readonly Row[];
    try {
      rows = this.#statements.changes.all(this.#seenRevision) as unknown as readonly Row[];
    } catch (cause) {
      this.#options.onError?.(storeFailure(cause));
      return;
    }
    for (const row of rows) {
      this.#seenRevision = row.revision;
      const change = changeOf(row);
      const concerned = [...this.#watchers].filter((watcher) => row.key.startsWith(watcher.prefix));
      for (const watcher of concerned) watcher.onChange(change);
    }
  }
}

interface Statements {
  readonly get: StatementSync;
  readonly list: StatementSync;
  readonly put: StatementSync;
  readonly changes: StatementSync;
  readonly revision: StatementSync;
  readonly nextRevision: StatementSync;
  readonly dataVersion: StatementSync;
}

function prepare(database: DatabaseSync): Statements {
  return {
    get: database.prepare('SELECT key, value, revision FROM documents WHERE key = ?'),
    list: database.prepare(
      'SELECT key, value, revision FROM documents WHERE key >= ? AND key < ? AND value IS NOT NULL ORDER BY key',
    ),
    put: database.prepare(
      `INSERT INTO documents (key, value, revision, changed_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision, changed_at = excluded.changed_at`,
    ),
    changes: database.prepare('SELECT key, value, revision FROM documents WHERE revision > ? ORDER BY revision'),
    revision: database.prepare('SELECT value FROM counter'),
    nextRevision: database.prepare('UPDATE counter SET value = value + 1 RETURNING value'),
    dataVersion: database.prepare('PRAGMA data_version'),
  };
}

function documentOf({ key, value, revision }: Row): StoredDocument | undefined {
  return value === null ? undefined : { key, value: JSON.parse(value) as JsonValue, revision };
}

function changeOf(row: Row): StoreChange {
  const document = documentOf(row);
  return document === undefined ? { type: 'deleted', key: row.key, revision: row.revision } : { type: 'put', document };
}
