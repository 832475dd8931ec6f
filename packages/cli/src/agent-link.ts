/** The one place where the command line makes links and origins of `@porthole/agent`. */
import { openRelayLink, originFor, type LinkEvents, type Origin, type RelayLink } from '@porthole/agent';
import type { TunnelPlan } from './plan.ts';
import type { RelayChoice } from './settings/relay-choice.ts';

export function relayLinkOpener(env: NodeJS.ProcessEnv, software: string, onFault: (cause: unknown) => void): (choice: RelayChoice, events: LinkEvents) => RelayLink {
  throw new Error(String([env, software, onFault, openRelayLink]));
}

export function openOrigin(plan: TunnelPlan): Origin {
  return originFor(plan);
}
