/** The relay's account with a certificate authority: its key and address are in the store and shared by all processes. */
import { createHash, createPrivateKey } from 'node:crypto';
import type { Store } from '../store/store.ts';
import {
  type AccountRequest,
  AcmeApi,
  AcmeHttp,
  type AcmeTransport,
  createKeyPair,
  keyToPem,
  stringOf,
} from '@porthole/acme';

export interface AcmeAccountOptions {
  readonly store: Store;
  readonly directoryUrl: string;
  readonly request: AccountRequest;
  readonly transport: AcmeTransport;
  readonly now?: () => number;
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<void>;
}

export class AcmeAccount {
  readonly #options: AcmeAccountOptions;
  readonly #key: string;
  #api: Promise<AcmeApi> | undefined;

  constructor(options: AcmeAccountOptions) {
    this.#options = options;
    this.#key = `tls/account/${createHash('sha256').update(options.directoryUrl).digest('hex')}`;
  }

  /** Loads or makes the account, once. Rejects as `AcmeApi.register` does; the next call tries again. */
  async api(signal?: AbortSignal): Promise<AcmeApi> {
    this.#api ??= this.#open(signal);
    try {
      return await this.#api;
    } catch (error) {
      this.#api = undefined;
      throw error;
    }
  }

  /** The authority does not know the account (any more): it is registered again by its key at the next call. */
  async forgetAddress(): Promise<void> {
    this.#api = undefined;
    const document = await this.#options.store.get(this.#key);
    const keyPem = stringOf(document?.value, 'keyPem');
    if (keyPem !== undefined) await this.#options.store.put(this.#key, { keyPem }, document?.revision ?? 0);
  }

  async #open(signal: AbortSignal | undefined): Promise<AcmeApi> {
    const { directoryUrl, transport, now, sleep } = this.#options;
    const http = new AcmeHttp({
      directoryUrl,
      transport,
      ...(now === undefined ? {} : { now }),
      ...(sleep === undefined ? {} : { sleep }),
    });
    const { keyPem, url } = await this.#loadKey();
    const api = new AcmeApi(http, createPrivateKey(keyPem), url);
    if (url !== undefined) return api;
    const registered = await api.register(this.#options.request, signal);
    await this.#options.store.put(this.#key, { keyPem, url: registered, directoryUrl });
    return api;
  }

  /** The key is stored before it is used: two processes then register one account, not two. */
  async #loadKey(): Promise<{ readonly keyPem: string; readonly url: string | undefined }> {
    const { store } = this.#options;
    for (;;) {
      const document = await store.get(this.#key);
      const keyPem = stringOf(document?.value, 'keyPem');
      if (keyPem !== undefined) return { keyPem, url: stringOf(document?.value, 'url') };
      await store.put(this.#key, { keyPem: keyToPem(createKeyPair().privateKey) }, document?.revision ?? 0);
    }
  }
}
