/** A token as it lies in the store, and the way there and back. */
import { z } from 'zod';
import type { JsonValue, StoredDocument } from '../store/store.ts';
import type { Scope } from './scope.ts';

export interface TokenRecord {
  readonly id: string;
  readonly user: string;
  /** SHA-256 of the secret, hex. */
  readonly hash: string;
  readonly scope: Scope;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly revokedAt?: string | undefined;
}

const port = z.number().int().min(1).max(65_535);

const RECORD = z.object({
  user: z.string(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  names: z.array(z.string()).optional(),
  ports: z.array(z.object({ first: port, last: port })).optional(),
  max_tunnels: z.number().int().min(0).optional(),
  created_at: z.string(),
  revoked_at: z.string().optional(),
});

export function encodeTokenRecord({ user, hash, scope, createdAt, revokedAt }: TokenRecord): JsonValue {
  return {
    user,
    hash,
    ...(scope.names === undefined ? {} : { names: scope.names }),
    ...(scope.ports === undefined ? {} : { ports: scope.ports.map(({ first, last }) => ({ first, last })) }),
    ...(scope.maxTunnels === undefined ? {} : { max_tunnels: scope.maxTunnels }),
    created_at: createdAt,
    ...(revokedAt === undefined ? {} : { revoked_at: revokedAt }),
  };
}

/** Undefined for a document that is no token record: it then vouches for nobody. */
export function parseTokenRecord(document: StoredDocument): TokenRecord | undefined {
  const parsed = RECORD.safeParse(document.value);
  if (!parsed.success) return undefined;
  const {
    user,
    hash,
    names,
    ports,
    max_tunnels: maxTunnels,
    created_at: createdAt,
    revoked_at: revokedAt,
  } = parsed.data;
  const scope = {
    ...(names === undefined ? {} : { names }),
    ...(ports === undefined ? {} : { ports }),
    ...(maxTunnels === undefined ? {} : { maxTunnels }),
  };
  const id = document.key.slice(document.key.lastIndexOf('/') + 1);
  return { id, user, hash, scope, createdAt, ...(revokedAt === undefined ? {} : { revokedAt }) };
}
