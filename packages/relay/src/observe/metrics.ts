/**
 * The metrics of a process, for Prometheus. What is measured lives as plain numbers with whoever counts them; they are
 * read when somebody asks, so that counting costs an addition.
 */
import { Counter, Gauge, Registry } from '@prometheus-io/client';
import { type Across, type MetricFamily, type Reading, readingEntries } from './metric-family.ts';

export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  /** What the keys of the reading are. */
  readonly label?: string;
  /** Default: `sum`. */
  readonly across?: Across;
  readonly read: () => Reading;
}

/** A metric in short; a name that ends in `_total` makes it a counter. */
export type MetricRow = readonly [name: string, help: string, read: () => Reading, label?: string, across?: Across];

/** A metric to be printed: its samples with all their labels. */
export interface PrintedFamily extends Pick<MetricFamily, 'name' | 'help' | 'kind'> {
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

type Declared = Required<Pick<MetricOptions, 'across'>> & MetricOptions & Pick<MetricFamily, 'kind'>;

const NAME = /^(porthole|process|nodejs)_[a-z0-9_]+$/;

export const METRICS_CONTENT_TYPE = new Registry().contentType;

export class Metrics {
  readonly #declared: Declared[] = [];

  /** Only grows; the name ends in `_total`. */
  counter(options: MetricOptions): void {
    this.#declare(options, 'counter');
  }

  gauge(options: MetricOptions): void {
    this.#declare(options, 'gauge');
  }

  add(rows: Iterable<MetricRow>): void {
    for (const [name, help, read, label, across = 'sum'] of rows) {
      const options = { name, help, read, across, ...(label === undefined ? {} : { label }) };
      if (name.endsWith('_total')) this.counter(options);
      else this.gauge(options);
    }
  }

  /** What all of them say now. */
  read(): readonly MetricFamily[] {
    return this.#declared.map(({ read, ...family }) => ({ ...family, reading: read() }));
  }

  render(): Promise<string> {
    return renderFamilies(
      this.read().map(({ label = 'kind', reading, ...family }) => ({
        ...family,
        samples: readingEntries(reading).map(([key, value]) => ({
          labels: key === undefined ? {} : { [label]: key },
          value,
        })),
      })),
    );
  }

  #declare(options: MetricOptions, kind: MetricFamily['kind']): void {
    const { name } = options;
    if (!NAME.test(name) || name.endsWith('_total') !== (kind === 'counter'))
      throw new TypeError(`${name} is no name for a ${kind}`);
    this.#declared.push({ across: 'sum', ...options, kind });
  }
}

/** In the text format of Prometheus. One without samples is left out. */
export async function renderFamilies(families: Iterable<PrintedFamily>): Promise<string> {
  const registry = new Registry();
  for (const { name, help, kind, samples } of families) {
    if (samples.length === 0) continue;
    const labelNames = [...new Set(samples.flatMap(({ labels }) => Object.keys(labels)))];
    const options = { name, help, labelNames, registers: [registry] };
    if (kind === 'counter') {
      const counter = new Counter(options);
      for (const { labels, value } of samples) counter.inc(labels, value);
    } else {
      const gauge = new Gauge(options);
      for (const { labels, value } of samples) gauge.set(labels, value);
    }
  }
  return await registry.metrics();
}
