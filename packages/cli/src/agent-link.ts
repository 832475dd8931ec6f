/** The one place where the command line makes links and origins of `@porthole/agent`. */
import { getCACertificates } from 'node:tls';
import {
  openRelayLink,
  originFor,
  type LinkEvents,
  type OnOriginFailed,
  type Origin,
  type RelayLink,
} from '@porthole/agent';
import type { TunnelPlan } from './plan.ts';
import type { RelayChoice } from './settings/relay-choice.ts';

export type LinkOpener = (choice: RelayChoice, events: LinkEvents) => RelayLink;

type Environment = Readonly<Record<string, string | undefined>>;

/** `software` is name and version for the relay's log; `onFault` hears of bugs that did not end anything. */
export function relayLinkOpener(env: Environment, software: string, onFault: (cause: unknown) => void): LinkOpener {
  return (choice, events) =>
    openRelayLink({
      relay: choice.relay,
      token: choice.token,
      ca: withDefaults(choice.ca),
      proxy: {
        httpsProxy: variable(env, 'HTTPS_PROXY'),
        httpProxy: variable(env, 'HTTP_PROXY'),
        noProxy: variable(env, 'NO_PROXY'),
      },
      software,
      events,
      onFault,
    });
}

export function openOrigin(plan: TunnelPlan, onFailed: OnOriginFailed): Origin {
  return originFor(plan.spoken, plan.target, {
    proxyProtocol: plan.proxyProtocol,
    hostHeader: plan.hostHeader,
    originProtocol: plan.originProtocol,
    onFailed,
    trust: { ...plan.originTrust, ca: withDefaults(plan.originTrust.ca) },
  });
}

/** Files of certificates are said to be trusted as well, not instead. */
function withDefaults(ca: string | undefined): string | undefined {
  return ca === undefined ? undefined : [...getCACertificates('default'), ca].join('\n');
}

/** Both spellings are in use; where both are set, the lower-case one wins, as with curl. */
function variable(env: Environment, name: string): string | undefined {
  return env[name.toLowerCase()] ?? env[name];
}
