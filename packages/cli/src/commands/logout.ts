/** `porthole logout`: forgets a stored token. Running agents keep theirs. */
import { PortholeError } from '@porthole/agent';
import type { SharedFlags } from '../flags.ts';
import { parseRelayUrl } from '../settings/relay-url.ts';
import { printLines, surroundings, type World } from '../world.ts';

export async function runLogout(relayText: string | undefined, flags: SharedFlags, world: World): Promise<number> {
  const { credentials } = surroundings(world);
  const named = relayText ?? flags.relay;
  const relay = named === undefined ? credentials.last() : parseRelayUrl(named);
  if (relay === undefined) throw new PortholeError('NOT_LOGGED_IN');
  if (!credentials.forget(relay))
    throw new PortholeError('NOT_LOGGED_IN', `${relay}${knownText(credentials.relays())}`);
  const line = flags.json === true ? JSON.stringify({ event: 'logout', relay }) : `Forgot the token for ${relay}.`;
  await printLines(world.stdout, [line]);
  return 0;
}

function knownText(relays: readonly string[]): string {
  return relays.length === 0 ? '' : `; there is one for ${relays.join(', ')}`;
}
