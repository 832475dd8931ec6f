/** What everything behind the agents' door shares. */
import type { TunnelProtocol, Welcome } from '@porthole/protocol';
import type { Access, Authenticated } from '../access/access.ts';
import type { CustomDomains } from '../access/custom-domains.ts';
import type { Log } from '../observe/log.ts';
import type { ThrottledLog } from '../observe/throttled-log.ts';
import type { CarrierHandover } from '../routing/carrier-handover.ts';
import type { PublicPorts } from '../routing/public-ports.ts';
import type { PortPool } from '../routing/port-pool.ts';
import type { RouteRegistry } from '../routing/registry.ts';
import type { SessionPlaces } from '../routing/session-places.ts';
import type { AgentCounters } from './agent-counters.ts';

interface AgentLimits {
  readonly maxStreamsPerSession: number;
  readonly maxTunnelsPerUser: number;
  readonly handshakeTimeoutMs: number;
}

export interface AgentParts {
  readonly access: Access;
  readonly registry: RouteRegistry;
  /** Where a session is entered before it begins. */
  readonly places: SessionPlaces;
  readonly portPool: PortPool;
  readonly publicPorts: PublicPorts;
  readonly counters: AgentCounters;
  readonly limits: AgentLimits;
  readonly log: Log;
  /** For what agents can cause at will. */
  readonly throttledLog: ThrottledLog;
  /** The relay's domains, the default one first. */
  readonly domains: readonly string[];
  /** Domains that users bring; undefined: none. */
  readonly customDomains: CustomDomains | undefined;
  /** TLS connections can be passed through: there is an HTTPS address. */
  readonly hasTls: boolean;
  /** Visitors can be asked for certificates: they all come through TLS that ends here. */
  readonly asksCertificates: boolean;
  /** Host that tunnels by port are announced with, unless a domain is asked for. */
  readonly portHost: string;
  /** Software and version, for people. */
  readonly software: string;
  readonly heartbeatMs: number;
  readonly graceMs: number;
  /** Lanes a session may have. */
  readonly maxLanes: number;
  /** The other processes of this relay; undefined when there is only one. */
  readonly handover: CarrierHandover | undefined;
  /** The URL visitors are to use for a host name. */
  urlOf(host: string): string;
  /** The URL of a tunnel by port. */
  portUrlOf(protocol: TunnelProtocol, host: string, port: number): string;
  /** The part of a WELCOME that is the same for every lane. */
  welcome(who: Authenticated): Pick<Welcome, 'identity' | 'graceMs' | 'heartbeatMs' | 'maxLanes' | 'features'>;
}
