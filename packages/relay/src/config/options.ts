/**
 * Every option of the relay, declared once: its place in the file gives the environment variable and the flag. What
 * reads files, environment and flags, prints the configuration and writes the documentation goes by this table.
 */
import {
  addressBlock,
  choice,
  count,
  certificatePair,
  domainName,
  domainOrAddress,
  duration,
  email,
  ipAddress,
  list,
  listenAddress,
  listenAddressOrOff,
  type OptionType,
  portRanges,
  publicUrl,
  secureUrl,
  size,
  text,
  word,
  yesNo,
  zoneName,
} from './scalars.ts';
import { type CertificatePair, type ListenAddress, PROXY_PROTOCOL_PLACES } from './config.ts';
import type { PortRange } from './port-ranges.ts';

export interface Option<T> {
  readonly type: OptionType<T>;
  /** One sentence or two, for `--help`, the generated page and the file `init` writes. */
  readonly help: string;
  readonly fallback: T;
  /** Given as a flag of `serve`; absent: `--` and the path with `-` for `.` and `_`. False: no flag. */
  readonly flag?: false;
  /** Masked wherever the configuration is shown. */
  readonly secret?: true;
}

function option<T>(
  type: OptionType<T>,
  fallback: NoInfer<T>,
  help: string,
  rest?: Pick<Option<T>, 'flag' | 'secret'>,
): Option<T> {
  return { type, fallback, help, ...rest };
}

const FILE_ONLY = { flag: false } as const;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const none: readonly string[] = [];
const noPorts: readonly PortRange[] = [];
const noPairs: readonly CertificatePair[] = [];
const loopback = (port: number): ListenAddress => ({ host: '127.0.0.1', port });

