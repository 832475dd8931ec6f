import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SqliteStore } from './sqlite-store.ts';
import type { StoreChange } from './store.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'porthole-sqlite-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

async function fillUntilRefused(store: SqliteStore): Promise<{ stored: number; error: unknown }> {
  for (let stored = 0; ; stored += 1) {
    try {
      await store.put(`fill/${stored}`, 'x'.repeat(10_000));
    } catch (error) {
      return { stored, error };
    }
  }
}

describe('SqliteStore', () => {
  it('keeps its folder and files to their owner', async () => {
    const data = join(folder, 'deep', 'data');
    const store = SqliteStore.open(join(data, 'store.sqlite'));
    await store.put('a', 1);
    expect(statSync(data).mode & 0o777).toBe(0o700);
    const files = readdirSync(data);
    expect(files).toContain('store.sqlite');
    for (const file of files) expect([file, statSync(join(data, file)).mode & 0o777]).toEqual([file, 0o600]);
    await store.close();
  });

  it('still has everything after it was closed and opened again', async () => {
    const file = join(folder, 'store.sqlite');
    const first = SqliteStore.open(file);
    const { revision } = await first.put('a', { deep: [1] });
    await first.close();
    const second = SqliteStore.open(file);
    expect(await second.get('a')).toEqual({ key: 'a', value: { deep: [1] }, revision });
    expect((await second.put('b', 1)).revision).toBeGreaterThan(revision);
    await second.close();
  });

  it('commits what was put just before it was closed', async () => {
    const file = join(folder, 'store.sqlite');
    const first = SqliteStore.open(file);
    const put = first.put('a', 1);
    await first.close();
    expect((await put).ok).toBe(true);
    const second = SqliteStore.open(file);
    expect((await second.get('a'))?.value).toBe(1);
    await second.close();
  });

  it('says that the disk is full, loses nothing, and goes on when there is room', async () => {
    const store = SqliteStore.open(join(folder, 'store.sqlite'), { maxBytes: 400_000 });
    const { stored, error } = await fillUntilRefused(store);
    expect(stored).toBeGreaterThan(10);
    expect(error).toMatchObject({ code: 'STORE_FAILED', detail: expect.stringContaining('the disk is full') });
    expect(await store.list('fill/')).toHaveLength(stored);
    await expect(store.put('fill/0', 'y'.repeat(200_000))).rejects.toMatchObject({ code: 'STORE_FAILED' });
    expect((await store.get('fill/0'))?.value).toBe('x'.repeat(10_000));
    // Deleting needs no new page: this is how an operator makes room.
    for (let index = 0; index < stored; index += 1) await store.delete(`fill/${index}`);
    expect((await store.put('after', 1)).ok).toBe(true);
    await store.close();
  });

  it('survives a file system without room', async () => {
    const mounted = mountSmallDisk(folder);
    if (!mounted) return;
    try {
      const store = SqliteStore.open(join(folder, 'store.sqlite'));
      await store.put('token', 'precious');
      writeFileSync(join(folder, 'ballast'), Buffer.alloc(64 * 1024));
      const { stored, error } = await fillUntilRefused(store);
      expect(error).toMatchObject({ code: 'STORE_FAILED', detail: expect.stringMatching(/disk/) });
      expect((await store.get('token'))?.value).toBe('precious');
      rmSync(join(folder, 'ballast'));
      expect((await store.put('after', 1)).ok).toBe(true);
      await store.close();
      const again = SqliteStore.open(join(folder, 'store.sqlite'));
      expect((await again.get('token'))?.value).toBe('precious');
      expect(await again.list('fill/')).toHaveLength(stored);
      await again.close();
    } finally {
      execFileSync('umount', [folder]);
    }
  });

  it('refuses a file that is no store, one that is damaged and one of a later release, and says so', () => {
    const foreign = join(folder, 'foreign');
    writeFileSync(foreign, 'not a database at all, but long enough to be looked at'.repeat(100));
    expect(() => SqliteStore.open(foreign)).toThrow(/is not a Porthole store/);
    const later = join(folder, 'later');
    const database = new DatabaseSync(later);
    database.exec('PRAGMA user_version = 99');
    database.close();
    expect(() => SqliteStore.open(later)).toThrow(/newer release/);
    expect(() => SqliteStore.open('/proc/never/store.sqlite')).toThrow(/check the data folder/);
    writeFileSync(join(folder, 'file'), '');
    expect(() => SqliteStore.open(join(folder, 'file', 'store.sqlite'))).toThrow(
      expect.objectContaining({ code: 'STORE_FAILED' }),
    );
  });

  it('sees what a whole other process writes', async () => {
    const file = join(folder, 'store.sqlite');
    const store = SqliteStore.open(file, { pollMs: 20 });
    const change = new Promise<StoreChange>((resolve) => store.watch('from/', resolve));
    const script = `
      const { SqliteStore } = await import(${JSON.stringify(new URL('./sqlite-store.ts', import.meta.url).href)});
      const store = SqliteStore.open(process.argv[1]);
      await store.put('from/elsewhere', 'hello');
      await store.close();`;
    execFileSync(process.execPath, ['--conditions=@porthole/source', '--input-type=module', '-e', script, file]);
    expect(await change).toMatchObject({ type: 'put', document: { key: 'from/elsewhere', value: 'hello' } });
    await store.close();
  });

  it('takes thousands of writes of one turn in one commit', async () => {
    const store = SqliteStore.open(join(folder, 'store.sqlite'));
    const outcomes = await Promise.all(Array.from({ length: 5000 }, (_, index) => store.put(`k/${index}`, index)));
    expect(outcomes.every((outcome) => outcome.ok)).toBe(true);
    expect(await store.list('k/')).toHaveLength(5000);
    await store.close();
  });
});

/** False where mounting is not allowed; `maxBytes` covers the same then. */
function mountSmallDisk(at: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', at], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
