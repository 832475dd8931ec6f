/** The clock that sessions are given. */

/** Monotonic milliseconds. */
export function monotonicNow(): number {
  return performance.now();
}
