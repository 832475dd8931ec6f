/**
 * The certificate of an end-to-end tunnel: kept in a folder of this user's with its key, ordered from an authority when
 * there is none, and again when two thirds of its life are over. Validations come through the tunnel itself.
 */
import { createHash, createPrivateKey } from 'node:crypto';
import { join } from 'node:path';
import {
  AcmeApi,
  AcmeHttp,
  type ChallengeSolver,
  createKeyPair,
  createTransport,
  factsOf,
  keyToPem,
  obtainCertificate,
} from '@porthole/acme';
import { PortholeError } from '@porthole/agent';
import { readIfThere, writeSecretFile } from '../settings/files.ts';
import type { EndToEndOrigin } from './end-to-end-origin.ts';

export interface CertificateSettings {
  /** Where keys and certificates are kept, mode 0700. */
  readonly folder: string;
  readonly directoryUrl: string;
  readonly email: string | undefined;
  /** PEM of authorities that the directory's own certificate is checked with; undefined: the system's. */
  readonly ca: string | undefined;
}

export interface CertificateNews {
  /** `fingerprint`: SHA-256, as browsers show it. */
  onCertificate(facts: { readonly fingerprint: string; readonly until: Date }): void;
  onTrouble(error: PortholeError, nextTryInMs: number): void;
}

const MAX_FILE_BYTES = 256 * 1024;
const LONGEST_TIMER_MS = 12 * 3_600_000;
const FIRST_RETRY_MS = 60_000;
const LAST_RETRY_MS = 12 * 3_600_000;

interface Kept {
  readonly keyPem: string;
  readonly chainPem: string;
}

export class AgentCertificate {
  readonly #settings: CertificateSettings;
  readonly #origin: EndToEndOrigin;
  readonly #news: CertificateNews;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #names: readonly string[] = [];
  #failures = 0;

  constructor(settings: CertificateSettings, origin: EndToEndOrigin, news: CertificateNews) {
    this.#settings = settings;
    this.#origin = origin;
    this.#news = news;
  }

  /** The tunnel has these names now. Called again after every reconnection. */
  namesAre(names: readonly string[]): void {
    if (names.join() === this.#names.join()) return;
    this.#names = names;
    this.#failures = 0;
    void this.#look();
  }

  close(): void {
    this.#stop.abort();
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    clearTimeout(this.#timer);
    const names = this.#names;
    const [name] = names;
    if (name === undefined || this.#stop.signal.aborted) return;
    try {
      const kept = this.#kept(name, names);
      if (kept !== undefined) this.#use(kept);
      const isDue = kept === undefined || renewAt(kept.chainPem) <= Date.now();
      const current = isDue ? await this.#order(name, names) : kept;
      if (isDue) this.#use(current);
      this.#failures = 0;
      this.#again(renewAt(current.chainPem) - Date.now());
    } catch (cause) {
      if (this.#stop.signal.aborted) return;
      const error = cause instanceof PortholeError ? cause : new PortholeError('INTERNAL', String(cause), { cause });
      const waitMs = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LAST_RETRY_MS);
      this.#failures += 1;
      this.#news.onTrouble(error, waitMs);
      this.#again(waitMs);
    }
  }

  #again(ms: number): void {
    this.#timer = setTimeout(() => void this.#look(), Math.min(Math.max(ms, 1_000), LONGEST_TIMER_MS));
    this.#timer.unref();
  }

  #use({ keyPem, chainPem }: Kept): void {
    this.#origin.useCertificate(keyPem, chainPem);
    const { leaf, notAfterMs } = factsOf(chainPem);
    this.#news.onCertificate({ fingerprint: leaf.fingerprint256, until: new Date(notAfterMs) });
  }

  async #order(name: string, names: readonly string[]): Promise<Kept> {
    const { directoryUrl, email, ca } = this.#settings;
    const transport = createTransport({ ca, userAgent: 'porthole' });
    try {
      const api = new AcmeApi(new AcmeHttp({ directoryUrl, transport }), createPrivateKey(this.#accountKey()));
      // Finds the account when there is one for the key.
      await api.register(
        { termsOfServiceAgreed: true, ...(email === undefined ? {} : { emails: [email] }) },
        this.#stop.signal,
      );
      const issued = await obtainCertificate(api, {
        names,
        solvers: [this.#solver()],
        signal: this.#stop.signal,
      });
      const kept = { keyPem: issued.keyPem, chainPem: issued.chainPem };
      writeSecretFile(this.#fileOf(name), JSON.stringify(kept));
      return kept;
    } finally {
      transport.close();
    }
  }

  #solver(): ChallengeSolver {
    const answers = new Map<string, () => void>();
    return {
      type: 'tls-alpn-01',
      solves: (identifier, wildcard) => identifier.type === 'dns' && !wildcard,
      present: async ({ identifier, keyAuthorization }) => {
        answers.set(identifier.value, this.#origin.answerChallenge(identifier.value, keyAuthorization));
      },
      withdraw: async ({ identifier }) => answers.get(identifier.value)?.(),
    };
  }

  /** Under the first name; one that is not good for all of them is none. */
  #kept(name: string, names: readonly string[]): Kept | undefined {
    const text = readIfThere(this.#fileOf(name), MAX_FILE_BYTES);
    if (text === undefined) return undefined;
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('keyPem' in value) || !('chainPem' in value)) return undefined;
    const { keyPem, chainPem } = value;
    if (typeof keyPem !== 'string' || typeof chainPem !== 'string') return undefined;
    const facts = factsOf(chainPem);
    const isUsable = facts.notAfterMs > Date.now() && names.every((each) => facts.names.includes(each));
    return isUsable ? { keyPem, chainPem } : undefined;
  }

  #accountKey(): string {
    const file = join(this.#settings.folder, `account-${this.#authority()}.pem`);
    const standing = readIfThere(file, MAX_FILE_BYTES);
    if (standing !== undefined) return standing;
    const made = keyToPem(createKeyPair().privateKey);
    writeSecretFile(file, made);
    return made;
  }

  #fileOf(name: string): string {
    return join(this.#settings.folder, `${name}-${this.#authority()}.json`);
  }

  #authority(): string {
    return createHash('sha256').update(this.#settings.directoryUrl).digest('hex').slice(0, 12);
  }
}

/** Two thirds of its life. */
function renewAt(chainPem: string): number {
  const { notBeforeMs, notAfterMs } = factsOf(chainPem);
  return notBeforeMs + ((notAfterMs - notBeforeMs) * 2) / 3;
}
