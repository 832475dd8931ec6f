/** Puts a configuration together: defaults, file, environment, flags, then a look at the whole. */
import { dirname, resolve } from 'node:path';
import type { RelayConfig } from './config.ts';
import { type RawValue, readConfigText } from './config-file.ts';
import { ConfigError, type ConfigFault, nearest, type Source } from './faults.ts';
import { isLoopback, isLoopbackHost } from './loopback.ts';
import { tlsConfigOf, tlsFaults } from './tls-config.ts';
import { environmentName, flagName, OPTION_PATHS, type OptionPath, type OptionValues, optionAt } from './options.ts';

export interface ConfigSources {
  /** Path for messages and contents. */
  readonly file?: { readonly path: string; readonly text: string } | undefined;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** By option path. */
  readonly flags?: Readonly<Record<string, string | boolean | undefined>>;
  /** What relative paths start from where there is no file. */
  readonly workingDir: string;
}

export interface LoadedConfig {
  readonly config: RelayConfig;
  readonly values: OptionValues;
  readonly sources: ReadonlyMap<OptionPath, Source>;
  /** Variables that are none of ours, with what was probably meant. */
  readonly warnings: readonly string[];
}

/** Names the file; read by the commands before there is a configuration. */
export const CONFIG_FILE_VARIABLE = 'PORTHOLE_RELAY_CONFIG';

/** Throws ConfigError (CONFIG_INVALID) with every fault there is. */
export function loadConfig(input: ConfigSources): LoadedConfig {
  const file = input.file === undefined ? undefined : readConfigText(input.file.text, input.file.path);
  const faults: ConfigFault[] = [...(file?.faults ?? [])];
  const values: Record<string, unknown> = {};
  const sources = new Map<OptionPath, Source>();
  for (const path of OPTION_PATHS) {
    const option = optionAt(path);
    const raw = rawValue(path, input, file?.values);
    values[path] = option.fallback;
    if (raw === undefined) continue;
    sources.set(path, raw.source);
    const parsed = option.type.schema.safeParse(raw.value);
    if (parsed.success) values[path] = parsed.data;
    else
      for (const issue of parsed.error.issues)
        faults.push({ source: raw.source, path: pathOf(path, issue.path), message: issue.message });
  }
  // Every value has been through its schema or is the default.
  const typed = values as OptionValues;
  const config = toConfig(typed, baseDirOf(sources.get('data'), input), (path) => baseDirOf(sources.get(path), input));
  faults.push(...faultsOfWhole(config, typed, (path) => sources.get(path) ?? { kind: 'default' }));
  if (faults.length > 0) throw new ConfigError(faults.sort(byPlace));
  return { config: deepFreeze(config), values: typed, sources, warnings: mistypedVariables(input.environment ?? {}) };
}

function rawValue(
  path: OptionPath,
  input: ConfigSources,
  file: ReadonlyMap<string, RawValue> | undefined,
): RawValue | undefined {
  const flag = input.flags?.[path];
  if (flag !== undefined) return { value: flag, source: { kind: 'flag', name: flagName(path) ?? path } };
  const name = environmentName(path);
  const variable = input.environment?.[name];
  // An empty variable is how compose files and unit files say "not set".
  if (variable !== undefined && variable !== '') return { value: variable, source: { kind: 'environment', name } };
  return file?.get(path);
}

/** What Kubernetes sets for a service of the name `porthole-relay`. */
const OF_A_SERVICE = /^(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_[A-Z]+(?:_(?:PROTO|PORT|ADDR))?)?)$/;

function mistypedVariables(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set([CONFIG_FILE_VARIABLE, ...OPTION_PATHS.map(environmentName)]);
  return Object.keys(environment).flatMap((name) => {
    if (!name.startsWith('PORTHOLE_RELAY_') || known.has(name)) return [];
    const suffix = name.slice('PORTHOLE_RELAY_'.length);
    if (OF_A_SERVICE.test(suffix)) return [];
    const options = OPTION_PATHS.map((path) => environmentName(path).slice('PORTHOLE_RELAY_'.length));
    // A section that was left out first: MAX_SESSIONS for LIMITS_MAX_SESSIONS.
    const guess = options.find((option) => option.endsWith(`_${suffix}`)) ?? nearest(suffix, options);
    const meant = guess === undefined ? 'it is ignored' : `did you mean PORTHOLE_RELAY_${guess}?`;
    return [`${name} is no option; ${meant}`];
  });
}

/** A path in a file is meant from where the file is; one that was typed, from where it was typed. */
function baseDirOf(source: Source | undefined, { file, workingDir }: ConfigSources): string {
  const typed = source?.kind === 'environment' || source?.kind === 'flag';
  return file === undefined || typed ? workingDir : dirname(resolve(workingDir, file.path));
}

