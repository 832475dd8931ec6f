/** Tokens by relay, as `porthole login` stores them: `$XDG_CONFIG_HOME/porthole/credentials.json`, for the owner only. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { PortholeError } from '@porthole/agent';
import { z } from 'zod';
import { readIfThere, writeSecretFile } from './files.ts';

const fileSchema = z.object({
  /** The relay logged in to last, which commands use when none is named. */
  last: z.string().optional(),
  relays: z.record(z.string(), z.object({ token: z.string() })),
});

type CredentialFile = z.infer<typeof fileSchema>;

const MAX_BYTES = 1024 * 1024;

export function credentialsPath(env: Readonly<Record<string, string | undefined>>, home: string): string {
  const base = env['XDG_CONFIG_HOME'] ?? '';
  return join(base.startsWith('/') ? base : join(home, '.config'), 'porthole', 'credentials.json');
}

export class Credentials {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  get path(): string {
    return this.#path;
  }

  last(): string | undefined {
    return this.#read().last;
  }

  relays(): string[] {
    return Object.keys(this.#read().relays);
  }

  token(relay: string): string | undefined {
    const { relays } = this.#read();
    return Object.hasOwn(relays, relay) ? relays[relay]?.token : undefined;
  }

  store(relay: string, token: string): void {
    const { relays } = this.#read();
    this.#write({ last: relay, relays: { ...relays, [relay]: { token } } });
  }

  /** False when there was nothing to forget. */
  forget(relay: string): boolean {
    const file = this.#read();
    if (!Object.hasOwn(file.relays, relay)) return false;
    const relays = Object.fromEntries(Object.entries(file.relays).filter(([url]) => url !== relay));
    const last = file.last === relay ? Object.keys(relays).at(-1) : file.last;
    this.#write({ ...(last === undefined ? {} : { last }), relays });
    return true;
  }

  #read(): CredentialFile {
    const text = readIfThere(this.#path, MAX_BYTES);
    if (text === undefined) return { relays: {} };
    try {
      return fileSchema.parse(JSON.parse(text));
    } catch (cause) {
      throw new PortholeError('CONFIG_INVALID', `${this.#path} is damaged; remove it and log in again`, { cause });
    }
  }

  #write(file: CredentialFile): void {
    if (Object.keys(file.relays).length === 0) rmSync(this.#path, { force: true });
    else writeSecretFile(this.#path, `${JSON.stringify(file, undefined, 2)}\n`);
  }
}
