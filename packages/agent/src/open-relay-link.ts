/** A link to a relay as the network has it: dialed over sockets, straight or through a proxy. */
import { type Carrier, SocketCarrier, WebSocketCarrier } from '@porthole/protocol/node';
import { PortholeError } from '@porthole/protocol';
import { hedgedDial } from './hedged-dial.ts';
import type { DialCarrier } from './link-session.ts';
import type { ProxySettings } from './proxy-route.ts';
import { relayDial, type RelayDialOptions } from './relay-dial.ts';
import type { LinkEvents, RelayLink } from './relay-link.ts';
import { SessionLink } from './session-link.ts';

export interface RelayLinkOptions {
  /** `https://relay.example`, `http://…`, `wss://…` or `ws://…`; a path is ignored. */
  readonly relay: string | URL;
  /** Absent for a relay that runs open. */
  readonly token?: string | undefined;
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca?: string | undefined;
  /** HTTP proxies of the network; the library never reads the environment. */
  readonly proxy?: ProxySettings | undefined;
  /** Name and version for the relay's log. Default `porthole-agent`. */
  readonly software?: string | undefined;
  readonly events: LinkEvents;
  /** Hears of bugs that did not end anything. Default: nobody. */
  readonly onFault?: ((error: unknown) => void) | undefined;
}

const DEFAULT_SOFTWARE = 'porthole-agent';

/** Nothing is dialed before `start`. Throws CONFIG_INVALID for a relay or proxy URL without sense. */
export function openRelayLink(options: RelayLinkOptions): RelayLink {
  const software = options.software ?? DEFAULT_SOFTWARE;
  const dial = carrierDial({ relay: relayUrl(options.relay), ca: options.ca, proxy: options.proxy, software });
  return new SessionLink({
    dial,
    token: options.token,
    software,
    events: options.events,
    onFault: options.onFault ?? (() => {}),
  });
}

/** Dials and wraps what was dialed, within one event-loop turn, so that no byte finds nobody listening. */
function carrierDial(options: RelayDialOptions): DialCarrier {
  const dial = relayDial(options);
  const attempt = async (signal: AbortSignal): Promise<Carrier> => {
    const dialed = await dial(signal);
    return dialed.kind === 'upgrade'
      ? new SocketCarrier(dialed.socket, dialed.head)
      : new WebSocketCarrier(dialed.webSocket, dialed.socket);
  };
  return (signal) => hedgedDial(attempt, (late) => late.destroy(), signal);
}

const SCHEMES = new Set(['http:', 'https:', 'ws:', 'wss:']);

/** Throws CONFIG_INVALID. */
export function relayUrl(relay: string | URL): URL {
  const url = typeof relay === 'string' ? URL.parse(relay) : relay;
  if (url === null || !SCHEMES.has(url.protocol) || url.hostname === '') {
    throw new PortholeError(
      'CONFIG_INVALID',
      `the relay must be a URL like https://relay.example, not ${JSON.stringify(String(relay))}`,
    );
  }
  return url;
}