function toConfig(values: OptionValues, baseDir: string, baseDirFor: (path: OptionPath) => string): RelayConfig {
  const [firstDomain = values.public_url?.host ?? 'localhost', ...otherDomains] = values.domain;
  return {
    domains: [firstDomain, ...otherDomains],
    http: values.http,
    tls: tlsConfigOf(values, firstDomain, baseDirFor),
    customDomains: {
      enabled: values['custom_domains.enabled'],
      resolvers: values['custom_domains.resolvers'],
      perOwnerPerDay: values['custom_domains.per_owner_per_day'],
      perHour: values['custom_domains.per_hour'],
    },
    proxyProtocol: { from: values['proxy_protocol.from'], at: values['proxy_protocol.at'] },
    publicUrl: values.public_url,
    dataDir: resolve(baseDir, values.data),
    admin: values.admin === 'off' ? undefined : values.admin,
    tcp: { ports: values['tcp.ports'], address: values['tcp.address'] ?? values.http.host },
    trustedProxies: values.trusted_proxies,
    limits: {
      maxSessions: values['limits.max_sessions'],
      maxSessionsPerUser: values['limits.max_sessions_per_user'],
      maxStreamsPerSession: values['limits.max_streams_per_session'],
      maxTunnels: values['limits.max_tunnels'],
      maxTunnelsPerUser: values['limits.max_tunnels_per_user'],
      maxVisitors: values['limits.max_visitors'],
      maxVisitorsPerAddress: values['limits.max_visitors_per_address'],
      maxWaiting: values['limits.max_waiting'],
      maxWaitingPerTunnel: values['limits.max_waiting_per_tunnel'],
      maxHeadBytes: values['limits.max_head_bytes'],
      maxFields: values['limits.max_fields'],
      maxTargetBytes: values['limits.max_target_bytes'],
      headTimeoutMs: values['limits.head_timeout'],
      idleTimeoutMs: values['limits.idle_timeout'],
      stallTimeoutMs: values['limits.stall_timeout'],
      responseTimeoutMs: values['limits.response_timeout'],
      handshakeTimeoutMs: values['limits.handshake_timeout'],
    },
    graceMs: values.grace,
    waitMs: values.wait,
    drainMs: values.drain,
    reloadDrainMs: values.reload_drain,
    workers: values.workers,
    heartbeatMs: values.heartbeat,
    h2c: values.h2c,
    open: values.open,
    logLevel: values.log_level,
  };
}

/** What only shows when everything is known. */
function* faultsOfWhole(
  config: RelayConfig,
  values: OptionValues,
  sourceOf: (path: OptionPath) => Source,
): Iterable<ConfigFault> {
  const fault = (path: OptionPath, message: string): ConfigFault => ({ source: sourceOf(path), path, message });
  if (config.open) {
    for (const path of reachableFromOutside(config)) {
      yield fault(
        'open',
        `a relay without tokens must listen on loopback only, and ${path} does not: set it to 127.0.0.1, or make tokens and leave \`open\` out`,
      );
    }
  }
  if (config.publicUrl !== undefined && !config.domains.includes(config.publicUrl.host)) {
    yield fault(
      'public_url',
      `its host ${config.publicUrl.host} is none of the domains (${config.domains.join(', ')})`,
    );
  }
  yield* tlsFaults(config, values, fault);
  const repeated = config.domains.find((domain, index) => config.domains.indexOf(domain) !== index);
  if (repeated !== undefined) yield fault('domain', `${repeated} is given twice`);
  const taken = [config.http.port, config.tls?.listen.port, config.admin?.port].find(
    (port) => port !== undefined && holds(config, port),
  );
  if (taken !== undefined) yield fault('tcp.ports', `port ${taken} is among them, but the relay itself listens there`);
  if (
    config.admin !== undefined &&
    config.admin.port !== 0 &&
    config.admin.port === config.http.port &&
    config.admin.host === config.http.host
  ) {
    yield fault('admin', 'must differ from `http`');
  }
}

function reachableFromOutside(config: RelayConfig): string[] {
  const found: string[] = [];
  if (!isLoopback(config.http)) found.push('http');
  if (config.tls !== undefined && !isLoopback(config.tls.listen)) found.push('https');
  if (config.admin !== undefined && !isLoopback(config.admin)) found.push('admin');
  if (config.tcp.ports.length > 0 && !isLoopbackHost(config.tcp.address ?? '')) found.push('tcp.address');
  return found;
}

function holds(config: RelayConfig, port: number): boolean {
  return port !== 0 && config.tcp.ports.some(({ first, last }) => port >= first && port <= last);
}

function pathOf(path: OptionPath, inside: readonly PropertyKey[]): string {
  return [path, ...inside].map(String).join('.');
}

/** Faults of the file in the order of its lines, the others behind. */
function byPlace(a: ConfigFault, b: ConfigFault): number {
  return rank(a.source) - rank(b.source);
}

function rank(source: Source): number {
  return source.kind === 'file' ? source.line + source.column / 1e6 : Number.POSITIVE_INFINITY;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
