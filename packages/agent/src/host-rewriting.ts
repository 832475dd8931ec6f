/**
 * The Host modes of a tunnel. Preserved heads pass untouched; rewritten ones tell the origin that it was asked by its
 * own address (development servers insist on that) and map what it then says about itself back to the public one.
 */
import { isIP } from 'node:net';
import { type ExchangeRequest, type Fields, PortholeError } from '@porthole/protocol';
import { hostOfAuthority } from '@porthole/protocol/http1';
import type { OriginTarget } from './target.ts';

/** `preserve`, `rewrite`, or the value to send as `Host`. */
export type HostHeader = 'preserve' | 'rewrite' | (string & {});

type PublicAddress = Pick<ExchangeRequest, 'scheme' | 'authority'>;

const DEFAULT_PORTS: Record<string, string> = { http: ':80', https: ':443' };
const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]', '0.0.0.0'];

/** What `#requestValue` may change. */
const REQUEST_LINE = /^(host|origin|referer|x-forwarded-host): (.*)$/gim;
/** What `mapBack` may change. */
const RESPONSE_LINE = /^(?:location|content-location|access-control-allow-origin|refresh|set-cookie):/im;

/** What is wrong with it, for people; undefined: nothing. It becomes a line of every request: no other may be in it. */
export function hostHeaderProblem(mode: HostHeader): string | undefined {
  if (mode === 'preserve' || mode === 'rewrite') return undefined;
  if (/^[!-~]+$/.test(mode) && hostOfAuthority(mode) !== undefined) return undefined;
  return `${JSON.stringify(mode)} is not preserve, rewrite or a host with or without a port, such as app.test:8080`;
}

/** Undefined when nothing is to be rewritten. Throws CONFIG_INVALID. */
export function hostRewriting(mode: HostHeader, target: OriginTarget): HostRewriting | undefined {
  if (mode === 'preserve') return undefined;
  const problem = hostHeaderProblem(mode);
  if (problem !== undefined) throw new PortholeError('CONFIG_INVALID', `the host header ${problem}`);
  return new HostRewriting(mode === 'rewrite' ? target.authority : mode, target);
}

export class HostRewriting {
  readonly #authority: string;
  readonly #scheme: string;
  /** Authorities the origin may call itself by, lower case, default port dropped. */
  readonly #own: ReadonlySet<string>;
  readonly #ownHosts: ReadonlySet<string>;

  constructor(authority: string, target: OriginTarget) {
    this.#authority = authority;
    this.#scheme = target.secure ? 'https' : 'http';
    const own = [authority, target.authority];
    const { address } = target;
    if (target.loopback && address.kind !== 'unix')
      own.push(...LOOPBACK_NAMES.map((name) => `${name}:${address.port}`));
    const authorities = own.map((each) => withoutDefaultPort(each.toLowerCase(), this.#scheme));
    this.#own = new Set(authorities);
    this.#ownHosts = new Set(authorities.map(hostOf));
  }

  requestFields(request: ExchangeRequest): Fields {
    const fields = request.fields.slice();
    for (let i = 0; i < fields.length; i += 2)
      fields[i + 1] = this.#requestValue(fields[i] as string, fields[i + 1] as string, request);
    return fields;
  }

  /** As `requestFields`, of fields that are lines: most need not be looked at. */
  requestLines(lines: string, request: PublicAddress): string {
    return lines.replace(
      REQUEST_LINE,
      (_, name: string, value: string) => `${name}: ${this.#requestValue(name, value, request)}`,
    );
  }

  /** Whether there is anything for `mapBack` in fields that are lines. */
  isToMapBack(lines: string): boolean {
    return RESPONSE_LINE.test(lines);
  }

  /** Changes `fields` in place. */
  mapBack(fields: Fields, request: PublicAddress): void {
    for (let i = 0; i < fields.length; i += 2) {
      const value = fields[i + 1] as string;
      switch ((fields[i] as string).toLowerCase()) {
        case 'location':
        case 'content-location':
        case 'access-control-allow-origin':
          fields[i + 1] = this.#towardsPublic(value, request);
          break;
        case 'refresh':
          fields[i + 1] = value.replace(
            /^(\s*[\d.]+\s*[;,]\s*(?:url\s*=\s*)?["']?)([^"']+)/i,
            (_, before: string, url: string) => before + this.#towardsPublic(url, request),
          );
          break;
        case 'set-cookie':
          fields[i + 1] = this.#cookie(value, request);
          break;
      }
    }
  }

  #requestValue(name: string, value: string, request: PublicAddress): string {
    switch (name.toLowerCase()) {
      case 'host':
        return this.#authority;
      case 'origin':
      case 'referer':
        return this.#towardsOrigin(value, request);
      // Frameworks compare it with `Origin` to stop forged requests, so both must say the same.
      case 'x-forwarded-host':
        return value.toLowerCase() === request.authority.toLowerCase() ? this.#authority : value;
      default:
        return value;
    }
  }

  #towardsOrigin(url: string, request: PublicAddress): string {
    const parts = splitUrl(url);
    if (parts === undefined || parts.scheme === '') return url;
    const asked = withoutDefaultPort(request.authority.toLowerCase(), request.scheme);
    if (withoutDefaultPort(parts.authority.toLowerCase(), parts.scheme) !== asked) return url;
    return `${this.#scheme}://${this.#authority}${parts.rest}`;
  }

  #towardsPublic(url: string, request: PublicAddress): string {
    const parts = splitUrl(url);
    if (parts === undefined) return url;
    const scheme = parts.scheme === '' ? this.#scheme : parts.scheme;
    const authority = parts.authority.toLowerCase();
    // An application that was told the visitor came by https says https about its plain port, too.
    if (
      !this.#own.has(withoutDefaultPort(authority, this.#scheme)) &&
      !this.#own.has(withoutDefaultPort(authority, scheme))
    )
      return url;
    const base = withoutDefaultPort(request.authority, request.scheme);
    return parts.scheme === '' ? `//${base}${parts.rest}` : `${request.scheme}://${base}${parts.rest}`;
  }

  #cookie(value: string, request: PublicAddress): string {
    const first = value.indexOf(';');
    if (first < 0) return value;
    const host = hostOf(request.authority.toLowerCase());
    const attributes = value
      .slice(first)
      .replace(/(;\s*domain\s*=\s*)\.?([^;]*)/gi, (whole, before: string, domain: string) => {
        if (!this.#ownHosts.has(domain.trim().toLowerCase())) return whole;
        // A cookie's Domain cannot be an address (RFC 6265 section 5.2.3); without it the cookie is the host's own.
        return isIP(host.replace(/^\[|\]$/g, '')) === 0 ? before + host : '';
      });
    return value.slice(0, first) + attributes;
  }
}

function splitUrl(url: string): { scheme: string; authority: string; rest: string } | undefined {
  const match = /^(?:(https?):)?\/\/([^/?#\\]*)(.*)$/is.exec(url);
  if (match === null) return undefined;
  return { scheme: (match[1] ?? '').toLowerCase(), authority: match[2] ?? '', rest: match[3] ?? '' };
}

function withoutDefaultPort(authority: string, scheme: string): string {
  const port = DEFAULT_PORTS[scheme];
  return port !== undefined && authority.endsWith(port) ? authority.slice(0, -port.length) : authority;
}

function hostOf(authority: string): string {
  return authority.replace(/:\d*$/, '');
}
