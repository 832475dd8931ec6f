/** What every store promises. Exported as a function and run for each implementation, the fake one included. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  MAX_DOCUMENT_BYTES,
  type Store,
  type StoreChange,
  type StoredDocument,
} from '../../packages/relay/src/store/store.ts';

export interface StoreFixture {
  readonly open: () => Promise<Store>;
  readonly cleanUp: () => Promise<void>;
}

export interface StoreTraits {
  /** Opening it twice gives two views of the same documents, as two processes have. */
  readonly shared: boolean;
}

export function storeContract(name: string, traits: StoreTraits, createFixture: () => Promise<StoreFixture>): void {
  describe(`${name} keeps the store contract`, () => {
    let fixture: StoreFixture;
    let store: Store;

    beforeEach(async () => {
      fixture = await createFixture();
      store = await fixture.open();
    });

    afterEach(async () => {
      await store.close();
      await fixture.cleanUp();
    });

    it('gives back what was put, and nothing for other keys', async () => {
      const value = { text: 'grüße \u0000 🦦', list: [1, -2.5, true, null], nested: { a: {} } };
      const outcome = await store.put('a/b', value);
      expect(outcome.ok).toBe(true);
      expect(await store.get('a/b')).toEqual({ key: 'a/b', value, revision: outcome.revision });
      expect(await store.get('a')).toBeUndefined();
      expect(await store.get('a/b/c')).toBeUndefined();
    });

    it('gives every change a greater revision, over all keys', async () => {
      const revisions = [
        (await store.put('a', 1)).revision,
        (await store.put('b', 1)).revision,
        (await store.put('a', 2)).revision,
        (await store.delete('a')).revision,
        (await store.put('a', 3)).revision,
      ];
      expect(revisions[0]).toBeGreaterThan(0);
      expect([...revisions].sort((a, b) => a - b)).toEqual(revisions);
      expect(new Set(revisions).size).toBe(5);
    });

    it('puts with an expected revision only when it still stands', async () => {
      const first = await store.put('a', 1, 0);
      expect(first.ok).toBe(true);
      expect(await store.put('a', 2, 0)).toEqual({ ok: false, revision: first.revision });
      const second = await store.put('a', 3, first.revision);
      expect(second.ok).toBe(true);
      expect(await store.put('a', 4, first.revision)).toEqual({ ok: false, revision: second.revision });
      expect((await store.get('a'))?.value).toBe(3);
    });

    it('deletes, also with an expected revision', async () => {
      const { revision } = await store.put('a', 1);
      expect(await store.delete('a', revision + 1)).toEqual({ ok: false, revision });
      expect((await store.delete('a', revision)).ok).toBe(true);
      expect(await store.get('a')).toBeUndefined();
      expect((await store.delete('a')).ok).toBe(true);
      expect((await store.delete('never')).ok).toBe(true);
      expect((await store.put('a', 2, 0)).ok).toBe(true);
    });

    it('lets exactly one of many racing creations win', async () => {
      const outcomes = await Promise.all(Array.from({ length: 200 }, (_, index) => store.put('race', index, 0)));
      const winner = outcomes.findIndex((outcome) => outcome.ok);
      expect(outcomes.filter((outcome) => outcome.ok)).toHaveLength(1);
      expect((await store.get('race'))?.value).toBe(winner);
    });

    it('lists by prefix, in order of keys, without neighbours or what was deleted', async () => {
      for (const key of ['t/b', 't/a', 't/B', 't/a.z', 't/a/1', 'tt/a', 't', 's/z', 'u/a', 't/gone'])
        await store.put(key, key);
      await store.delete('t/gone');
      const keys = (await store.list('t/')).map((document: StoredDocument) => document.key);
      expect(keys).toEqual(['t/B', 't/a', 't/a.z', 't/a/1', 't/b']);
      expect(await store.list('nothing/')).toEqual([]);
    });

    it('tells watchers of changes under their prefix, in order, until they stop', async () => {
      const seen: string[] = [];
      const note = (change: StoreChange): void => {
        seen.push(
          change.type === 'put' ? `${change.document.key}=${String(change.document.value)}` : `${change.key} gone`,
        );
      };
      await store.put('w/before', 0);
      const stop = store.watch('w/', note);
      await store.put('w/a', 1);
      await store.put('x/a', 1);
      await store.put('w/b', 2);
      await store.delete('w/a');
      await store.delete('w/never');
      stop();
      await store.put('w/c', 3);
      expect(seen).toEqual(['w/a=1', 'w/b=2', 'w/a gone']);
    });

    it('tells no watcher of a write that did not happen', async () => {
      const { revision } = await store.put('w/a', 1);
      const seen: StoreChange[] = [];
      store.watch('w/', (change) => seen.push(change));
      await store.put('w/a', 2, revision + 1);
      await store.delete('w/a', revision + 1);
      expect(seen).toEqual([]);
    });

    it('refuses keys and documents another engine could not hold', async () => {
      for (const key of ['', 'a b', 'ä', 'a\n', 'x'.repeat(201)]) {
        await expect(store.put(key, 1)).rejects.toMatchObject({ code: 'STORE_FAILED' });
        await expect(store.get(key)).rejects.toMatchObject({ code: 'STORE_FAILED' });
      }
      await expect(store.put('a', 'x'.repeat(MAX_DOCUMENT_BYTES))).rejects.toMatchObject({ code: 'STORE_FAILED' });
      expect((await store.put('a', 'x'.repeat(MAX_DOCUMENT_BYTES - 2))).ok).toBe(true);
    });

    it('closes twice and then fails with a code', async () => {
      await store.close();
      await store.close();
      await expect(store.get('a')).rejects.toMatchObject({ code: 'STORE_FAILED' });
      await expect(store.put('a', 1)).rejects.toMatchObject({ code: 'STORE_FAILED' });
      await expect(store.list('a')).rejects.toMatchObject({ code: 'STORE_FAILED' });
    });

    if (!traits.shared) return;

    it('shows two openings of it the same documents, and each the changes of the other', async () => {
      const other = await fixture.open();
      const gone = Promise.withResolvers<void>();
      const seen: string[] = [];
      other.watch('w/', (change) => {
        seen.push(change.type === 'put' ? change.document.key : `${change.key} gone`);
        if (change.type === 'deleted') gone.resolve();
      });
      await store.put('w/a', 1);
      await store.put('w/b', 1);
      expect((await other.get('w/a'))?.value).toBe(1);
      await store.delete('w/a');
      await gone.promise;
      // Of two quick changes of one key only the last need be seen.
      expect(seen.filter((entry) => entry !== 'w/a')).toEqual(['w/b', 'w/a gone']);
      const stale = await store.get('w/b');
      await other.put('w/b', 2);
      expect((await store.put('w/b', 3, stale?.revision)).ok).toBe(false);
      await other.close();
    });
  });
}
