/** Reads what a person writes as the target of a tunnel: `3000`, `host:port`, `[::1]:3000`, a URL (`grpc://50051`) or `unix:/path`. */
import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { PortholeError } from '@porthole/protocol';

/** A local service, as the agent dials it. */
export interface OriginTarget {
  /** TLS to the origin (`https://…`). */
  readonly secure: boolean;
  /** Told to speak HTTP/2: `grpc://`, `grpcs://`, `h2c://`. */
  readonly h2?: boolean;
  readonly address: OriginAddress;
  /** On this machine, whatever the network is: loopback addresses, `localhost`, unix sockets. */
  readonly loopback: boolean;
  /** What stands in `Host` when the tunnel rewrites it; the default port is left out. */
  readonly authority: string;
  /** For people: `http://localhost:3000`, `unix:/run/app.sock`. */
  readonly label: string;
}

export type OriginAddress =
  /** Port of this machine, on whichever loopback family answers. */
  | { readonly kind: 'localhost'; readonly port: number }
  | { readonly kind: 'host'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

const SCHEMES = {
  http: { secure: false, h2: false },
  https: { secure: true, h2: false },
  grpc: { secure: false, h2: true },
  grpcs: { secure: true, h2: true },
  h2c: { secure: false, h2: true },
} as const;
type Scheme = keyof typeof SCHEMES;

/** The longest path that fits a `sockaddr_un` on Linux; some systems allow a few bytes less. */
const MAX_UNIX_PATH_BYTES = 107;

/** Throws TARGET_INVALID, saying what is wrong with this very text. */
export function parseTarget(text: string): OriginTarget {
  const trimmed = text.trim();
  if (trimmed === '') throw invalid(text, 'it is empty');
  if (trimmed.startsWith('unix:')) return unixTarget(trimmed.slice(5), text);
  const url = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(trimmed);
  if (url === null) return networkTarget(trimmed, undefined, text);
  const scheme = (url[1] ?? '').toLowerCase();
  if (!Object.hasOwn(SCHEMES, scheme))
    throw invalid(text, `the scheme ${scheme}:// is not one of http://, https://, grpc://, grpcs:// and h2c://`);
  return networkTarget(authorityOf(url[2] ?? '', text), scheme as Scheme, text);
}

function unixTarget(path: string, text: string): OriginTarget {
  if (!path.startsWith('/')) throw invalid(text, 'the path of a unix socket must begin with /');
  if (path.includes('\0')) throw invalid(text, 'the path contains a NUL');
  if (Buffer.byteLength(path) > MAX_UNIX_PATH_BYTES)
    throw invalid(text, `the path is longer than ${MAX_UNIX_PATH_BYTES} bytes`);
  return {
    secure: false,
    address: { kind: 'unix', path },
    loopback: true,
    authority: 'localhost',
    label: `unix:${path}`,
  };
}

/** A path in the target would have to be put before every visitor's path, which Porthole never touches. */
function authorityOf(rest: string, text: string): string {
  const end = rest.search(/[/?#]/);
  const authority = end < 0 ? rest : rest.slice(0, end);
  const tail = end < 0 ? '' : rest.slice(end);
  if (tail !== '' && tail !== '/') throw invalid(text, `a target has no path, leave out ${JSON.stringify(tail)}`);
  if (authority.includes('@')) throw invalid(text, 'a target has no user name or password');
  return authority;
}

function networkTarget(authority: string, scheme: Scheme | undefined, text: string): OriginTarget {
  const { secure, h2 } = SCHEMES[scheme ?? 'http'];
  const defaultPort = secure ? 443 : 80;
  const { host, port: portText } = splitAuthority(authority, text);
  if (portText === undefined && scheme === undefined) throw invalid(text, 'the port is missing');
  const port = portText === undefined ? defaultPort : parsePort(portText, text);
  const shownHost = isIPv6(host.split('%')[0] ?? '') ? `[${host}]` : host;
  const local = host === 'localhost';
  return {
    secure,
    ...(h2 ? { h2 } : {}),
    address: local ? { kind: 'localhost', port } : { kind: 'host', host, port },
    loopback: local || isLoopbackAddress(host),
    authority: port === defaultPort ? shownHost : `${shownHost}:${port}`,
    label: `${scheme ?? 'http'}://${shownHost}:${port}`,
  };
}

function splitAuthority(authority: string, text: string): { host: string; port: string | undefined } {
  if (/^\d+$/.test(authority)) return { host: 'localhost', port: authority };
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(authority);
  if (bracketed !== null) {
    const host = (bracketed[1] ?? '').toLowerCase();
    if (!isIPv6(host)) throw invalid(text, 'there is no IPv6 address between the brackets');
    return { host, port: bracketed[2] };
  }
  const colons = authority.split(':').length - 1;
  if (colons > 1) throw invalid(text, 'it has too many colons; an IPv6 address stands in brackets: [::1]:3000');
  const [name = '', port] = authority.split(':');
  const host = domainToASCII(name).toLowerCase().replace(/\.$/, '');
  if (host === '' || !/^[a-z0-9._-]+$/.test(host))
    throw invalid(text, name === '' ? 'the host is missing' : `${JSON.stringify(name)} is not a host name`);
  return { host, port };
}

function parsePort(text: string, whole: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw invalid(whole, `${JSON.stringify(text)} is not a port from 1 to 65535`);
  return port;
}

export function isLoopbackAddress(host: string): boolean {
  const family = isIP(host);
  if (family === 4) return host.startsWith('127.');
  return family === 6 && (/^(0*:)*:?0*1$/.test(host) || /^::ffff:127\./i.test(host));
}

function invalid(text: string, why: string): PortholeError {
  const shown = text.replace(/\/\/[^/]*@/, '//***@');
  return new PortholeError('TARGET_INVALID', `${JSON.stringify(shown)}: ${why}`);
}
