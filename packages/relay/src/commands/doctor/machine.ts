/** What the doctor asks of the machine and its surroundings, so that tests can be another machine. */
import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { NODATA, NOTFOUND, Resolver } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import type { PortRange } from '../../config/port-ranges.ts';

export interface Machine {
  /** All addresses of a name as the DNS has them; empty when it has none. Rejects when no name server answers. */
  resolve(host: string): Promise<readonly string[]>;
  /** Host names in NS or CNAME records, lower case; empty when there are none. Rejects likewise. */
  resolveType(name: string, type: 'NS' | 'CNAME'): Promise<readonly string[]>;
  /** Of its interfaces, loopback ones included. */
  addresses(): readonly string[];
  /** Bytes of the file system a folder is on. */
  space(folder: string): Promise<{ readonly free: number; readonly total: number }>;
  /** How many files this process may have open; undefined where the system does not say. */
  openFiles(): number | undefined;
  /** Ports the system gives outgoing connections. */
  outgoingPorts(): PortRange | undefined;
  now(): number;
  /** More authorities to trust, PEM. */
  readonly ca?: string;
}

const RESOLVE_LIMIT_MS = 3000;

export const realMachine: Machine = {
  resolve: resolveBoth,
  resolveType: async (name, type) => {
    const resolver = newResolver();
    const found = await orNone(type === 'NS' ? resolver.resolveNs(name) : resolver.resolveCname(name));
    return found.map((host) => host.toLowerCase().replace(/\.$/, ''));
  },
  addresses: () =>
    Object.values(networkInterfaces())
      .flat()
      .flatMap((entry) => (entry === undefined ? [] : [entry.address])),
  space: async (folder) => {
    const { bavail, blocks, bsize } = await statfs(folder);
    return { free: bavail * bsize, total: blocks * bsize };
  },
  openFiles: () => {
    const limit = /^Max open files\s+(\d+)/m.exec(readIfThere('/proc/self/limits'))?.[1];
    return limit === undefined ? undefined : Number(limit);
  },
  outgoingPorts: () => {
    const [first, last] = readIfThere('/proc/sys/net/ipv4/ip_local_port_range').trim().split(/\s+/).map(Number);
    return first === undefined || last === undefined || Number.isNaN(first) ? undefined : { first, last };
  },
  now: () => Date.now(),
};

/** The DNS itself, and not /etc/hosts, which visitors do not have. */
async function resolveBoth(host: string): Promise<string[]> {
  const resolver = newResolver();
  const found = await Promise.all([orNone(resolver.resolve4(host)), orNone(resolver.resolve6(host))]);
  return found.flat();
}

function newResolver(): Resolver {
  return new Resolver({ timeout: RESOLVE_LIMIT_MS, tries: 2 });
}

async function orNone(asked: Promise<string[]>): Promise<string[]> {
  try {
    return await asked;
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === NODATA || code === NOTFOUND) return [];
    throw cause;
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
