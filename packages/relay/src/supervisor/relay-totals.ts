/**
 * Adds up what the workers count into what the relay counts. Counters never fall: those of workers that ended stay in
 * the sum, those of a worker that does not answer are the ones it gave last.
 */
import { type MetricFamily, readingEntries } from '../observe/metric-family.ts';
import type { PrintedFamily } from '../observe/metrics.ts';

export interface Counting {
  readonly node: string;
  /** It did not answer: what it has just now is not known. */
  readonly isSilent: boolean;
}

/** By the value of the label; by `undefined` where there is none. */
type Sums = Map<string | undefined, number>;

export class RelayTotals {
  /** Of workers that ended. Bounded by the metrics there are. */
  readonly #past = new Map<string, { readonly family: MetricFamily; readonly sums: Sums }>();
  /** What a worker said last. */
  readonly #last = new Map<string, readonly MetricFamily[]>();

  heard(node: string, families: readonly MetricFamily[]): void {
    this.#last.set(node, families);
  }

  /** The worker has ended. */
  left(node: string): void {
    for (const family of this.#last.get(node) ?? []) {
      if (!isTotal(family)) continue;
      const past = this.#past.get(family.name) ?? { family, sums: new Map() };
      this.#past.set(family.name, past);
      add(past.sums, family);
    }
    this.#last.delete(node);
  }

  /**
   * The relay's metrics, from what each process said last. `own` is what the supervisor knows better than any worker.
   */
  merge(own: readonly MetricFamily[], processes: readonly Counting[]): PrintedFamily[] {
    const merged = new Map<string, { readonly family: MetricFamily; readonly samples: Samples }>();
    const samplesOf = (family: MetricFamily): Samples => {
      const standing = merged.get(family.name) ?? { family, samples: new Samples(family) };
      merged.set(family.name, standing);
      return standing.samples;
    };
    for (const family of own) samplesOf(family).take('', family);
    const isOwn = new Set(merged.keys());
    for (const { family, sums } of this.#past.values()) {
      if (isOwn.has(family.name)) continue;
      for (const [key, value] of sums) samplesOf(family).add(key, value);
    }
    for (const { node, isSilent } of processes) {
      for (const family of this.#last.get(node) ?? []) {
        if (!isOwn.has(family.name) && (!isSilent || isTotal(family))) samplesOf(family).take(node, family);
      }
    }
    return [...merged.values()].map(({ family: { name, help, kind }, samples }) => ({
      name,
      help,
      kind,
      samples: samples.list,
    }));
  }
}

/** The samples of one metric, while they are put together. */
class Samples {
  readonly #across: MetricFamily['across'];
  readonly #label: string;
  readonly #values: Sums = new Map();
  readonly #each: PrintedFamily['samples'][number][] = [];

  constructor({ across, label = 'kind' }: MetricFamily) {
    this.#across = across;
    this.#label = label;
  }

  take(node: string, { reading }: MetricFamily): void {
    for (const [key, value] of readingEntries(reading)) {
      if (this.#across === 'sum') this.add(key, value);
      else if (this.#across === 'max') this.#values.set(key, Math.max(this.#values.get(key) ?? -Infinity, value));
      else this.#each.push({ labels: { worker: node, ...this.#labelsOf(key) }, value });
    }
  }

  add(key: string | undefined, value: number): void {
    this.#values.set(key, (this.#values.get(key) ?? 0) + value);
  }

  get list(): PrintedFamily['samples'] {
    return [...this.#each, ...[...this.#values].map(([key, value]) => ({ labels: this.#labelsOf(key), value }))];
  }

  #labelsOf(key: string | undefined): Record<string, string> {
    return key === undefined ? {} : { [this.#label]: key };
  }
}

function isTotal({ kind, across }: MetricFamily): boolean {
  return kind === 'counter' && across === 'sum';
}

function add(sums: Sums, { reading }: MetricFamily): void {
  for (const [key, value] of readingEntries(reading)) sums.set(key, (sums.get(key) ?? 0) + value);
}
