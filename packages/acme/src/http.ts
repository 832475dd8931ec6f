/**
 * ACME's way of talking HTTP (RFC 8555 section 6): signed posts, nonces, and what is worth a second try. Rate limits
 * are not waited out here; the caller gets them with their time.
 */
import type { KeyObject } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Directory, readDirectory } from './answers.ts';
import { publicJwk, signJws } from './jws.ts';
import { AcmeError, errorOfAnswer, parseRetryAfter, problemType } from './problem.ts';
import { type AcmeAnswer, type AcmeTransport, cancelled } from './transport.ts';

export interface AcmeHttpOptions {
  readonly directoryUrl: string;
  readonly transport: AcmeTransport;
  /** For tests. Default: real time. */
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<void>;
  readonly now?: () => number;
}

export interface AcmeReply {
  readonly status: number;
  /** The parsed JSON body; undefined when the body is none. */
  readonly json: unknown;
  readonly text: string;
  readonly location: string | undefined;
  /** Targets of `Link: rel="alternate"`. */
  readonly alternates: readonly string[];
  readonly retryAfterMs: number | undefined;
}

/** By what an account signs: its address once it has one, its public key before. */
export interface Signer {
  readonly key: KeyObject;
  readonly kid?: string | undefined;
}

export interface PostOptions {
  readonly signal?: AbortSignal | undefined;
  readonly accept?: string;
}

const MAX_NONCES = 16;
const MAX_BAD_NONCES = 20;
const RETRY_DELAYS_MS = [200, 1000, 4000] as const;
/** Longer waits are the caller's to plan. */
const MAX_WAIT_HERE_MS = 30_000;
const DIRECTORY_LIFE_MS = 3_600_000;

export class AcmeHttp {
  readonly #options: AcmeHttpOptions;
  readonly #nonces: string[] = [];
  #directory: { readonly value: Directory; readonly readAt: number } | undefined;

  constructor(options: AcmeHttpOptions) {
    this.#options = options;
  }

  now(): number {
    return (this.#options.now ?? Date.now)();
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (this.#options.sleep !== undefined) return await this.#options.sleep(ms, signal);
    await delay(ms, undefined, signal === undefined ? {} : { signal }).catch(() => {
      throw cancelled();
    });
  }

  /** Kept for an hour. */
  async directory(signal?: AbortSignal): Promise<Directory> {
    const known = this.#directory;
    if (known !== undefined && this.now() - known.readAt < DIRECTORY_LIFE_MS) return known.value;
    const reply = await this.get(this.#options.directoryUrl, signal);
    const value = readDirectory(reply.json);
    this.#directory = { value, readAt: this.now() };
    return value;
  }

  /** An unsigned GET, for the directory and renewal information. */
  async get(url: string, signal?: AbortSignal): Promise<AcmeReply> {
    return await this.#persistently(signal, async () =>
      this.#success(await this.#options.transport.send({ method: 'GET', url, signal })),
    );
  }

  /** A signed POST; `payload` undefined is a POST-as-GET. A nonce that is not taken is replaced by the one that came with the refusal. */
  async post(url: string, payload: unknown, signer: Signer, options: PostOptions = {}): Promise<AcmeReply> {
    const identity = signer.kid === undefined ? { jwk: publicJwk(signer.key) } : { kid: signer.kid };
    // Here, not on the way to a nonce: its own tries must not multiply with these.
    await this.directory(options.signal);
    return await this.#persistently(options.signal, async () => {
      for (let refusals = 0; ; refusals++) {
        const nonce = await this.#nonce(options.signal);
        const body = signJws(signer.key, { nonce, url, ...identity }, payload);
        const { signal, accept } = options;
        const answer = await this.#options.transport.send({
          method: 'POST',
          url,
          body,
          signal,
          ...(accept === undefined ? {} : { accept }),
        });
        this.#keepNonce(answer);
        if (refusals < MAX_BAD_NONCES && answer.status === 400 && problemType(parseJson(answer)) === 'badNonce')
          continue;
        return this.#success(answer);
      }
    });
  }

  /** Repeats what failed by the network or the authority's own fault, a few times. */
  async #persistently<T>(signal: AbortSignal | undefined, attempt: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        return await attempt();
      } catch (error) {
        const delayMs = RETRY_DELAYS_MS[tries];
        if (!(error instanceof AcmeError) || error.code !== 'ACME_UNREACHABLE' || delayMs === undefined) throw error;
        const waitMs = Math.max(error.retryAfterMs ?? 0, delayMs);
        if (waitMs > MAX_WAIT_HERE_MS) throw error;
        // The nonces at hand may be as old as the failure.
        this.#nonces.length = 0;
        await this.sleep(waitMs, signal);
      }
    }
  }

  async #nonce(signal: AbortSignal | undefined): Promise<string> {
    const kept = this.#nonces.pop();
    if (kept !== undefined) return kept;
    const { newNonce } = await this.directory(signal);
    const answer = await this.#options.transport.send({ method: 'HEAD', url: newNonce, signal });
    this.#success(answer);
    this.#keepNonce(answer);
    const fresh = this.#nonces.pop();
    if (fresh === undefined) throw new AcmeError('ACME_BAD_ANSWER', 'newNonce gave no Replay-Nonce');
    return fresh;
  }

  #keepNonce(answer: AcmeAnswer): void {
    const nonce = answer.headers['replay-nonce'];
    if (typeof nonce !== 'string' || !/^[A-Za-z0-9_-]{1,512}$/.test(nonce)) return;
    this.#nonces.push(nonce);
    if (this.#nonces.length > MAX_NONCES) this.#nonces.shift();
  }

  #success(answer: AcmeAnswer): AcmeReply {
    const retryAfterMs = parseRetryAfter(answer.headers['retry-after'], this.now());
    const json = parseJson(answer);
    if (answer.status < 200 || answer.status >= 300) throw errorOfAnswer(answer.status, json, retryAfterMs);
    return {
      status: answer.status,
      json,
      text: answer.body.toString('latin1'),
      location: answer.headers.location,
      alternates: alternateLinks(answer.headers['link']),
      retryAfterMs,
    };
  }
}

function parseJson(answer: AcmeAnswer): unknown {
  if (!/^application\/([a-z.+-]+\+)?json\b/i.test(answer.headers['content-type'] ?? '')) return undefined;
  try {
    return JSON.parse(answer.body.toString('utf8'));
  } catch {
    return undefined;
  }
}

function alternateLinks(header: string | string[] | undefined): string[] {
  const text = Array.isArray(header) ? header.join(', ') : (header ?? '');
  return [...text.matchAll(/<([^<>]*)>([^<]*)/g)]
    .filter((match) => /;\s*rel="?alternate"?/i.test(match[2] ?? ''))
    .map((match) => match[1] ?? '');
}
