/** Asks a relay once whether it takes this token: a session is opened and closed again, no name is claimed. */
import { PortholeError } from '@porthole/agent';
import type { RelayChoice } from './settings/relay-choice.ts';
import type { World } from './world.ts';

export interface RelayAnswer {
  readonly carrier: string;
  readonly rttMs: number | undefined;
  /** As the relay says: `porthole-relay/0.1.0`. */
  readonly software: string | undefined;
}

/** Longer than a dial may take, which ends with a reason of its own. */
const LIMIT_MS = 30_000;

/** Rejects with what the relay or the network said, at the first failure: here a person waits. */
export async function verifyRelay(choice: RelayChoice, world: World): Promise<RelayAnswer> {
  const answer = Promise.withResolvers<RelayAnswer>();
  const link = world.openLink(choice, {
    onConnected: ({ carrier, rttMs, relaySoftware }) => answer.resolve({ carrier, rttMs, software: relaySoftware }),
    onInterrupted: answer.reject,
    onFinished: answer.reject,
  });
  const timer = setTimeout(() => answer.reject(new PortholeError('RELAY_UNREACHABLE', 'no answer in 30 s')), LIMIT_MS);
  try {
    link.start();
    return await answer.promise;
  } finally {
    clearTimeout(timer);
    await link.close(0);
  }
}
