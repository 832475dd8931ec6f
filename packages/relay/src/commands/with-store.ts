/** Opens the store for one command and closes it whatever happens. A relay that runs on it notices what is changed. */
import { type Store } from '../store/store.ts';
import { openStore } from '../store/open-store.ts';
import { type Flags, settle } from './settle.ts';
import type { World } from './world.ts';

export async function withStore<T>(flags: Flags, world: World, work: (store: Store) => Promise<T>): Promise<T> {
  const store = openStore(settle(flags, world).config.dataDir);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
