/** What the HTTP door needs besides what all doors share. */
import type { HeadLimits } from '@porthole/protocol/http1';
import type { AgentUpgrade } from '../routing/agent-upgrade.ts';
import type { EdgeParts } from './edge-parts.ts';
import type { OwnHosts } from './own-hosts.ts';
import type { ProxyArrivals } from './proxy-arrivals.ts';

export interface DoorParts extends EdgeParts {
  readonly headLimits: HeadLimits;
  readonly ownHosts: Pick<OwnHosts, 'has'>;
  /** The name of this relay in `Via`, by which it knows what it passed on itself; a token. */
  readonly viaName: string;
  /** Speak HTTP/2 with plain visitors who begin with its preface. Default true. */
  readonly h2c?: boolean;
  /** Takes PROXY protocol headers off; absent: nobody sends any. */
  readonly arrivals?: ProxyArrivals | undefined;
  /** Who takes agents in; undefined when this door is for visitors only. */
  readonly agentUpgrade: AgentUpgrade | undefined;
}
