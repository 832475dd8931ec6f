/**
 * The metrics of a process, for Prometheus. What is measured lives as plain numbers with whoever counts them; they are
 * read when somebody asks, so that counting costs an addition.
 */
import { Counter, Gauge, Registry } from '@prometheus-io/client';

/** One number, or one per value of the label. */
export type Reading = number | Readonly<Record<string, number>>;

export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  /** What the keys of the reading are. */
  readonly label?: string;
  readonly read: () => Reading;
}

const NAME = /^(porthole|process|nodejs)_[a-z0-9_]+$/;

export class Metrics {
  readonly #registry = new Registry();

  /** Only grows; the name ends in `_total`. */
  counter(options: MetricOptions): void {
    check(options, options.name.endsWith('_total'));
    new Counter({
      ...common(options, this.#registry),
      collect() {
        this.reset();
        for (const [labels, value] of readings(options)) this.inc(labels, value);
      },
    });
  }

  gauge(options: MetricOptions): void {
    check(options, !options.name.endsWith('_total'));
    new Gauge({
      ...common(options, this.#registry),
      collect() {
        this.reset();
        for (const [labels, value] of readings(options)) this.set(labels, value);
      },
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  render(): Promise<string> {
    return this.#registry.metrics();
  }
}

function common({ name, help, label }: MetricOptions, registry: Registry) {
  return { name, help, registers: [registry], labelNames: label === undefined ? [] : [label] };
}

function* readings({ label, read }: MetricOptions): Iterable<[Record<string, string>, number]> {
  const reading = read();
  if (typeof reading === 'number') yield [{}, reading];
  else for (const [key, value] of Object.entries(reading)) yield [{ [label ?? 'kind']: key }, value];
}

function check({ name }: MetricOptions, fits: boolean): void {
  if (!NAME.test(name) || !fits) throw new TypeError(`${name} is no name for this metric`);
}
