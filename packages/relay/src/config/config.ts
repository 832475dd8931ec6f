/** The configuration of a relay as the code sees it: parsed, checked as a whole, frozen. */
import type { PortRange } from './port-ranges.ts';

export interface ListenAddress {
  /** Absent: every address of the machine. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'off';

/** How visitors reach the relay from outside, where that differs from where it listens. */
export interface PublicUrl {
  readonly scheme: 'http' | 'https';
  /** Without brackets around IPv6. One of the domains. */
  readonly host: string;
  /** Always given, 80 and 443 too. */
  readonly port: number;
}

export interface RelayLimits {
  /** Agents' sessions, those within their grace time included. */
  readonly maxSessions: number;
  readonly maxStreamsPerSession: number;
  /** Tunnels of all agents together. */
  readonly maxTunnels: number;
  /** Tunnels of one identity. */
  readonly maxTunnelsPerUser: number;
  /** Visitors' connections, HTTP and TCP together. */
  readonly maxVisitors: number;
  readonly maxVisitorsPerAddress: number;
  /** Visitors that wait for an agent, in all and per tunnel. */
  readonly maxWaiting: number;
  readonly maxWaitingPerTunnel: number;
  readonly maxHeadBytes: number;
  readonly maxFields: number;
  readonly maxTargetBytes: number;
  readonly headTimeoutMs: number;
  /** 0: never. */
  readonly idleTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
}

export interface RelayConfig {
  /** At least one, lower case; the first is the default. */
  readonly domains: readonly [string, ...string[]];
  readonly http: ListenAddress;
  readonly publicUrl: PublicUrl | undefined;
  /** Folder of the store, absolute. */
  readonly dataDir: string;
  /** Undefined: no admin address. */
  readonly admin: ListenAddress | undefined;
  readonly tcp: { readonly ports: readonly PortRange[]; readonly address: string | undefined };
  /** Addresses and CIDR blocks whose forwarding fields are believed. */
  readonly trustedProxies: readonly string[];
  readonly limits: RelayLimits;
  /** How long an address and a session are kept for an agent that is away. */
  readonly graceMs: number;
  /** How long a request waits for an agent that is away. */
  readonly waitMs: number;
  /** How long exchanges under way may take to finish when the relay stops. */
  readonly drainMs: number;
  /** The same for the processes that a reload replaces. */
  readonly reloadDrainMs: number;
  /** Processes that take visitors and agents; 0: one that does everything. */
  readonly workers: number;
  readonly heartbeatMs: number;
  /** Agents need no token. Only where every address is a loopback one. */
  readonly open: boolean;
  readonly logLevel: LogLevel;
}

/** Scheme, host and port of a public name, as visitors are to write them; `listenPort` is the port actually bound. */
export function publicUrlOf(config: RelayConfig, host: string, listenPort: number): string {
  const { scheme, port } = config.publicUrl ?? { scheme: 'http', port: listenPort };
  return `${scheme}://${host}${port === (scheme === 'https' ? 443 : 80) ? '' : `:${port}`}`;
}

/** As Node's `listen` wants it. */
export function listenOptions(address: ListenAddress): { port: number; host?: string } {
  return address.host === undefined ? { port: address.port } : { port: address.port, host: address.host };
}
