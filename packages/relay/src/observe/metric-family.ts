/**
 * What a metric says at one moment, as plain data: it travels from the workers to their supervisor, which may be of
 * another release. Everything needed to add it up and to print it is in it.
 */

/** One number, or one per value of the label. */
export type Reading = number | Readonly<Record<string, number>>;

/**
 * How the readings of several processes become the relay's: added; the greatest, for what every process says of the
 * whole relay; or each by itself, with the process as a label.
 */
export type Across = 'sum' | 'max' | 'each';

export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly across: Across;
  /** What the keys of the reading are. */
  readonly label?: string;
  readonly reading: Reading;
}

/** The families in a report of another process. Throws TypeError when it is none. */
export function parseFamilies(text: string): readonly MetricFamily[] {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed) || !parsed.every(isFamily)) throw new TypeError('no report of metrics');
  return parsed;
}

/** A reading as label value and number; the label value of a single number is undefined. */
export function readingEntries(reading: Reading): readonly (readonly [string | undefined, number])[] {
  return typeof reading === 'number' ? [[undefined, reading]] : Object.entries(reading);
}

function isFamily(value: unknown): value is MetricFamily {
  if (typeof value !== 'object' || value === null) return false;
  const { name, help, kind, across, label, reading }: Partial<Record<keyof MetricFamily, unknown>> = value;
  return (
    typeof name === 'string' &&
    typeof help === 'string' &&
    (kind === 'counter' || kind === 'gauge') &&
    (across === 'sum' || across === 'max' || across === 'each') &&
    (label === undefined || typeof label === 'string') &&
    isReading(reading)
  );
}

function isReading(value: unknown): value is Reading {
  if (typeof value === 'number') return true;
  return typeof value === 'object' && value !== null && Object.values(value).every((each) => typeof each === 'number');
}
