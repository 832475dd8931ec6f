/** Where in the data folder the store lies: the same for the relay and for every command. */
import { join } from 'node:path';
import { SqliteStore, type SqliteStoreOptions } from './sqlite-store.ts';

export const STORE_FILE = 'porthole.db';

/** Makes the folder and the file when they are not there. Throws STORE_FAILED. */
export function openStore(dataDir: string, options?: SqliteStoreOptions): SqliteStore {
  return SqliteStore.open(join(dataDir, STORE_FILE), options);
}
