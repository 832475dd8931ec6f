/** Access by tokens: what every relay uses that others can reach. */
import type { Access, Authenticated, Denied, Permission } from './access.ts';
import { RESERVED_LABELS } from './reserved-labels.ts';
import type { ReservedNames } from './reserved-names.ts';
import { allowsName, allowsPort, fitName } from './scope.ts';
import type { TokenRegistry } from './token-registry.ts';

export class TokenAccess implements Access {
  readonly #tokens: TokenRegistry;
  readonly #names: ReservedNames;

  constructor(tokens: TokenRegistry, names: ReservedNames) {
    this.#tokens = tokens;
    this.#names = names;
  }

  async authenticate(token: string | undefined): Promise<Authenticated | Denied> {
    const check = await this.#tokens.check(token);
    if (!check.ok) return { ok: false, code: check.code, detail: '' };
    return { ok: true, identity: check.token.user, tokenId: check.token.id, scope: check.token.scope };
  }

  mayUseName(who: Authenticated, name: string): Permission {
    const owner = this.#names.ownerOf(name);
    const free = owner === undefined ? !RESERVED_LABELS.has(name) : owner === who.identity;
    if (!free) return { ok: false, code: 'NAME_RESERVED', detail: name };
    return allowsName(who.scope, name) ? { ok: true } : { ok: false, code: 'NAME_NOT_ALLOWED', detail: name };
  }

  mayUsePort(who: Authenticated, port: number): Permission {
    return allowsPort(who.scope, port) ? { ok: true } : { ok: false, code: 'PORT_NOT_ALLOWED', detail: `port ${port}` };
  }

  fitName(who: Authenticated, random: string): string | undefined {
    return fitName(who.scope, random);
  }

  onRevoked(listener: (tokenId: string) => void): () => void {
    return this.#tokens.onRevoked(listener);
  }
}
