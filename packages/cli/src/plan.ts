/** A tunnel as somebody asked for it, from the command line or from `porthole.yml`, in one shape. */
import {
  claimsFor,
  hostHeaderProblem,
  ORIGIN_PROTOCOLS,
  type OriginProtocol,
  type OriginTrust,
  parseTarget,
  PortholeError,
  type Several,
  trustProblem,
  type TunnelClaim,
  PROXY_VERSIONS,
  type ProxyVersion,
} from '@porthole/agent';
import { readCertificates } from './settings/certificates.ts';
import { nameSchema, TUNNEL_KINDS, type TunnelDocument, type TunnelKind } from './settings/config-schema.ts';
import { expandPath, readNeeded } from './settings/files.ts';
import { OPTIONS } from './settings/options.ts';
import { nearest } from './settings/suggestion.ts';
import type { LoadedConfig } from './settings/relay-choice.ts';

export interface TunnelPlan {
  /** Key in the configuration file. */
  readonly label: string | undefined;
  readonly kind: TunnelKind;
  /** As the agent reads it (http, tcp), or the folder's path. */
  readonly target: string;
  /** For people. */
  readonly shownTarget: string;
  /** One for each domain that was asked for. */
  readonly claims: Several<TunnelClaim>;
  /** With the target. `tcp`: bytes go there as they are. */
  readonly spoken: 'http' | 'tcp';
  readonly hostHeader: string;
  readonly originProtocol: OriginProtocol;
  readonly originTrust: OriginTrust;
  readonly proxyProtocol: ProxyVersion | undefined;
  readonly endToEnd: EndToEndPlan | undefined;
  readonly listing: boolean;
  readonly dotfiles: boolean;
  /** `user:password` that visitors must know. */
  readonly basicAuth: string | undefined;
}

/** TLS ends at the agent. */
export interface EndToEndPlan {
  readonly directoryUrl: string;
  readonly email: string | undefined;
}

/** Everything a tunnel may be given, whatever the command; paths not yet read. */
export interface TunnelWish {
  readonly name?: string | undefined;
  /** All of them or none. */
  readonly domain?: string | readonly string[] | undefined;
  readonly pool?: boolean | undefined;
  readonly hostHeader?: string | undefined;
  readonly originProtocol?: string | undefined;
  readonly originVerify?: string | undefined;
  readonly originServerName?: string | undefined;
  readonly originCaFile?: string | undefined;
  readonly basicAuth?: string | undefined;
  readonly basicAuthFile?: string | undefined;
  /** Of the environment: counts where neither of the two is given. */
  readonly basicAuthVariable?: string | undefined;
  readonly remotePort?: string | number | undefined;
  readonly proxyProtocol?: string | undefined;
  readonly clientCaFile?: string | undefined;
  readonly endToEnd?: boolean | undefined;
  readonly acmeDirectory?: string | undefined;
  readonly acmeEmail?: string | undefined;
  readonly listing?: boolean | undefined;
  readonly dotfiles?: boolean | undefined;
}

/** What the environment may say about a tunnel. */
export type EnvironmentWish = Pick<TunnelWish, 'basicAuthVariable' | 'acmeDirectory'>;

export interface PathBase {
  /** What relative paths are relative to. */
  readonly folder: string;
  readonly home: string;
}

const DEFAULT_DIRECTORY = 'https://acme-v02.api.letsencrypt.org/directory';
/** Of one tunnel. */
const MAX_DOMAINS = 64;
const MAX_CREDENTIAL_BYTES = 64 * 1024;

