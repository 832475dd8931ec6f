/** What a visitor's TLS handshake said: which name it was for, and so which hosts its requests may be for. */

export class VisitorTls {
  /** As in SNI; empty when there was none. */
  readonly serverName: string;
  readonly #covers: (host: string) => boolean;
  #lastHost: string;
  #lastServes = true;

  constructor(serverName: string, covers: (host: string) => boolean) {
    this.serverName = serverName;
    this.#covers = covers;
    this.#lastHost = serverName;
  }

  /**
   * Whether a request for this host may come over the connection: the certificate shown must be good for it, or the
   * visitor believes to speak with somebody else (RFC 9110 section 7.4). `host` without port.
   */
  serves(host: string): boolean {
    if (host === this.#lastHost) return this.#lastServes;
    this.#lastHost = host;
    this.#lastServes = this.serverName === '' || this.#covers(host);
    return this.#lastServes;
  }
}
