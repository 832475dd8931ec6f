import { describe, expect, it } from 'vitest';
import { StreamTable } from './stream-table.ts';

describe('StreamTable', () => {
  it('agrees with a Map over many comings and goings', () => {
    const table = new StreamTable<{ readonly id: number }>();
    const map = new Map<number, { readonly id: number }>();
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    for (let round = 0; round < 20_000; round += 1) {
      const wanted = Math.floor(round / 2_000) % 2 === 0 ? 200 : 3;
      const open = [...map.values()];
      const victim = open[random(Math.max(1, open.length))];
      if (victim !== undefined && open.length > random(2 * wanted)) {
        map.delete(victim.id);
        table.delete(victim);
        table.delete(victim);
      }
      const stream = { id: 2 * round + 1 };
      map.set(stream.id, stream);
      table.add(stream);
      expect(table.size).toBe(map.size);
      expect(table.get(stream.id)).toBe(stream);
    }
    for (const [id, stream] of map) expect(table.get(id)).toBe(stream);
    expect(new Set(table.values())).toEqual(new Set(map.values()));
    for (const stream of map.values()) table.delete(stream);
    expect(table.size).toBe(0);
  });

  it('keeps a long-lived stream whose place later ones want, and ids of both ends apart', () => {
    const table = new StreamTable<{ readonly id: number }>();
    const old = { id: 1 };
    table.add(old);
    for (let id = 2; id < 20_000; id += 1) {
      const stream = { id };
      table.add(stream);
      expect(table.has(id)).toBe(true);
      table.delete(stream);
      expect(table.has(id)).toBe(false);
    }
    expect(table.get(1)).toBe(old);
    expect(table.size).toBe(1);
  });
});
