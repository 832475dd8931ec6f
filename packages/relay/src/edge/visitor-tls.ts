/** What a visitor's TLS handshake said: which name it was for, and so which hosts its requests may be for; who he is. */
import type { TLSSocket } from 'node:tls';

export interface HostRules {
  /** Whether the certificate shown is good for the host. */
  covers(host: string): boolean;
  /** PEM of the authorities whose certificates visitors of the host must show. */
  clientCaOf(host: string): string | undefined;
}

export class VisitorTls {
  /** As in SNI; empty when there was none. */
  readonly serverName: string;
  /** The certificate he has shown and the tunnel's authorities have signed, as a `Client-Cert` field (RFC 9440). */
  readonly clientCert: string | undefined;
  readonly #rules: HostRules;
  /** The authorities whose certificate the visitor has shown, as the tunnel named them. */
  readonly #clientCa: string | undefined;
  #lastHost: string;
  #lastServes = true;

  /** `clientCa`: what the certificate was checked against in the handshake; undefined: he was asked for none. */
  constructor(serverName: string, rules: HostRules, clientCa?: string, socket?: TLSSocket) {
    this.serverName = serverName;
    this.clientCert = clientCa === undefined ? undefined : clientCertField(socket);
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

/** A byte sequence of structured fields: the certificate's DER in base64 between colons (RFC 9440 section 2.2). */
function clientCertField(socket: TLSSocket | undefined): string | undefined {
  const certificate = socket?.getPeerX509Certificate();
  return certificate === undefined ? undefined : `:${certificate.raw.toString('base64')}:`;
}
