import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SqliteStore } from '../../packages/relay/src/store/sqlite-store.ts';
import { FakeStore } from './store.contract-fake.ts';
import { storeContract } from './store.contract.ts';

storeContract('FakeStore', { shared: false }, async () => ({
  open: async () => new FakeStore(),
  cleanUp: async () => {},
}));

storeContract('SqliteStore in a file', { shared: true }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'porthole-store-'));
  return {
    open: async () => SqliteStore.open(join(folder, 'store.sqlite'), { pollMs: 10 }),
    cleanUp: () => rm(folder, { recursive: true }),
  };
});

storeContract('SqliteStore in memory', { shared: false }, async () => ({
  open: async () => SqliteStore.open(':memory:'),
  cleanUp: async () => {},
}));
