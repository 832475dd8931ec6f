/** A store in memory that keeps the promises of the contract, for tests of what stands on a store. */
import { PortholeError } from '@porthole/protocol';
import {
  checkKey,
  encodeDocument,
  type JsonValue,
  type Store,
  type StoreChange,
  type StoredDocument,
  type WriteOutcome,
} from '../../packages/relay/src/store/store.ts';

export class FakeStore implements Store {
  /** Set to make every write fail with STORE_FAILED. */
  full = false;
  readonly #documents = new Map<string, { text: string; revision: number }>();
  readonly #watchers = new Set<{ prefix: string; onChange: (change: StoreChange) => void }>();
  #revision = 0;
  #closed = false;

  async get(key: string): Promise<StoredDocument | undefined> {
    this.#check(key);
    return this.#document(key);
  }

  async put(key: string, value: JsonValue, expected?: number): Promise<WriteOutcome> {
    this.#check(key);
    const text = encodeDocument(key, value);
    const refusal = this.#refuse(key, expected);
    if (refusal !== undefined) return refusal;
    this.#revision += 1;
    this.#documents.set(key, { text, revision: this.#revision });
    this.#announce(key, { type: 'put', document: this.#document(key) as StoredDocument });
    return { ok: true, revision: this.#revision };
  }

  async delete(key: string, expected?: number): Promise<WriteOutcome> {
    this.#check(key);
    const refusal = this.#refuse(key, expected);
    if (refusal !== undefined) return refusal;
    if (!this.#documents.delete(key)) return { ok: true, revision: 0 };
    this.#revision += 1;
    this.#announce(key, { type: 'deleted', key, revision: this.#revision });
    return { ok: true, revision: this.#revision };
  }

  async list(prefix: string): Promise<readonly StoredDocument[]> {
    this.#check('any');
    const keys = [...this.#documents.keys()].filter((key) => key.startsWith(prefix)).sort();
    return keys.map((key) => this.#document(key) as StoredDocument);
  }

  watch(prefix: string, onChange: (change: StoreChange) => void): () => void {
    const watcher = { prefix, onChange };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watchers.clear();
  }

  #check(key: string): void {
    if (this.#closed) throw new PortholeError('STORE_FAILED', 'closed');
    checkKey(key);
  }

  #refuse(key: string, expected: number | undefined): WriteOutcome | undefined {
    if (this.full) throw new PortholeError('STORE_FAILED', 'full');
    const revision = this.#documents.get(key)?.revision ?? 0;
    return expected !== undefined && expected !== revision ? { ok: false, revision } : undefined;
  }

  #document(key: string): StoredDocument | undefined {
    const stored = this.#documents.get(key);
    return stored === undefined
      ? undefined
      : { key, value: JSON.parse(stored.text) as JsonValue, revision: stored.revision };
  }

  #announce(key: string, change: StoreChange): void {
    for (const watcher of this.#watchers) if (key.startsWith(watcher.prefix)) watcher.onChange(change);
  }
}
