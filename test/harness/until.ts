/** Waiting with a deadline. The only place in the tests where polling is allowed; everywhere else, wait for an event. */

export const DEFAULT_DEADLINE_MS = 15_000;

/** Polls until `condition` gives something truthy, and returns that. Fails with `what` and the last thing seen. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadlineMs = DEFAULT_DEADLINE_MS,
): Promise<NonNullable<T>> {
  const end = performance.now() + deadlineMs;
  let last: unknown;
  for (let round = 0; ; round++) {
    try {
      const value = await condition();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end)
      throw new Error(`${what}: not within ${deadlineMs} ms; last seen: ${describe(last)}`, { cause: last });
    await pause(round < 20 ? 0 : Math.min(50, round - 15));
  }
}

/** Rejects with `what` when `promise` is not settled in time. */
export async function within<T>(what: string, promise: Promise<T>, deadlineMs = DEFAULT_DEADLINE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Watches that `condition` stays true for `forMs`: for promises of the kind "nothing happens". It is an observation
 * window, never a way to wait for something to get ready.
 */
export async function staysTrue(what: string, condition: () => boolean, forMs: number): Promise<void> {
  const end = performance.now() + forMs;
  while (performance.now() < end) {
    if (!condition()) throw new Error(`${what}: did not stay so for ${forMs} ms`);
    await pause(5);
  }
}

/** The value once it has stopped changing for half a second: how far a sender gets against a reader who stands still. */
export async function settledValue(
  what: string,
  read: () => number,
  deadlineMs = DEFAULT_DEADLINE_MS,
): Promise<number> {
  const end = performance.now() + deadlineMs;
  let last = read();
  let since = performance.now();
  while (performance.now() - since < 500) {
    if (performance.now() > end) throw new Error(`${what}: still changing after ${deadlineMs} ms, now ${last}`);
    await pause(20);
    const now = read();
    if (now === last) continue;
    last = now;
    since = performance.now();
  }
  return last;
}

/**
 * The value once 200 turns of the event loop have left it as it is: how far a sender gets, where he, the reader and all
 * between them live in this process.
 */
export async function quietValue(read: () => number): Promise<number> {
  let last = read();
  for (let quietTurns = 0; quietTurns < 200; quietTurns++) {
    await pause(0);
    const now = read();
    if (now !== last) quietTurns = 0;
    last = now;
  }
  return last;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (ms === 0) setImmediate(resolve);
    else setTimeout(resolve, ms);
  });
}

function describe(value: unknown): string {
  if (value instanceof Error) return value.message;
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
}
