/**
 * The key of TLS session tickets, shared by all processes through the store, so that a visitor resumes with whichever
 * of them he meets, and replaced often, because it is what forward secrecy hangs on (RFC 8446 appendix C.4).
 */
import { randomBytes } from 'node:crypto';
import type { JsonValue, Store } from '../store/store.ts';
import { numberOf, stringOf } from '@porthole/acme';

const STORE_KEY = 'tls/session-tickets';
const KEY_BYTES = 48;
const DEFAULT_ROTATE_EVERY_MS = 12 * 3_600_000;

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
    this.#stopWatching = this.#options.store.watch(STORE_KEY, (change) => {
      if (change.type === 'put') this.#use(change.document.value);
    });
    await this.rotateIfDue();
    const everyMs = Math.min((this.#options.rotateEveryMs ?? DEFAULT_ROTATE_EVERY_MS) / 4, 3_600_000);
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
    const document = await store.get(STORE_KEY);
    const age = now - (numberOf(document?.value, 'madeAtMs') ?? Number.NEGATIVE_INFINITY);
    const isUsable =
      keysOf(document?.value) !== undefined && age < (this.#options.rotateEveryMs ?? DEFAULT_ROTATE_EVERY_MS);
    if (!isUsable)
      await store.put(
        STORE_KEY,
        { keys: randomBytes(KEY_BYTES).toString('base64'), madeAtMs: now },
        document?.revision ?? 0,
      );
    this.#use((await store.get(STORE_KEY))?.value);
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
  return keys.length === KEY_BYTES ? keys : undefined;
}