/** By path in the file. The order is that of the documentation. */
const OPTIONS = {
  domain: option(
    list(domainOrAddress, 64),
    none,
    'Domains whose subdomains tunnels get; the first is the default one. DNS must lead `*.<domain>` to this relay. Default: the host of `public_url`, else `localhost`.',
  ),
  http: option(
    listenAddress,
    loopback(8080),
    'Where visitors and agents reach the relay over HTTP. `:80` is every address of the machine.',
  ),
  https: option(
    listenAddressOrOff,
    'off',
    'Where visitors and agents reach the relay over HTTPS, such as `:443`. Needs certificates: `acme.email`, `tls.certificates` or `tls.self_signed`.',
  ),
  redirect_http: option(
    yesNo,
    true,
    'With `https`: `http` answers validations of the certificate authority and sends everybody else to https, agents included. `false`: it serves as without https.',
  ),
  public_url: option(
    optional(publicUrl),
    undefined,
    'How visitors reach `http` from outside when something stands in front (Caddy, nginx, a port mapping): gives scheme and port of the URLs printed.',
  ),
  data: option(
    text,
    './data',
    'Folder of the store: tokens, reserved names, leases. Relative to the configuration file, or to the working directory when there is none.',
  ),
  admin: option(
    listenAddressOrOff,
    loopback(9464),
    'Where `/healthz`, `/readyz`, `/metrics` and `/api/status` are served, of all workers together. Nobody is asked for a password there: keep it on loopback or a private network.',
  ),
  'tcp.ports': option(
    portRanges,
    noPorts,
    'Public ports for `porthole tcp`, and for `porthole http` where the relay has no domain or a port is asked for.',
  ),
  'tcp.address': option(optional(ipAddress), undefined, 'Address those ports are opened on. Default: that of `http`.'),
  trusted_proxies: option(
    list(addressBlock, 1024),
    none,
    'Whose `X-Forwarded-*` fields are believed. Everybody else’s are replaced.',
  ),
  h2c: option(
    yesNo,
    true,
    'Speak HTTP/2 on the plain `http` address with visitors who begin with its preface, as gRPC without TLS does.',
  ),
  open: option(
    yesNo,
    false,
    'Let agents in without a token. Refused unless every address of the relay is a loopback one.',
  ),
  grace: option(
    duration({ minMs: 0, maxMs: 24 * HOUR }),
    MINUTE,
    'How long the session and the address of an agent that is away are kept.',
  ),
  wait: option(
    duration({ minMs: 0, maxMs: HOUR }),
    10_000,
    'How long a request waits for an agent that is away before it is answered with 503.',
  ),
  drain: option(
    duration({ minMs: 0, maxMs: 24 * HOUR }),
    30_000,
    'How long what is under way may take to finish when the relay stops.',
  ),
  reload_drain: option(
    duration({ minMs: 0, maxMs: 24 * HOUR }),
    15 * MINUTE,
    'How long the old processes may take to finish what is under way after a reload (SIGHUP, or `porthole-relay reload`).',
  ),
  workers: option(
    count(0, 64),
    1,
    'Processes that take visitors and agents, under one that owns the sockets and makes reloads without a gap possible. 0: a single process that does everything, and cannot be reloaded.',
  ),
  heartbeat: option(
    duration({ minMs: 100, maxMs: 10 * MINUTE }),
    5_000,
    'How often a silent carrier is tried; a dead one is dropped within two heartbeats.',
  ),
  log_level: option(
    choice('debug', 'info', 'warn', 'error', 'off'),
    'info',
    'How much is logged, one JSON line per event on standard error.',
  ),

  'proxy_protocol.from': option(
    list(addressBlock, 1024),
    none,
    'Load balancers in front of the relay whose connections must begin with a PROXY protocol header (v1 or v2), which is believed.',
    FILE_ONLY,
  ),
  'proxy_protocol.at': option(
    list(choice(...PROXY_PROTOCOL_PLACES), PROXY_PROTOCOL_PLACES.length),
    ['https'],
    'The addresses on which theirs begin with it: `https`, `http`, `tcp` (the ports of tunnels). Elsewhere they are visitors like others.',
    FILE_ONLY,
  ),

  'tls.certificates': option(
    list(certificatePair, 1000),
    noPairs,
    'Certificates of your own, as `- { cert: chain.pem, key: key.pem }`; read again when the files change. They go before those ordered.',
    FILE_ONLY,
  ),
  'tls.self_signed': option(
    yesNo,
    false,
    'Make a certificate that nobody trusts by itself, for trying things out.',
    FILE_ONLY,
  ),

  'acme.email': option(
    optional(email),
    undefined,
    'Orders certificates, and tells the certificate authority whom to write to. Giving it means that you agree to the authority’s terms.',
  ),
  'acme.directory': option(
    optional(secureUrl),
    undefined,
    'Directory of the certificate authority; giving it means that you agree to its terms. Default: Let’s Encrypt, when `acme.email` is set.',
    FILE_ONLY,
  ),
  'acme.challenge': option(
    choice('auto', 'http-01', 'tls-alpn-01', 'dns-01'),
    'auto',
    'How names are proven. `auto`: whatever can work, one after the other.',
    FILE_ONLY,
  ),
  'acme.profile': option(
    optional(word),
    undefined,
    'Profile of the certificates ordered, where the authority has several. Default: `shortlived` for IP addresses, else the authority’s own choice.',
    FILE_ONLY,
  ),
  'acme.eab_kid': option(
    optional(word),
    undefined,
    'Key id of an external account, for authorities that want one.',
    FILE_ONLY,
  ),
  'acme.eab_hmac_key_file': option(
    optional(text),
    undefined,
    'File with the HMAC key (base64url) of the external account.',
    FILE_ONLY,
  ),
  'acme.ca_file': option(
    optional(text),
    undefined,
    'PEM of the authority that signed the directory’s own certificate, when it is a private one.',
    FILE_ONLY,
  ),

  'dns.zone': option(
    optional(zoneName),
    undefined,
    'A zone delegated to this relay, such as `_acme-challenge.tunnel.example.com`, in which it proves wildcard certificates by itself.',
    FILE_ONLY,
  ),
  'dns.listen': option(listenAddress, { port: 53 }, 'Where it answers for that zone, UDP and TCP.', FILE_ONLY),
  'dns.name_server': option(
    optional(domainName),
    undefined,
    'The name server’s host name, as the zone is delegated to it. Default: the first domain.',
    FILE_ONLY,
  ),

  'custom_domains.enabled': option(
    yesNo,
    true,
    'Let users bring domains of their own, once DNS shows that they are theirs.',
    FILE_ONLY,
  ),
  'custom_domains.resolvers': option(
    list(word, 8),
    none,
    'DNS servers (`address:port`) asked for that. Default: those of the system.',
    FILE_ONLY,
  ),
  'custom_domains.per_owner_per_day': option(
    count(0, 100_000),
    5,
    'New certificates for one user’s domains in 24 hours.',
    FILE_ONLY,
  ),
  'custom_domains.per_hour': option(
    count(0, 100_000),
    30,
    'New certificates for domains of all users in an hour.',
    FILE_ONLY,
  ),

  'limits.max_sessions': option(
    count(1, 10_000_000),
    10_000,
    'Agents’ sessions, those of agents that are away included; past it agents are refused with `RELAY_FULL` and try again.',
    FILE_ONLY,
  ),
  'limits.max_sessions_per_user': option(
    count(1, 10_000_000),
    2500,
    'The same for one user, so that one token cannot keep everybody else out; past it agents are refused with `SESSION_LIMIT` and try again.',
    FILE_ONLY,
  ),
  'limits.max_streams_per_session': option(
    count(1, 1_000_000),
    4096,
    'Exchanges and raw connections of one session at a time; past it visitors get 503 `STREAM_LIMIT`.',
    FILE_ONLY,
  ),
  'limits.max_tunnels': option(
    count(1, 10_000_000),
    20_000,
    'Tunnels of all agents together; past it claims are refused with `RELAY_FULL`.',
    FILE_ONLY,
  ),
  'limits.max_tunnels_per_user': option(
    count(1, 10_000_000),
    5000,
    'Tunnels of one user, unless a token says less; past it claims are refused with `TUNNEL_LIMIT`.',
    FILE_ONLY,
  ),
  'limits.max_visitors': option(
    count(1, 10_000_000),
    20_000,
    'Visitors’ connections to one worker, HTTP and TCP together; past it new ones are closed at once.',
    FILE_ONLY,
  ),
  'limits.max_visitors_per_address': option(
    count(1, 10_000_000),
    2000,
    'Connections of one visitor’s address (of one /64 with IPv6) to one worker; trusted proxies are exempt.',
    FILE_ONLY,
  ),
  'limits.max_waiting': option(
    count(0, 1_000_000),
    4096,
    'Requests at one worker that wait for agents that are away, in all; past it visitors get 503 `WAIT_LIMIT`.',
    FILE_ONLY,
  ),
  'limits.max_waiting_per_tunnel': option(count(0, 1_000_000), 256, 'The same for one tunnel.', FILE_ONLY),
  'limits.max_head_bytes': option(
    size(1024, 64 * 1024),
    64 * 1024,
    'Size of a request’s head; past it 431 `HEAD_TOO_LARGE`.',
    FILE_ONLY,
  ),
  'limits.max_fields': option(
    count(1, 100_000),
    256,
    'Number of a request’s header fields; past it 431 `TOO_MANY_FIELDS`.',
    FILE_ONLY,
  ),
  'limits.max_target_bytes': option(
    size(256, 1024 ** 2),
    16 * 1024,
    'Length of a request’s target; past it 414 `TARGET_TOO_LONG`.',
    FILE_ONLY,
  ),
  'limits.head_timeout': option(
    duration({ minMs: 100, maxMs: HOUR }),
    30_000,
    'How long a visitor may take to send a head; then 408 `HEAD_TIMEOUT`.',
    FILE_ONLY,
  ),
  'limits.idle_timeout': option(
    duration({ minMs: 1000, maxMs: 24 * HOUR, mayBeOff: true }),
    75_000,
    'How long a visitor’s connection is kept between two requests. Never cuts a request, a stream or a WebSocket.',
    FILE_ONLY,
  ),
  'limits.stall_timeout': option(
    duration({ minMs: 1000, maxMs: 24 * HOUR, mayBeOff: true }),
    10 * MINUTE,
    'How long a visitor may neither send what he announced nor read what he asked for; then his connection is closed. Not for WebSockets and the like.',
    FILE_ONLY,
  ),
  'limits.response_timeout': option(
    duration({ minMs: 1000, maxMs: 24 * HOUR, mayBeOff: true }),
    0,
    'How long a service may be silent when it is its turn; then 504 `ORIGIN_TIMEOUT`, or a broken answer. Off, because event streams and long polls are silent.',
    FILE_ONLY,
  ),
  'limits.handshake_timeout': option(
    duration({ minMs: 100, maxMs: 10 * MINUTE }),
    10_000,
    'How long an agent may take to say who it is.',
    FILE_ONLY,
  ),
} as const;

export type OptionPath = keyof typeof OPTIONS;

/** What every option is set to, by path. */
export type OptionValues = { readonly [P in OptionPath]: (typeof OPTIONS)[P] extends Option<infer T> ? T : never };

export const OPTION_PATHS = Object.keys(OPTIONS) as readonly OptionPath[];

export function optionAt(path: OptionPath): Option<unknown> {
  return OPTIONS[path] as Option<unknown>;
}

/** `limits.max_head_bytes` -> `PORTHOLE_RELAY_LIMITS_MAX_HEAD_BYTES`. */
export function environmentName(path: OptionPath): string {
  return `PORTHOLE_RELAY_${path.toUpperCase().replaceAll('.', '_')}`;
}

/** `public_url` -> `--public-url`; undefined for options that have no flag. */
export function flagName(path: OptionPath): string | undefined {
  return optionAt(path).flag === false ? undefined : `--${path.replaceAll(/[._]/g, '-')}`;
}

function optional<T>(type: OptionType<T>): OptionType<T | undefined> {
  return { ...type, print: (value) => (value === undefined ? '' : type.print(value)) };
}
