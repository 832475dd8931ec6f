/**
 * Who may do what: turns a token into an identity and says which names and ports it may use. Everybody else asks
 * here and never looks at tokens or reservations.
 */
import type { ErrorCode } from '@porthole/protocol';
import type { Scope } from './scope.ts';

/** Whoever came with a valid token. */
export interface Authenticated {
  readonly ok: true;
  /** The user the token belongs to: leases and reservations are theirs. */
  readonly identity: string;
  /** Absent on an open relay. Not secret: fit for logs. */
  readonly tokenId?: string;
  readonly scope: Scope;
}

export interface Denied {
  readonly ok: false;
  readonly code: ErrorCode;
  readonly detail: string;
}

export type Permission = { readonly ok: true } | Denied;

export interface Access {
  /**
   * TOKEN_MISSING, TOKEN_INVALID or TOKEN_REVOKED when denied. Asynchronous, because a token made a moment ago by
   * another process is looked up in the store. Rejects with STORE_FAILED.
   */
  authenticate(token: string | undefined): Promise<Authenticated | Denied>;
  /** NAME_RESERVED or NAME_NOT_ALLOWED when denied. `name` has been through `parseName`. */
  mayUseName(who: Authenticated, name: string): Permission;
  /** PORT_NOT_ALLOWED when denied. Whether the relay offers the port at all is the port pool's business. */
  mayUsePort(who: Authenticated, port: number): Permission;
  /** A made-up name fitted into what the token allows; undefined when its names leave no room. */
  fitName(who: Authenticated, random: string): string | undefined;
  /** Called within a second of a revocation, by whichever process. Returns the way to stop. */
  onRevoked(listener: (tokenId: string) => void): () => void;
}
