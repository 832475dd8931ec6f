/** How big the survival tests are: short enough for `npm test`, or in full with `npm run soak -- <test>`. */

export const IN_FULL = process.env['PORTHOLE_SOAK_FULL'] === '1';

export function scaled<Value>(inTest: Value, inFull: Value): Value {
  return IN_FULL ? inFull : inTest;
}

/** A figure for the results' page; said in full size only. */
export function noteFigure(what: string, value: string): void {
  if (IN_FULL) process.stdout.write(`${what}: ${value}\n`);
}

/** Median and greatest of some durations, for `noteFigure`. */
export function spread(millis: readonly number[]): string {
  const sorted = millis.toSorted((a, b) => a - b);
  const shown = (ms: number | undefined): string => (ms === undefined ? '-' : `${Math.round(ms)} ms`);
  return `median ${shown(sorted[Math.floor(sorted.length / 2)])}, slowest ${shown(sorted.at(-1))} of ${sorted.length}`;
}
