/** How big the survival tests are: short enough for `npm test`, or in full with `npm run soak -- <test>`. */

export const IN_FULL = process.env['PORTHOLE_SOAK_FULL'] === '1';

export function scaled<Value>(inTest: Value, inFull: Value): Value {
  return IN_FULL ? inFull : inTest;
}
