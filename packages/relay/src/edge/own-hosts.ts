/** Which host names mean the relay itself, as long as no tunnel has claimed them. */
import { isIP } from 'node:net';

export class OwnHosts {
  readonly #domains: ReadonlySet<string>;

  /** `domains`: the relay's base domains, lower case. */
  constructor(domains: readonly string[]) {
    this.#domains = new Set(domains);
  }

  /** `host` as in a request head: lower case, without port; empty when an HTTP/1.0 request named none. */
  has(host: string): boolean {
    return host === '' || host === 'localhost' || this.#domains.has(host) || host.startsWith('[') || isIP(host) !== 0;
  }
}
