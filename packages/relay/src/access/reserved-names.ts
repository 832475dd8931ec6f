/** Names kept for one user for good. Held in memory as well, because every claim asks. */
import { z } from 'zod';
import type { Store, StoredDocument } from '../store/store.ts';

const PREFIX = 'names/';
const RECORD = z.object({ user: z.string(), reserved_at: z.string() });

export interface ReservedName {
  readonly name: string;
  readonly user: string;
  /** ISO 8601. */
  readonly reservedAt: string;
}

export class ReservedNames {
  readonly #store: Store;
  readonly #now: () => Date;
  readonly #owners = new Map<string, string>();
  #stopWatching: (() => void) | undefined;

  constructor(store: Store, now: () => Date = () => new Date()) {
    this.#store = store;
    this.#now = now;
  }

  /** Needed for `ownerOf` only. */
  async start(): Promise<void> {
    this.#stopWatching = this.#store.watch(PREFIX, (change) => {
      if (change.type === 'deleted') this.#owners.delete(change.key.slice(PREFIX.length));
      else this.#note(change.document);
    });
    for (const document of await this.#store.list(PREFIX)) this.#note(document);
  }

  close(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
  }

  get size(): number {
    return this.#owners.size;
  }

  ownerOf(name: string): string | undefined {
    return this.#owners.get(name);
  }

  /** Gives the name to the user unless somebody else has it: then says who. */
  async reserve(name: string, user: string): Promise<{ readonly ok: boolean; readonly user: string }> {
    const value = { user, reserved_at: this.#now().toISOString() };
    if ((await this.#store.put(PREFIX + name, value, 0)).ok) return { ok: true, user };
    const standing = await this.#store.get(PREFIX + name);
    const owner = standing === undefined ? undefined : parseName(standing)?.user;
    return owner === undefined ? this.#overwrite(name, user) : { ok: owner === user, user: owner };
  }

  /** False when the name was not reserved. */
  async release(name: string): Promise<boolean> {
    const standing = await this.#store.get(PREFIX + name);
    if (standing === undefined) return false;
    await this.#store.delete(PREFIX + name);
    return true;
  }

  async list(): Promise<readonly ReservedName[]> {
    return (await this.#store.list(PREFIX)).flatMap((document) => parseName(document) ?? []);
  }

  async #overwrite(name: string, user: string): Promise<{ readonly ok: boolean; readonly user: string }> {
    await this.#store.put(PREFIX + name, { user, reserved_at: this.#now().toISOString() });
    return { ok: true, user };
  }

  #note(document: StoredDocument): void {
    const parsed = parseName(document);
    if (parsed !== undefined) this.#owners.set(parsed.name, parsed.user);
  }
}

function parseName(document: StoredDocument): ReservedName | undefined {
  const parsed = RECORD.safeParse(document.value);
  if (!parsed.success) return undefined;
  return { name: document.key.slice(PREFIX.length), user: parsed.data.user, reservedAt: parsed.data.reserved_at };
}
