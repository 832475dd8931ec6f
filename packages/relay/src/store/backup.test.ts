import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { backUpStore } from './backup.ts';
import { openStore } from './open-store.ts';
import { SqliteStore } from './sqlite-store.ts';

let folder: string;
let data: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'porthole-backup-'));
  data = join(folder, 'data');
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('a backup', () => {
  it('has all that was written, also what a running relay has not yet moved into its main file', async () => {
    const store = openStore(data);
    for (let i = 0; i < 100; i++) await store.put(`tokens/${i}`, { i });
    const file = join(folder, 'backup.db');
    backUpStore(data, file);
    await store.put('tokens/late', { i: -1 });
    await store.close();
    const copy = SqliteStore.open(file);
    expect((await copy.list('tokens/')).length).toBe(100);
    expect((await copy.get('tokens/99'))?.value).toEqual({ i: 99 });
    await copy.close();
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('overwrites nothing, and leaves nothing half done', async () => {
    await openStore(data).close();
    const file = join(folder, 'there');
    writeFileSync(file, 'mine');
    expect(() => backUpStore(data, file)).toThrow(expect.objectContaining({ code: 'FILE_EXISTS', detail: file }));
    expect(() => backUpStore(data, join(folder, 'no/such/folder'))).toThrow(
      expect.objectContaining({ code: 'FILE_UNREADABLE' }),
    );
    writeFileSync(join(data, 'porthole.db'), 'no database at all'.repeat(500));
    const broken = join(folder, 'broken');
    expect(() => backUpStore(data, broken)).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }));
    expect(existsSync(broken)).toBe(false);
  });

  it('does not make a store where there is none', () => {
    expect(() => backUpStore(data, join(folder, 'x'))).toThrow(expect.objectContaining({ code: 'STORE_FAILED' }));
    expect(existsSync(data)).toBe(false);
  });
});
