/** Decides whether a dial goes through an HTTP proxy of the network, and which (HTTPS_PROXY, HTTP_PROXY, NO_PROXY). */
import { BlockList, isIP, isIPv4 } from 'node:net';
import { PortholeError } from '@porthole/protocol';

/** Values of the variables of these names, in either case; the caller reads the environment. */
export interface ProxySettings {
  readonly httpsProxy?: string | undefined;
  readonly httpProxy?: string | undefined;
  readonly noProxy?: string | undefined;
}

export interface ProxyRoute {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** `user:password` in base64; a secret. */
  readonly credentials: string | undefined;
  /** For people; without credentials. */
  readonly label: string;
}

/** Throws CONFIG_INVALID when the proxy's URL makes no sense. */
export function proxyFor(
  relay: { secure: boolean; host: string; port: number },
  settings: ProxySettings | undefined,
): ProxyRoute | undefined {
  const url = relay.secure ? settings?.httpsProxy : settings?.httpProxy;
  if (url === undefined || url === '' || isExempt(relay, settings?.noProxy ?? '')) return undefined;
  return parseProxy(url);
}

function parseProxy(text: string): ProxyRoute {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url === null || url.hostname === '')
    throw new PortholeError('CONFIG_INVALID', 'the address of the HTTP proxy is not a URL');
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new PortholeError('CONFIG_INVALID', `an HTTP proxy with the scheme ${url.protocol}// cannot be used`);
  const secure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  const hasCredentials = url.username !== '' || url.password !== '';
  const credentials = hasCredentials
    ? Buffer.from(`${decoded(url.username)}:${decoded(url.password)}`, 'utf8').toString('base64')
    : undefined;
  return { secure, host, port, credentials, label: `${url.protocol}//${url.hostname}:${port}` };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Entries: `*`, `host`, `.suffix`, `*.suffix`, each with an optional `:port`; addresses and CIDR blocks. */
function isExempt(relay: { host: string; port: number }, noProxy: string): boolean {
  const host = relay.host.toLowerCase();
  for (const entry of noProxy.toLowerCase().split(/[\s,]+/)) {
    if (entry === '') continue;
    if (entry === '*') return true;
    if (matches(host, relay.port, entry)) return true;
  }
  return false;
}

function matches(host: string, port: number, entry: string): boolean {
  if (entry.includes('/')) return isInBlock(host, entry);
  const parts = /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry);
  const name = parts?.[1] ?? '';
  if (parts?.[2] !== undefined && Number(parts[2]) !== port) return false;
  const suffix = name.replace(/^\*?\./, '');
  return suffix !== '' && (host === suffix || host.endsWith(`.${suffix}`));
}

function isInBlock(host: string, block: string): boolean {
  const [address = '', bits = ''] = block.split('/');
  const prefix = Number(bits);
  const family = isIP(address);
  if (
    isIP(host) === 0 ||
    family === 0 ||
    isIP(host) !== family ||
    !/^\d+$/.test(bits) ||
    prefix > (family === 4 ? 32 : 128)
  )
    return false;
  const type = isIPv4(address) ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(address, prefix, type);
  return list.check(host, type);
}
