/**
 * Dials again beside a dial that hangs. On a line that has just come back, or moved to another network, a fresh attempt
 * gets through at once while the kernel is still waiting to repeat what was lost of the old one.
 */

const EVERY_MS = 2_500;

/**
 * The first attempt to succeed or fail decides; a new one begins every `everyMs` (default 2,500) until then. The attempts
 * that lost are aborted, and what they bring all the same is handed to `discard`.
 */
export async function hedgedDial<Dialed>(
  attempt: (signal: AbortSignal) => Promise<Dialed>,
  discard: (late: Dialed) => void,
  signal: AbortSignal,
  everyMs = EVERY_MS,
): Promise<Dialed> {
  const abort = new AbortController();
  const both = AbortSignal.any([signal, abort.signal]);
  const { promise, resolve, reject } = Promise.withResolvers<Dialed>();
  let settled = false;
  const begin = (): void => {
    attempt(both).then((dialed) => {
      if (settled) discard(dialed);
      else resolve(dialed);
      settled = true;
    }, reject);
  };
  const timer = setInterval(begin, everyMs);
  begin();
  try {
    return await promise;
  } finally {
    settled = true;
    clearInterval(timer);
    abort.abort();
  }
}