export function planTunnel(
  kind: TunnelKind,
  target: string,
  wish: TunnelWish,
  base: PathBase,
  label?: string,
): TunnelPlan {
  const remotePort = wish.remotePort === undefined ? undefined : portOf(wish.remotePort);
  if (wish.name !== undefined && !nameSchema.safeParse(wish.name).success)
    throw new PortholeError('NAME_INVALID', JSON.stringify(wish.name));
  const endToEnd = endToEndOf(wish);
  const at = (path: string): string => expandPath(path, base.folder, base.home);
  const clientCa = certificatesOf(wish.clientCaFile, at);
  return {
    label,
    kind,
    ...targetOf(kind, target, base),
    claims: claimsFor(
      {
        protocol: endToEnd !== undefined ? 'tls' : kind === 'serve' ? 'http' : kind,
        ...(wish.name === undefined ? {} : { name: wish.name }),
        ...(wish.pool === true ? { pool: true } : {}),
        ...(clientCa === undefined ? {} : { clientCa }),
        ...(remotePort === undefined ? {} : { port: remotePort }),
      },
      domainsOf(wish),
    ),
    // A PROXY protocol header names the visitor of a whole connection: nothing in it is looked at then.
    spoken: (kind === 'http' && wish.proxyProtocol === undefined) || kind === 'serve' ? 'http' : 'tcp',
    hostHeader: hostHeaderOf(wish.hostHeader),
    originProtocol: originProtocolOf(wish.originProtocol),
    originTrust: trustOf(wish, certificatesOf(wish.originCaFile, at)),
    proxyProtocol: proxyVersionOf(wish.proxyProtocol, kind === 'http' && endToEnd === undefined),
    endToEnd,
    listing: wish.listing ?? true,
    dotfiles: wish.dotfiles ?? false,
    basicAuth: kind === 'http' || kind === 'serve' ? credentialOf(wish, at) : undefined,
  };
}

function domainsOf(wish: TunnelWish): readonly string[] {
  const { domain = [] } = wish;
  const domains = typeof domain === 'string' ? [domain] : domain;
  const repeated = domains.find((each, index) => domains.indexOf(each) !== index);
  if (repeated !== undefined) throw new PortholeError('USAGE', `--domain ${repeated} is given twice`);
  if (domains.length > 1 && wish.remotePort !== undefined)
    throw new PortholeError('USAGE', '--remote-port does not go with several --domain: a port is one address');
  if (domains.length > MAX_DOMAINS) throw new PortholeError('USAGE', `at most ${MAX_DOMAINS} domains for one tunnel`);
  return domains;
}

