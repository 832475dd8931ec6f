/** The certificates of a process as the HTTPS door needs them: which to show, which can still be had, which is the default. */
import type { SecureContext } from 'node:tls';
import type { CertificateIndex, ServedCertificate } from './certificate-index.ts';
import { nameCovers } from '@porthole/acme';

export interface DefaultCertificate {
  readonly key: string;
  readonly cert: string;
}

export interface ServingCertificatesOptions {
  readonly index: CertificateIndex;
  /** Tries to get one for a name that has none; may take seconds. Absent: there is nobody to ask. */
  readonly request?: ((name: string) => Promise<boolean>) | undefined;
  readonly challengeContext?: ((name: string) => Promise<SecureContext | undefined>) | undefined;
}

export class ServingCertificates {
  readonly #options: ServingCertificatesOptions;
  #default: DefaultCertificate | undefined;
  #ticketKeys: Buffer | undefined;
  #takeDefault: ((certificate: DefaultCertificate) => void) | undefined;
  #takeTicketKeys: ((keys: Buffer) => void) | undefined;

  constructor(options: ServingCertificatesOptions) {
    this.#options = options;
  }

  find(name: string): ServedCertificate | undefined {
    return this.#options.index.find(name);
  }

  /** What is shown for the name, as PEM. */
  pemFor(name: string): DefaultCertificate | undefined {
    const found = this.find(name);
    return found === undefined ? this.#default : { key: found.keyPem, cert: found.chainPem };
  }

  /** Undefined: the default one. */
  choose(name: string): SecureContext | undefined {
    return this.#options.index.choose(name);
  }

  /** Whether the certificate shown for `serverName` is good for `host`, too. The default one is good for whatever it is. */
  covers(serverName: string, host: string): boolean {
    const shown = this.find(serverName);
    return shown === undefined ? host === serverName : shown.names.some((name) => nameCovers(name, host));
  }

  async obtain(name: string): Promise<boolean> {
    return (await this.#options.request?.(name)) ?? false;
  }

  async challengeContext(name: string): Promise<SecureContext | undefined> {
    return await this.#options.challengeContext?.(name);
  }

  onDefault(take: (certificate: DefaultCertificate) => void): void {
    this.#takeDefault = (certificate) => {
      take(certificate);
      // A new default context begins with ticket keys of its own.
      if (this.#ticketKeys !== undefined) this.#takeTicketKeys?.(this.#ticketKeys);
    };
    if (this.#default !== undefined) this.#takeDefault(this.#default);
  }

  onTicketKeys(take: (keys: Buffer) => void): void {
    this.#takeTicketKeys = take;
    if (this.#ticketKeys !== undefined) take(this.#ticketKeys);
  }

  setDefault(certificate: DefaultCertificate): void {
    if (this.#default?.cert === certificate.cert) return;
    this.#default = certificate;
    this.#takeDefault?.(certificate);
  }

  setTicketKeys(keys: Buffer): void {
    this.#ticketKeys = keys;
    this.#takeTicketKeys?.(keys);
  }
}
