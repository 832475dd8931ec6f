/**
 * The key of TLS session tickets, shared by all processes through the store, so that a visitor resumes with whichever
 * of them he meets, and replaced often, because it is what forward secrecy hangs on (RFC 8446 appendix C.4).
 */
import { randomBytes } from 'node:crypto';
import type { JsonValue, Store } from '../store/store.ts';
import { numberOf, stringOf } from '@porthole/acme';

const key = 'tls/session-tickets';
const keyBytes = 48;
const defaultRotateEveryMs = 12 * 3_600_000;

export interface SessionTicketsOptions {
  readonly store: Store;
  /** Called with 48 bytes for `server.setTicketKeys`, first by `start()`, then at each change. */
  readonly onKeys: (keys: Buffer) => void;
  /** The store failed; the keys at hand stay in use and it is tried again. */
  readonly onError?: (error: unknown) => void;
  /** Default 12 hours. Node knows one key at a time, so that visitors of the hour before make a full handshake once. */
  readonly rotateEveryMs?: number;
  readonly now?: () => number;
}

export class SessionTickets {
  readonly #options: SessionTicketsOptions;
  #stopWatching: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #current: string | undefined;

  constructor(options: SessionTicketsOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#stopWatching = this.#options.store.watch(key, (change) => {
      if (change.type === 'put') this.#use(change.document.value);
    });
    await this.rotateIfDue();
    const everyMs = Math.min((this.#options.rotateEveryMs ?? defaultRotateEveryMs) / 4, 3_600_000);
    this.#timer = setInterval(() => {
      this.rotateIfDue().catch((error: unknown) => this.#options.onError?.(error));
    }, everyMs);
    // A relay without sockets need not live for this.
    this.#timer.unref();
  }

  /** Makes a new key when there is none or it is too old. Of several processes one wins; all use its key. */
  async rotateIfDue(): Promise<void> {
    const { store } = this.#options;
    const now = (this.#options.now ?? Date.now)();
    const document = await store.get(key);
    const age = now - (numberOf(document?.value, 'madeAtMs') ?? Number.NEGATIVE_INFINITY);
    const isUsable =
      keysOf(document?.value) !== undefined && age < (this.#options.rotateEveryMs ?? defaultRotateEveryMs);
    if (!isUsable)
      await store.put(key, { keys: randomBytes(keyBytes).toString('base64'), madeAtMs: now }, document?.revision ?? 0);
    this.#use((await store.get(key))?.value);
  }

  close(): void {
    this.#stopWatching?.();
    clearInterval(this.#timer);
  }

  #use(value: JsonValue | undefined): void {
    const keys = keysOf(value);
    const text = keys?.toString('base64');
    if (keys === undefined || text === this.#current) return;
    this.#current = text;
    this.#options.onKeys(keys);
  }
}

function keysOf(value: JsonValue | undefined): Buffer | undefined {
  const keys = Buffer.from(stringOf(value, 'keys') ?? '', 'base64');
  return keys.length === keyBytes ? keys : undefined;
}
