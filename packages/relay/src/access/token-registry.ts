/** The tokens of a relay: made, listed, revoked and checked against their stored hashes. */
import { PortholeError } from '@porthole/protocol';
import type { Store, StoredDocument } from '../store/store.ts';
import type { Scope } from './scope.ts';
import { createToken, formatToken, hashSecret, parseToken, secretMatches } from './token-format.ts';
import { encodeTokenRecord, parseTokenRecord, type TokenRecord } from './token-record.ts';

const PREFIX = 'tokens/';

export type TokenCheck =
  | { readonly ok: true; readonly token: TokenRecord }
  | { readonly ok: false; readonly code: 'TOKEN_MISSING' | 'TOKEN_INVALID' | 'TOKEN_REVOKED' };

export interface CreatedToken {
  readonly record: TokenRecord;
  /** The only time it can be read: only its hash is kept. */
  readonly printed: string;
}

export class TokenRegistry {
  readonly #store: Store;
  readonly #now: () => Date;

  constructor(store: Store, now: () => Date = () => new Date()) {
    this.#store = store;
    this.#now = now;
  }

  async create(user: string, scope: Scope): Promise<CreatedToken> {
    const token = createToken();
    const record = { id: token.id, user, hash: hashSecret(token.secret), scope, createdAt: this.#now().toISOString() };
    const outcome = await this.#store.put(PREFIX + token.id, encodeTokenRecord(record), 0);
    if (!outcome.ok) return this.create(user, scope);
    return { record, printed: formatToken(token) };
  }

  /** Oldest first; revoked ones too. */
  async list(): Promise<readonly TokenRecord[]> {
    const records = (await this.#store.list(PREFIX)).flatMap((document) => parseTokenRecord(document) ?? []);
    return records.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  }

  /** Undefined when there is no such token. Revoking twice changes nothing. The record stays, so that its holder can be told. */
  async revoke(id: string): Promise<TokenRecord | undefined> {
    for (;;) {
      const document = await this.#find(id);
      const record = document === undefined ? undefined : parseTokenRecord(document);
      if (document === undefined || record === undefined) return undefined;
      if (record.revokedAt !== undefined) return record;
      const revoked = { ...record, revokedAt: this.#now().toISOString() };
      const outcome = await this.#store.put(document.key, encodeTokenRecord(revoked), document.revision);
      if (outcome.ok) return revoked;
    }
  }

  async check(printed: string | undefined): Promise<TokenCheck> {
    if (printed === undefined || printed.trim() === '') return { ok: false, code: 'TOKEN_MISSING' };
    const parts = parseToken(printed);
    const document = parts === undefined ? undefined : await this.#find(parts.id);
    const token = document === undefined ? undefined : parseTokenRecord(document);
    if (parts === undefined || token === undefined || !secretMatches(parts.secret, token.hash)) {
      return { ok: false, code: 'TOKEN_INVALID' };
    }
    return token.revokedAt === undefined ? { ok: true, token } : { ok: false, code: 'TOKEN_REVOKED' };
  }

  /** Calls with the id of every token revoked from now on, by whichever process. Returns the way to stop. */
  onRevoked(listener: (tokenId: string) => void): () => void {
    return this.#store.watch(PREFIX, (change) => {
      if (change.type === 'deleted') return listener(change.key.slice(PREFIX.length));
      const record = parseTokenRecord(change.document);
      // A record nobody can read any more vouches for nobody.
      if (record === undefined || record.revokedAt !== undefined) listener(change.document.key.slice(PREFIX.length));
    });
  }

  async #find(id: string): Promise<StoredDocument | undefined> {
    return /^[a-z2-7]{1,32}$/.test(id) ? this.#store.get(PREFIX + id) : undefined;
  }
}

const USER = /^[a-z0-9][a-z0-9._@+-]{0,63}$/i;

/** Throws USAGE for a name no user can have. */
export function checkUser(user: string): string {
  if (USER.test(user)) return user;
  throw new PortholeError('USAGE', `"${user}" cannot be a user: use 1 to 64 letters, digits and . _ @ + -`);
}
