/**
 * Domains that users bring: DNS is asked whether a name is theirs, the answer is kept in the store and asked for again
 * once a day. What proves it is bound to relay, user and name, so that one user's record is of no use to another.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { z } from 'zod';
import type { Store } from '../store/store.ts';
import type { Permission } from './access.ts';

export interface DomainDns {
  cname(name: string): Promise<readonly string[]>;
  txt(name: string): Promise<readonly string[]>;
}

export interface CustomDomainsOptions {
  readonly store: Store;
  readonly dns: DomainDns;
  /** The relay's domain under which proofs are host names. */
  readonly domain: string;
  readonly now?: () => number;
}

const PROOF_PREFIX = 'domains/proof/';
const SECRET_KEY = 'domains/secret';
const FRESH_MS = 24 * 3_600_000;
const RECORD = z.object({ identity: z.string(), checked_at_ms: z.number() });
const SECRET = z.object({ secret: z.string() });

export class CustomDomains {
  readonly #options: CustomDomainsOptions;
  readonly #now: () => number;
  /** One look-up per user and name at a time. */
  readonly #checking = new Map<string, Promise<boolean>>();
  #secret: string | undefined;

  constructor(options: CustomDomainsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Whether the identity may use the name, asking DNS unless that was done lately; DOMAIN_NOT_PROVEN says what to set. */
  async prove(identity: string, name: string): Promise<Permission> {
    const standing = await this.#standing(name);
    const isFresh = standing?.identity === identity && this.#now() - standing.checked_at_ms < FRESH_MS;
    if (isFresh || (await this.#check(identity, name))) return { ok: true };
    const proof = await this.#proof(identity, name);
    const { domain } = this.#options;
    const text = `_porthole.${name} TXT ${proof}`;
    // Below an address there are no names that a CNAME could lead to.
    const detail =
      isIP(domain) === 0
        ? `set ${name} CNAME ${proof}.${domain} or, where it already leads here, ${text}`
        : `let ${name} lead to ${domain}, and set ${text}`;
    return { ok: false, code: 'DOMAIN_NOT_PROVEN', detail };
  }

  /** Whose the name is, proven not long ago; undefined when it is nobody's. */
  async ownerOf(name: string): Promise<string | undefined> {
    const standing = await this.#standing(name);
    if (standing === undefined) return undefined;
    if (this.#now() - standing.checked_at_ms < FRESH_MS) return standing.identity;
    return (await this.#check(standing.identity, name)) ? standing.identity : undefined;
  }

  async #check(identity: string, name: string): Promise<boolean> {
    const key = `${name}\0${identity}`;
    const known = this.#checking.get(key);
    if (known !== undefined) return await known;
    const check = this.#ask(identity, name).finally(() => this.#checking.delete(key));
    this.#checking.set(key, check);
    return await check;
  }

  async #ask(identity: string, name: string): Promise<boolean> {
    const { dns, domain, store } = this.#options;
    const proof = await this.#proof(identity, name);
    const [targets, texts] = await Promise.all([answersOf(dns.cname(name)), answersOf(dns.txt(`_porthole.${name}`))]);
    const isProven =
      targets.some((target) => target.toLowerCase().replace(/\.$/, '') === `${proof}.${domain}`) ||
      texts.includes(proof);
    if (isProven) await store.put(PROOF_PREFIX + name, { identity, checked_at_ms: this.#now() });
    return isProven;
  }

  async #standing(name: string): Promise<z.infer<typeof RECORD> | undefined> {
    return RECORD.safeParse((await this.#options.store.get(PROOF_PREFIX + name))?.value).data;
  }

  /** A label of a host name, too long to guess. */
  async #proof(identity: string, name: string): Promise<string> {
    const hash = createHmac('sha256', await this.#loadSecret()).update(`${identity}\0${name}`);
    return `proof-${hash.digest('hex').slice(0, 32)}`;
  }

  async #loadSecret(): Promise<string> {
    for (;;) {
      this.#secret ??= SECRET.safeParse((await this.#options.store.get(SECRET_KEY))?.value).data?.secret;
      if (this.#secret !== undefined) return this.#secret;
      await this.#options.store.put(SECRET_KEY, { secret: randomBytes(32).toString('base64url') }, 0);
    }
  }
}

/** A name without the record and a server that fails prove the same: nothing. */
async function answersOf(question: Promise<readonly string[]>): Promise<readonly string[]> {
  return await question.catch(() => []);
}

/** Asks DNS servers (`address:port`); none: those of the system. */
export function systemDns(servers: readonly string[]): DomainDns {
  const resolver = new Resolver({ timeout: 3_000, tries: 2 });
  if (servers.length > 0) resolver.setServers([...servers]);
  return {
    cname: async (name) => await resolver.resolveCname(name),
    txt: async (name) => (await resolver.resolveTxt(name)).map((parts) => parts.join('')),
  };
}
