/** Gives the memory of bulk transfers' read buffers back before V8 thinks of it. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Collects the young generation, where the read buffers of bulk transfers die. V8 does not count their memory when it
 * decides on that cheap collection, only when it decides on a full one, and so does nothing but full ones during a
 * download. Undefined where Node offers no way to ask.
 */
export function youngCollector(): (() => void) | undefined {
  try {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    setFlagsFromString('--no-expose-gc');
    return typeof collect === 'function' ? () => collect({ type: 'minor' }) : undefined;
  } catch {
    return undefined;
  }
}
