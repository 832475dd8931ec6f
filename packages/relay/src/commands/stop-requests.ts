/** Requests to stop, counted: the first asks for a drain, the second for an end at once. */
import type { World } from './world.ts';

export interface StopRequests {
  readonly first: Promise<void>;
  readonly second: Promise<void>;
  /** Somebody asks in another way than by the usual signals. */
  readonly ask: () => void;
}

export function stopRequests(world: World): StopRequests {
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  let count = 0;
  const ask = (): void => {
    count += 1;
    if (count === 1) first.resolve();
    else second.resolve();
  };
  world.onStop(ask);
  return { first: first.promise, second: second.promise, ask };
}
