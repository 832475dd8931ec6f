/** Gives the memory of bulk transfers' read buffers back before V8 thinks of it. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Buffers that nobody uses any more may pile up to this; V8 looks through its whole heap at 32 MiB. */
const COLLECT_EVERY_BYTES = 12_582_912;

/** Counts memory that was made for single reads and asks for the cheap collection, now and then, that frees it. */
export class FreshMemory {
  #bytes = 0;
  /** Looked for when it is needed: most processes that load this never read that much. */
  #collect: (() => void) | undefined;

  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < COLLECT_EVERY_BYTES) return;
    this.#bytes = 0;
    this.#collect ??= youngCollector();
    this.#collect();
  }
}

/**
 * Collects the young generation, where the read buffers of bulk transfers die. V8 does not count their memory when it
 * decides on that cheap collection, only when it decides on a full one, and so does nothing but full ones during a
 * download. Where Node offers no way to ask, nothing is done.
 */
function youngCollector(): () => void {
  try {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    setFlagsFromString('--no-expose-gc');
    if (typeof collect === 'function') return () => collect({ type: 'minor' });
  } catch {
    // Not to be had.
  }
  return () => {};
}
