/** What a visitor's TLS handshake said: which name it was for, and so which hosts its requests may be for. */

export interface HostRules {
  /** Whether the certificate shown is good for the host. */
  covers(host: string): boolean;
  /** PEM of the authorities whose certificates visitors of the host must show. */
  clientCaOf(host: string): string | undefined;
}

export class VisitorTls {
  /** As in SNI; empty when there was none. */
  readonly serverName: string;
  readonly #rules: HostRules;
  /** The authorities whose certificate the visitor has shown, as the tunnel named them. */
  readonly #clientCa: string | undefined;
  #lastHost: string;
  #lastServes = true;

  constructor(serverName: string, rules: HostRules, clientCa?: string) {
    this.serverName = serverName;
    this.#rules = rules;
    this.#clientCa = clientCa;
    this.#lastHost = serverName;
  }

  /**
   * Whether a request for this host may come over the connection: the certificate shown must be good for it, or the
   * visitor believes to speak with somebody else (RFC 9110 section 7.4). `host` without port.
   */
  serves(host: string): boolean {
    // Asked each time: the tunnel may have begun to want certificates since.
    if (this.#rules.clientCaOf(host) !== this.#clientCa) return false;
    if (host === this.#lastHost) return this.#lastServes;
    this.#lastHost = host;
    this.#lastServes = this.serverName === '' || this.#rules.covers(host);
    return this.#lastServes;
  }
}
