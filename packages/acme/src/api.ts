/** The resources of an ACME server, one method each (RFC 8555 section 7, RFC 9773, profiles). No policy: that is `order.ts`. */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { renewalIdentifier } from './x509.ts';
import {
  type Authorization,
  bad,
  type Challenge,
  type Directory,
  type Identifier,
  type Order,
  readAuthorization,
  readOrder,
  readRenewalInfo,
  type RenewalInfo,
} from './answers.ts';
import type { AcmeHttp, AcmeReply, Signer } from './http.ts';
import { publicJwk, signAccountBinding, signJws } from './jws.ts';
import { AcmeError } from './problem.ts';
import { checkAcmeUrl } from './transport.ts';

export interface ExternalAccount {
  readonly kid: string;
  /** base64url. A secret. */
  readonly hmacKey: string;
}

export interface AccountRequest {
  /** `mailto:` is added when it is missing. */
  readonly emails?: readonly string[];
  readonly termsOfServiceAgreed: boolean;
  readonly externalAccount?: ExternalAccount | undefined;
}

export interface OrderRequest {
  readonly identifiers: readonly Identifier[];
  readonly profile?: string | undefined;
  /** The certificate this one replaces (RFC 9773 section 5), which exempts it from rate limits. */
  readonly replaces?: string | undefined;
}

export interface IssuedChain {
  /** PEM, the leaf first. */
  readonly pem: string;
  /** Addresses of the same certificate with other chains. */
  readonly alternates: readonly string[];
}

/** RFC 5280 section 5.3.1. */
export const revocationReasons = { unspecified: 0, keyCompromise: 1, superseded: 4, cessationOfOperation: 5 } as const;

export class AcmeApi {
  readonly http: AcmeHttp;
  #key: KeyObject;
  #accountUrl: string | undefined;

  /** `accountUrl` when the account is known already; otherwise call `register` first. */
  constructor(http: AcmeHttp, accountKey: KeyObject, accountUrl?: string) {
    this.http = http;
    this.#key = accountKey;
    this.#accountUrl = accountUrl;
  }

  get accountKey(): KeyObject {
    return this.#key;
  }

  get accountUrl(): string | undefined {
    return this.#accountUrl;
  }

  async directory(signal?: AbortSignal): Promise<Directory> {
    return await this.http.directory(signal);
  }

