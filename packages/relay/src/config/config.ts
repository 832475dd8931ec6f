/** The configuration of a relay as the code sees it: parsed, checked as a whole, frozen. */
import type { PortRange } from './port-ranges.ts';

export interface ListenAddress {
  /** Absent: every address of the machine. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
}

type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'off';

/** How visitors reach the relay from outside, where that differs from where it listens. */
export interface PublicUrl {
  readonly scheme: 'http' | 'https';
  /** Without brackets around IPv6. One of the domains. */
  readonly host: string;
  /** Always given, 80 and 443 too. */
  readonly port: number;
}

/** Files of a certificate chain and its key, PEM. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

type ChallengeChoice = 'auto' | 'http-01' | 'tls-alpn-01' | 'dns-01';

/** Certificates ordered from an authority (RFC 8555). */
export interface AcmeConfig {
  readonly directoryUrl: string;
  readonly email: string | undefined;
  readonly externalAccount: { readonly kid: string; readonly hmacKeyFile: string } | undefined;
  readonly profile: string | undefined;
  /** PEM of the authority that signed the directory's own certificate. */
  readonly caFile: string | undefined;
  readonly challenge: ChallengeChoice;
}

/** The delegated zone in which this relay proves wildcards. */
export interface DnsConfig {
  readonly zone: string;
  readonly listen: ListenAddress;
  readonly nameServer: string;
}

export interface TlsConfig {
  readonly listen: ListenAddress;
  /** `http` answers validations and sends everybody else to https. */
  readonly redirectHttp: boolean;
  /** Absolute paths. */
  readonly certificates: readonly CertificatePair[];
  readonly selfSigned: boolean;
  readonly acme: AcmeConfig | undefined;
  readonly dns: DnsConfig | undefined;
}

interface CustomDomainsConfig {
  readonly enabled: boolean;
  /** `host:port` of the DNS servers asked; empty: those of the system. */
  readonly resolvers: readonly string[];
  readonly perOwnerPerDay: number;
  readonly perHour: number;
}

/** Where a PROXY protocol header may come in. */
export const PROXY_PROTOCOL_PLACES = ['http', 'https', 'tcp'] as const;
export type ProxyProtocolPlace = (typeof PROXY_PROTOCOL_PLACES)[number];

interface ProxyProtocolConfig {
  /** Load balancers whose connections begin with a header. */
  readonly from: readonly string[];
  /** On these addresses. */
  readonly at: readonly ProxyProtocolPlace[];
}

interface RelayLimits {
  /** Agents' sessions, those within their grace time included. */
  readonly maxSessions: number;
  /** Sessions of one identity. */
  readonly maxSessionsPerUser: number;
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
  /** 0: off. */
  readonly stallTimeoutMs: number;
  /** 0: off. */
  readonly responseTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
}

export interface RelayConfig {
  /** At least one, lower case; the first is the default. */
  readonly domains: readonly [string, ...string[]];
  readonly http: ListenAddress;
  /** Undefined: no TLS here. */
  readonly tls: TlsConfig | undefined;
  readonly customDomains: CustomDomainsConfig;
  readonly proxyProtocol: ProxyProtocolConfig;
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
  /** HTTP/2 with prior knowledge on the plain address. */
  readonly h2c: boolean;
  readonly logLevel: LogLevel;
}

/** The ports actually bound. */
export interface ListenPorts {
  readonly http: number;
  /** Undefined: no https. */
  readonly https?: number | undefined;
}

/** Scheme, host and port of a public name, as visitors are to write them. */
export function publicUrlOf(config: RelayConfig, host: string, ports: ListenPorts): string {
  const { scheme, port } =
    config.publicUrl ??
    (ports.https === undefined ? { scheme: 'http', port: ports.http } : { scheme: 'https', port: ports.https });
  return `${scheme}://${shownHost(host)}${port === (scheme === 'https' ? 443 : 80) ? '' : `:${port}`}`;
}

/** The URL of a tunnel that has a port of its own. On those TLS ends wherever the relay has any. */
export function portUrlOf(config: RelayConfig, protocol: 'http' | 'tcp' | 'tls', host: string, port: number): string {
  const scheme = protocol === 'http' && config.tls !== undefined ? 'https' : protocol;
  return `${scheme}://${shownHost(host)}:${port}`;
}

function shownHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** As Node's `listen` wants it. */
export function listenOptions(address: ListenAddress): { port: number; host?: string } {
  return address.host === undefined ? { port: address.port } : { port: address.port, host: address.host };
}
