/** `porthole-relay token …` */
import { PortholeError } from '@porthole/protocol';
import { parseNamePatterns, type Scope } from '../access/scope.ts';
import { checkUser, TokenRegistry } from '../access/token-registry.ts';
import type { TokenRecord } from '../access/token-record.ts';
import { formatPortRanges, parsePortRanges } from '../config/port-ranges.ts';
import type { Flags } from './settle.ts';
import { formatTable } from './table.ts';
import { withStore } from './with-store.ts';
import type { World } from './world.ts';

export async function addToken(user: string, flags: Flags, world: World): Promise<void> {
  checkUser(user);
  const scope = scopeOf(flags);
  await withStore(flags, world, async (store) => {
    const { printed, record } = await new TokenRegistry(store).create(user, scope);
    world.out(`${printed}\n`);
    world.note(`Token ${record.id} for ${user}. It cannot be shown again; \`porthole login <relay-url>\` wants it.`);
  });
}

export async function listTokens(flags: Flags, world: World): Promise<void> {
  const tokens = await withStore(flags, world, (store) => new TokenRegistry(store).list());
  if (flags['json'] === true) world.out(`${JSON.stringify(tokens.map(publicRecord), undefined, 2)}\n`);
  else world.out(formatTable(['ID', 'USER', 'NAMES', 'PORTS', 'TUNNELS', 'CREATED', 'STATE'], tokens.map(row)));
  if (tokens.length === 0) world.note('There are no tokens yet: porthole-relay token add <user>');
}

export async function revokeToken(id: string, flags: Flags, world: World): Promise<void> {
  const record = await withStore(flags, world, (store) => new TokenRegistry(store).revoke(id));
  if (record === undefined) throw new PortholeError('TOKEN_NOT_FOUND', JSON.stringify(id));
  world.note(`Token ${record.id} of ${record.user} is revoked; its sessions end within a second.`);
}

function scopeOf(flags: Flags): Scope {
  return {
    ...given(flags, '--names', 'names', parseNamePatterns, 'names with at most one * each, such as shop,dev-*'),
    ...given(flags, '--ports', 'ports', parsePortRanges, 'ports and port ranges such as 7000-7010,8000'),
    ...given(
      flags,
      '--max-tunnels',
      'maxTunnels',
      (text) => (/^\d{1,7}$/.test(text) ? Number(text) : undefined),
      'a whole number',
    ),
  };
}

function given<K extends keyof Scope>(
  flags: Flags,
  flag: string,
  key: K,
  parse: (text: string) => Scope[K],
  wanted: string,
): Pick<Scope, K> | object {
  const text = flags[key];
  if (typeof text !== 'string') return {};
  const value = parse(text);
  if (value === undefined) throw new PortholeError('USAGE', `${flag}: ${JSON.stringify(text)} is not ${wanted}`);
  return { [key]: value };
}

/** Without the hash: it is of no use to anybody. */
function publicRecord({ id, user, scope, createdAt, revokedAt }: TokenRecord): Omit<TokenRecord, 'hash'> {
  return { id, user, scope, createdAt, revokedAt };
}

function row({ id, user, scope, createdAt, revokedAt }: TokenRecord): string[] {
  const ports = scope.ports === undefined ? 'any' : formatPortRanges(scope.ports);
  const state = revokedAt === undefined ? 'valid' : `revoked ${revokedAt.slice(0, 10)}`;
  return [
    id,
    user,
    scope.names?.join(',') ?? 'any',
    ports,
    String(scope.maxTunnels ?? 'any'),
    createdAt.slice(0, 10),
    state,
  ];
}