  /** Makes the account, or finds the one this key has already (section 7.3). Returns its address. */
  async register(request: AccountRequest, signal?: AbortSignal): Promise<string> {
    const { newAccount, externalAccountRequired } = await this.directory(signal);
    const { externalAccount } = request;
    if (externalAccountRequired && externalAccount === undefined) {
      throw new AcmeError(
        'ACME_REFUSED',
        'this authority wants an external account binding: a key id and an HMAC key from its website',
        { problem: 'externalAccountRequired' },
      );
    }
    const payload = {
      termsOfServiceAgreed: request.termsOfServiceAgreed,
      contact: (request.emails ?? []).map((email) => (email.startsWith('mailto:') ? email : `mailto:${email}`)),
      ...(externalAccount === undefined
        ? {}
        : {
            externalAccountBinding: signAccountBinding(
              this.#key,
              newAccount,
              externalAccount.kid,
              externalAccount.hmacKey,
            ),
          }),
    };
    const reply = await this.http.post(newAccount, payload, { key: this.#key }, { signal });
    this.#accountUrl = locationOf(reply);
    return this.#accountUrl;
  }

  /** Section 7.3.5: the account goes on with another key. */
  async changeKey(newKey: KeyObject, signal?: AbortSignal): Promise<void> {
    const { keyChange } = await this.directory(signal);
    if (keyChange === undefined) throw bad('this authority offers no keyChange');
    const { kid } = this.#signer();
    const inner = signJws(
      newKey,
      { url: keyChange, jwk: publicJwk(newKey) },
      { account: kid, oldKey: publicJwk(this.#key) },
    );
    await this.#post(keyChange, JSON.parse(inner), signal);
    this.#key = newKey;
  }

  /** Section 7.3.6. */
  async deactivateAccount(signal?: AbortSignal): Promise<void> {
    await this.#post(this.#signer().kid, { status: 'deactivated' }, signal);
    this.#accountUrl = undefined;
  }

  async newOrder(request: OrderRequest, signal?: AbortSignal): Promise<Order> {
    const { newOrder, profiles } = await this.directory(signal);
    if (request.profile !== undefined && !profiles.has(request.profile)) {
      const offered = [...profiles.keys()].join(', ');
      throw new AcmeError(
        'ACME_REFUSED',
        `this authority has no profile "${request.profile}" (it has: ${offered === '' ? 'none' : offered})`,
        { problem: 'invalidProfile' },
      );
    }
    const reply = await this.#post(newOrder, request, signal);
    return readOrder(reply.json, locationOf(reply), reply.retryAfterMs);
  }

  async order(url: string, signal?: AbortSignal): Promise<Order> {
    const reply = await this.#post(url, undefined, signal);
    return readOrder(reply.json, url, reply.retryAfterMs);
  }

  async authorization(url: string, signal?: AbortSignal): Promise<Authorization> {
    const reply = await this.#post(url, undefined, signal);
    return readAuthorization(reply.json, url, reply.retryAfterMs);
  }

  /** Section 7.5.2: gives up an authorisation, so that it does not count as pending. */
  async deactivateAuthorization(url: string, signal?: AbortSignal): Promise<void> {
    await this.#post(url, { status: 'deactivated' }, signal);
  }

  /** Says that the challenge can be looked at now (section 7.5.1). */
  async answerChallenge(challenge: Challenge, signal?: AbortSignal): Promise<void> {
    await this.#post(challenge.url, {}, signal);
  }

  async finalize(order: Order, csr: Buffer, signal?: AbortSignal): Promise<Order> {
    const reply = await this.#post(order.finalize, { csr: csr.toString('base64url') }, signal);
    return readOrder(reply.json, order.url, reply.retryAfterMs);
  }

  async certificate(url: string, signal?: AbortSignal): Promise<IssuedChain> {
    const reply = await this.http.post(url, undefined, this.#signer(), {
      signal,
      accept: 'application/pem-certificate-chain',
    });
    return {
      pem: reply.text,
      alternates: reply.alternates.slice(0, 10).map((link) => checkAcmeUrl(new URL(link, url).href).href),
    };
  }

  /** RFC 9773 section 4; undefined when the authority has no such thing. */
  async renewalInfo(certificate: X509Certificate, signal?: AbortSignal): Promise<RenewalInfo | undefined> {
    const { renewalInfo } = await this.directory(signal);
    const identifier = renewalIdentifier(certificate);
    if (renewalInfo === undefined || identifier === undefined) return undefined;
    const reply = await this.http.get(`${renewalInfo.replace(/\/$/, '')}/${identifier}`, signal);
    return readRenewalInfo(reply.json, reply.retryAfterMs);
  }

  async revoke(
    certificate: X509Certificate,
    reason: keyof typeof revocationReasons,
    signal?: AbortSignal,
  ): Promise<void> {
    const { revokeCert } = await this.directory(signal);
    if (revokeCert === undefined) throw bad('this authority offers no revokeCert');
    await this.#post(
      revokeCert,
      { certificate: certificate.raw.toString('base64url'), reason: revocationReasons[reason] },
      signal,
    );
  }

  async #post(url: string, payload: unknown, signal: AbortSignal | undefined): Promise<AcmeReply> {
    return await this.http.post(url, payload, this.#signer(), { signal });
  }

  #signer(): Signer & { readonly kid: string } {
    if (this.#accountUrl === undefined)
      throw new AcmeError('ACME_REFUSED', 'no account yet', { problem: 'accountDoesNotExist' });
    return { key: this.#key, kid: this.#accountUrl };
  }
}

function locationOf(reply: AcmeReply): string {
  if (reply.location === undefined) throw bad('no Location for what was made');
  return checkAcmeUrl(reply.location).href;
}