function targetOf(kind: TunnelKind, target: string, base: PathBase): { target: string; shownTarget: string } {
  if (kind === 'serve') {
    const folder = expandPath(target, base.folder, base.home);
    return { target: folder, shownTarget: folder };
  }
  const { label } = parseTarget(target);
  if (kind === 'http') return { target, shownTarget: label };
  if (/^(?:https?|grpcs?|h2c):/i.test(target.trim()))
    throw new PortholeError(
      'TARGET_INVALID',
      `${JSON.stringify(target)}: a ${kind.toUpperCase()} tunnel passes bytes on as they are; leave the scheme out`,
    );
  return { target, shownTarget: label.replace(/^http:\/\//, '') };
}

function hostHeaderOf(text = 'preserve'): string {
  const problem = hostHeaderProblem(text);
  if (problem !== undefined) throw new PortholeError('USAGE', `--host-header ${problem}`);
  return text;
}

function originProtocolOf(text: string | undefined): OriginProtocol {
  const protocol = ORIGIN_PROTOCOLS.find((each) => each === (text ?? 'auto'));
  if (protocol === undefined)
    throw new PortholeError(
      'USAGE',
      `--origin-protocol ${JSON.stringify(text)} is not one of ${ORIGIN_PROTOCOLS.join(', ')}`,
    );
  return protocol;
}

function certificatesOf(path: string | undefined, at: (path: string) => string): string | undefined {
  return path === undefined ? undefined : readCertificates(at(path));
}

function trustOf(wish: TunnelWish, ca: string | undefined): OriginTrust {
  const trust = { verify: wish.originVerify, ca, serverName: wish.originServerName };
  const problem = trustProblem(trust);
  if (problem !== undefined) throw new PortholeError('USAGE', `--origin-verify: ${problem}`);
  return trust;
}

/** Undefined only when none was asked for: one that is there and empty must not open the tunnel to everybody. */
function credentialOf(wish: TunnelWish, at: (path: string) => string): string | undefined {
  if (wish.basicAuth !== undefined) return checkCredential(wish.basicAuth, '--basic-auth');
  if (wish.basicAuthFile !== undefined)
    return checkCredential(readNeeded(at(wish.basicAuthFile), MAX_CREDENTIAL_BYTES).trim(), wish.basicAuthFile);
  if (wish.basicAuthVariable !== undefined) return checkCredential(wish.basicAuthVariable, OPTIONS.basicAuth.env);
  return undefined;
}

/** Never repeats what it found. */
function checkCredential(text: string, where: string): string {
  const [, user, password] = /^([^:\n]*):([^\n]*)$/.exec(text) ?? [];
  if (text === '') throw new PortholeError('BASIC_AUTH_INVALID', `${where} is empty`);
  if (user === undefined) throw new PortholeError('BASIC_AUTH_INVALID', `${where} is not user:password on one line`);
  if (user === '') throw new PortholeError('BASIC_AUTH_INVALID', `${where} has no user name before the colon`);
  // Mostly a variable of the shell that was not set: --basic-auth "ada:$PASSWORD".
  if (password === '') throw new PortholeError('BASIC_AUTH_INVALID', `${where} has no password after the colon`);
  return text;
}

function isGated(wish: TunnelWish): boolean {
  return (wish.basicAuth ?? wish.basicAuthFile ?? wish.basicAuthVariable) !== undefined;
}

function endToEndOf(wish: TunnelWish): EndToEndPlan | undefined {
  if (wish.endToEnd !== true) return undefined;
  const refuse = (option: string, why: string): never => {
    throw new PortholeError('USAGE', `${option} does not go with ${why}`);
  };
  if (wish.clientCaFile !== undefined) refuse('--client-ca-file', '--end-to-end: the relay does not see the handshake');
  if (wish.proxyProtocol !== undefined) {
    const why = '--end-to-end and --proxy-protocol: what is inside is passed on as it is';
    if (isGated(wish)) refuse('--basic-auth', why);
    if (wish.hostHeader !== undefined && wish.hostHeader !== 'preserve') refuse('--host-header', why);
  }
  return { directoryUrl: wish.acmeDirectory ?? DEFAULT_DIRECTORY, email: wish.acmeEmail };
}

function proxyVersionOf(text: string | undefined, isPlainHttp: boolean): ProxyVersion | undefined {
  if (text === undefined) return undefined;
  if (isPlainHttp)
    throw new PortholeError(
      'USAGE',
      '--proxy-protocol on an HTTP tunnel needs --end-to-end; X-Forwarded-For names the visitor',
    );
  const version = PROXY_VERSIONS.find((candidate) => candidate === text);
  if (version === undefined)
    throw new PortholeError('USAGE', `--proxy-protocol ${JSON.stringify(text)} is not v1 or v2`);
  return version;
}

function portOf(port: string | number): number {
  const value = Number(port);
  if (!/^\d{1,5}$/.test(String(port)) || value < 1 || value > 65_535)
    throw new PortholeError('USAGE', `--remote-port ${JSON.stringify(port)} is not a port from 1 to 65535`);
  return value;
}

/** The tunnels of the file, or those of them that are named; `more` is what the environment has for each. */
export function planFromConfig(
  config: LoadedConfig,
  names: readonly string[],
  home: string,
  more: EnvironmentWish = {},
): TunnelPlan[] {
  const tunnels = config.document.tunnels ?? {};
  const known = Object.keys(tunnels);
  if (known.length === 0) throw new PortholeError('CONFIG_INVALID', `${config.file} has no tunnels`);
  for (const name of names)
    if (!known.includes(name)) throw new PortholeError('USAGE', unknownTunnel(name, known, config.file));
  const wanted = names.length === 0 ? known : [...new Set(names)];
  return wanted.map((name) => planFromDocument(name, tunnels[name] ?? {}, { folder: config.folder, home }, more));
}

function unknownTunnel(name: string, known: readonly string[], file: string): string {
  const meant = nearest(name, known);
  return `${file} has no tunnel ${JSON.stringify(name)}; ${meant === undefined ? `it has ${known.join(', ')}` : `did you mean ${meant}?`}`;
}

function planFromDocument(label: string, document: TunnelDocument, base: PathBase, more: EnvironmentWish): TunnelPlan {
  const kind = TUNNEL_KINDS.find((each) => document[each] !== undefined) ?? 'http';
  const wish: TunnelWish = {
    name: document.name,
    domain: document.domain,
    pool: document.pool,
    hostHeader: document.host_header,
    originProtocol: document.origin_protocol,
    originVerify: document.origin_verify,
    originServerName: document.origin_server_name,
    originCaFile: document.origin_ca_file,
    basicAuthFile: document.basic_auth_file,
    basicAuthVariable: more.basicAuthVariable,
    remotePort: document.remote_port,
    proxyProtocol: document.proxy_protocol,
    clientCaFile: document.client_ca_file,
    endToEnd: document.end_to_end,
    acmeDirectory: more.acmeDirectory ?? document.acme_directory,
    acmeEmail: document.acme_email,
    listing: document.listing,
    dotfiles: document.dotfiles,
  };
  return planTunnel(kind, document[kind] ?? '', wish, base, label);
}
