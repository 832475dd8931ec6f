/**
 * The seam to everything durable: a small ordered key -> document store. Asynchronous, so that a store across the
 * network can stand behind it; one contract suite holds for every implementation.
 */
import { PortholeError } from '@porthole/protocol';

/** Anything JSON can carry. Readers parse it into their own type; a document may come from another release. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export interface StoredDocument {
  readonly key: string;
  readonly value: JsonValue;
  /** Grows with every change of any document; never 0. */
  readonly revision: number;
}

export type WriteOutcome =
  | { readonly ok: true; readonly revision: number }
  /** Somebody else was faster. `revision` is the one that stands, 0 when there is no document. */
  | { readonly ok: false; readonly revision: number };

export type StoreChange =
  | { readonly type: 'put'; readonly document: StoredDocument }
  | { readonly type: 'deleted'; readonly key: string; readonly revision: number };

/**
 * Keys are 1 to 200 of `A-Z a-z 0-9 . _ = / -` (what every engine planned for allows); documents at most 256 KiB of
 * JSON. Every call may reject with STORE_FAILED; then nothing of it was written.
 */
export interface Store {
  get(key: string): Promise<StoredDocument | undefined>;
  /** With `expected`: only if the document has that revision (0: only if there is none). */
  put(key: string, value: JsonValue, expected?: number): Promise<WriteOutcome>;
  /** Deleting what is not there succeeds, unless `expected` says otherwise. */
  delete(key: string, expected?: number): Promise<WriteOutcome>;
  /** In order of keys, byte by byte. */
  list(prefix: string): Promise<readonly StoredDocument[]>;
  /**
   * Calls for every change after this moment, in order, also those of other processes (these within a second). Of
   * several changes of one key in quick succession only the last may be seen. Returns the way to stop.
   */
  watch(prefix: string, onChange: (change: StoreChange) => void): () => void;
  /** Idempotent. */
  close(): Promise<void>;
}

export const MAX_DOCUMENT_BYTES = 256 * 1024;

const KEY = /^[A-Za-z0-9._=/-]{1,200}$/;

/** Refuses what another engine could not hold, so that a store can be exchanged. */
export function checkKey(key: string): void {
  if (!KEY.test(key)) throw new PortholeError('STORE_FAILED', `"${key.slice(0, 200)}" cannot be a key`);
}

export function encodeDocument(key: string, value: JsonValue): string {
  const text = JSON.stringify(value);
  if (Buffer.byteLength(text) > MAX_DOCUMENT_BYTES) {
    throw new PortholeError('STORE_FAILED', `the document ${key} is larger than ${MAX_DOCUMENT_BYTES} bytes`);
  }
  return text;
}
