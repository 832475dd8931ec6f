import { beforeEach, describe, expect, it } from 'vitest';
import { type MetricFamily, parseFamilies, type Reading } from '../observe/metric-family.ts';
import { RelayTotals } from './relay-totals.ts';

let totals: RelayTotals;

beforeEach(() => {
  totals = new RelayTotals();
});

function family(name: string, reading: Reading, more: Partial<MetricFamily> = {}): MetricFamily {
  return { name, help: '', kind: name.endsWith('_total') ? 'counter' : 'gauge', across: 'sum', reading, ...more };
}

/** The relay's samples as text: what `/metrics` shows of them. */
function shown(silent: readonly string[] = [], nodes = ['g1.1', 'g1.2'], own: MetricFamily[] = []): string[] {
  return totals
    .merge(
      own,
      nodes.map((node) => ({ node, isSilent: silent.includes(node) })),
    )
    .flatMap(({ name, samples }) =>
      samples.map(({ labels, value }) =>
        [name, ...Object.entries(labels).map(([label, of]) => `${label}=${of}`), value].join(' '),
      ),
    )
    .toSorted();
}

describe('RelayTotals', () => {
  it('adds up, by label where there is one', () => {
    totals.heard('g1.1', [family('open', 1), family('codes_total', { A: 1, B: 2 }, { label: 'code' })]);
    totals.heard('g1.2', [family('open', 2), family('codes_total', { B: 3, C: 4 }, { label: 'code' })]);
    expect(shown()).toEqual(['codes_total code=A 1', 'codes_total code=B 5', 'codes_total code=C 4', 'open 3']);
  });

  it('shows what each process says of itself under its name, and once what all say of the relay', () => {
    const each = { across: 'each', label: 'use' } as const;
    totals.heard('g1.1', [family('memory', { heap: 5 }, each), family('expires', 7, { across: 'max' })]);
    totals.heard('g1.2', [family('memory', { heap: 6 }, each), family('expires', 8, { across: 'max' })]);
    expect(shown()).toEqual(['expires 8', 'memory worker=g1.1 use=heap 5', 'memory worker=g1.2 use=heap 6']);
  });

  it('keeps the counters of those that ended, and the last ones of those that are silent, but not their gauges', () => {
    totals.heard('g1.1', [family('visits_total', 10), family('open', 1)]);
    totals.heard('g1.2', [family('visits_total', 5), family('open', 1)]);
    expect(shown(['g1.2'])).toEqual(['open 1', 'visits_total 15']);
    totals.left('g1.2');
    totals.heard('g2.3', [family('visits_total', 1)]);
    expect(shown([], ['g1.1', 'g2.3'])).toEqual(['open 1', 'visits_total 16']);
    totals.left('g1.1');
    totals.left('g1.1');
    expect(shown([], ['g2.3'])).toEqual(['visits_total 16']);
  });

  it('believes the supervisor more than any worker', () => {
    totals.heard('g1.1', [family('leases', 3)]);
    expect(shown([], ['g1.1'], [family('leases', 4)])).toEqual(['leases 4']);
  });

  it('reads what another release says, and nothing else', () => {
    const sound = [family('new_things', { a: 1 }, { label: 'thing' })];
    expect(parseFamilies(JSON.stringify(sound))).toEqual(sound);
    for (const text of ['{}', '[1]', '[{"name":"x"}]', JSON.stringify([{ ...sound[0], reading: { a: '1' } }])])
      expect(() => parseFamilies(text)).toThrow(TypeError);
  });
});
