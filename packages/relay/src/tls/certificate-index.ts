/**
 * The choice of a certificate by the name a visitor asks for: on the path of every handshake, so one or two Map
 * look-ups. OpenSSL contexts (40 kB, 0.2 ms) are made when first needed; the least used ones are let go.
 */
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { nameKey } from './name-key.ts';
import { wildcardOf } from '@porthole/acme';

export interface ServedCertificate {
  readonly id: string;
  readonly names: readonly string[];
  readonly keyPem: string;
  readonly chainPem: string;
  readonly notAfterMs: number;
  /** Of several for one name the highest is served: what the operator brought beats what was ordered. Default 0. */
  readonly priority?: number;
}

/** What every TLS server of the relay is set up with besides its certificates. */
export const serverTlsOptions = {
  minVersion: 'TLSv1.2',
  // A visitor who begins handshakes anew on his connection spends our time for little of his.
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  // Forward secrecy and AEAD only; TLS 1.3 first (RFC 9325 section 4.2).
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
} as const;

export interface CertificateIndexOptions {
  /**
   * OpenSSL contexts kept. Default 5,000 (about 200 MB when all are in use). Give it no less than the names in active
   * use: what is let go is freed by a later garbage collection, all at once. Cycling through 5,000 names with room for
   * 500 was measured to pause the process for about 100 ms and to take more memory than keeping them all.
   */
  readonly maxContexts?: number;
}

export class CertificateIndex {
  readonly #maxContexts: number;
  readonly #byId = new Map<string, ServedCertificate>();
  /** By name, `*.` names included; the one to serve first. */
  readonly #byName = new Map<string, ServedCertificate[]>();
  /** By certificate, in order of use. */
  readonly #contexts = new Map<ServedCertificate, SecureContext>();
  #default: SecureContext | undefined;

  constructor(options: CertificateIndexOptions = {}) {
    this.#maxContexts = options.maxContexts ?? 5000;
  }

  get size(): number {
    return this.#byId.size;
  }

  get contexts(): number {
    return this.#contexts.size;
  }

  /** Adds or replaces. Connections that stand keep what they began with. */
  set(certificate: ServedCertificate): void {
    const key = nameKey(certificate.id);
    this.remove(key);
    this.#byId.set(key, certificate);
    for (const name of certificate.names) {
      const others = this.#byName.get(name) ?? [];
      this.#byName.set(name, [...others, certificate].sort(better));
    }
  }

  /** By id, or by the part of the store's key made of it. */
  remove(id: string): void {
    const key = nameKey(id);
    const certificate = this.#byId.get(key);
    if (certificate === undefined) return;
    this.#byId.delete(key);
    this.#contexts.delete(certificate);
    for (const name of certificate.names) {
      const others = (this.#byName.get(name) ?? []).filter((other) => other !== certificate);
      if (others.length === 0) this.#byName.delete(name);
      else this.#byName.set(name, others);
    }
  }

  /** For visitors without a name, or with one that has no certificate. */
  setDefault(keyPem: string, chainPem: string): void {
    this.#default = createSecureContext({ ...serverTlsOptions, key: keyPem, cert: chainPem });
  }

  get defaultContext(): SecureContext | undefined {
    return this.#default;
  }

  /** The certificate for a normalised host name: exact, else its wildcard. */
  find(serverName: string): ServedCertificate | undefined {
    const exact = this.#byName.get(serverName)?.[0];
    if (exact !== undefined) return exact;
    const wildcard = wildcardOf(serverName);
    return wildcard === undefined ? undefined : this.#byName.get(wildcard)?.[0];
  }

  /** The context for a name, or undefined: then take `defaultContext`, or refuse. */
  choose(serverName: string): SecureContext | undefined {
    const certificate = this.find(serverName);
    return certificate === undefined ? undefined : this.#contextOf(certificate);
  }

  #contextOf(certificate: ServedCertificate): SecureContext {
    const known = this.#contexts.get(certificate);
    const context =
      known ?? createSecureContext({ ...serverTlsOptions, key: certificate.keyPem, cert: certificate.chainPem });
    this.#contexts.delete(certificate);
    this.#contexts.set(certificate, context);
    if (known === undefined && this.#contexts.size > this.#maxContexts) {
      const [leastUsed] = this.#contexts.keys();
      if (leastUsed !== undefined) this.#contexts.delete(leastUsed);
    }
    return context;
  }
}

function better(a: ServedCertificate, b: ServedCertificate): number {
  return (b.priority ?? 0) - (a.priority ?? 0) || b.notAfterMs - a.notAfterMs;
}
