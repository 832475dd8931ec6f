/** The domain and its DNS records, against the addresses of this machine. */
import { randomBytes } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import type { RelayConfig } from '../../config/config.ts';
import { delegationOf } from '../../tls/dns-delegation.ts';
import type { Machine } from './machine.ts';
import { type Finding, ok, problem } from './problems.ts';

/** Registries below which everybody's domains are, by shape; the whole list of them has 10,000 entries. */
const SHARED_SHAPE = /^(?:ac|co|com|edu|go|gov|ne|net|nom|or|org)\.[a-z]{2}$/;
const SHARED = new Set([
  'duckdns.org',
  'dyndns.org',
  'github.io',
  'gitlab.io',
  'herokuapp.com',
  'netlify.app',
  'no-ip.org',
  'pages.dev',
  'vercel.app',
  'workers.dev',
]);

export function isLocalDomain(domain: string): boolean {
  return domain === 'localhost' || domain.endsWith('.localhost');
}

export interface DomainFindings {
  readonly findings: Finding[];
  /** Where the domain leads; empty when that is unknown. */
  readonly addresses: readonly string[];
  /** A subdomain nobody has claimed. */
  readonly sample: string;
}

export async function lookAtDomain(domain: string, machine: Machine): Promise<DomainFindings> {
  const sample = `porthole-doctor-${randomBytes(4).toString('hex')}.${domain}`;
  if (isLocalDomain(domain))
    return { findings: [ok(`*.${domain} leads to this machine, for browsers on it`)], addresses: [], sample };
  if (isIP(domain) !== 0)
    return { findings: [lookAtAddress(domain, machine.addresses())], addresses: [domain], sample: domain };
  const shape = unusable(domain);
  if (shape !== undefined) return { findings: [problem('DOMAIN_UNUSABLE', shape)], addresses: [], sample };
  try {
    const [own, below] = await Promise.all([machine.resolve(domain), machine.resolve(sample)]);
    return { findings: compare(domain, own, below, machine.addresses()), addresses: own, sample };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return { findings: [problem('RESOLVER_UNREACHABLE', why)], addresses: [], sample };
  }
}

/** A relay without a domain is known by its address. */
function lookAtAddress(address: string, here: readonly string[]): Finding {
  return here.includes(address)
    ? ok(`${address} is an address of this machine`)
    : foreignAddress('the relay', [address], here);
}

/** The record by which the relay may prove wildcard certificates itself. */
export async function lookAtDelegation({ domains, tls }: RelayConfig, machine: Machine): Promise<Finding[]> {
  if (tls?.dns === undefined) return [];
  const { zone, nameServer } = tls.dns;
  const { name, type, value } = delegationOf(zone, domains[0], nameServer);
  const wanted = `${name} ${type} ${value}`;
  try {
    const found = await machine.resolveType(name, type);
    if (found.includes(value)) return [ok(`${wanted} is there`)];
    return [
      problem('DELEGATION_MISSING', `${wanted} is not there${found.length > 0 ? `; ${found.join(', ')} is` : ''}`),
    ];
  } catch (cause) {
    return [problem('RESOLVER_UNREACHABLE', cause instanceof Error ? cause.message : String(cause))];
  }
}

function unusable(domain: string): string | undefined {
  if (!domain.includes('.')) return `${domain} is one label: nobody outside can look it up`;
  if (SHARED.has(domain) || SHARED_SHAPE.test(domain)) return `everybody can have names below ${domain}`;
  return undefined;
}

function compare(domain: string, own: readonly string[], below: readonly string[], here: readonly string[]): Finding[] {
  const findings: Finding[] = [];
  const foreign = own.filter((address) => !here.includes(address));
  if (own.length === 0) findings.push(problem('DNS_MISSING', `${domain} has neither an A nor an AAAA record`));
  else if (foreign.length > 0) findings.push(foreignAddress(domain, foreign, here));
  else findings.push(ok(`${domain} leads to this machine (${own.join(', ')})`));
  const stray = below.filter((address) => !here.includes(address) && !own.includes(address));
  if (below.length === 0) findings.push(problem('WILDCARD_MISSING', `*.${domain} has no address`));
  else if (stray.length > 0)
    findings.push(problem('WILDCARD_WRONG_ADDRESS', `*.${domain} leads to ${stray.join(', ')}`));
  else findings.push(ok(`*.${domain} leads there as well`));
  return findings;
}

/** A machine that has a public address of that family is expected at it; behind a router nobody can know. */
function foreignAddress(domain: string, foreign: readonly string[], here: readonly string[]): Finding {
  const certain = foreign.filter((address) => here.some((own) => isIP(own) === isIP(address) && isPublic(own)));
  const shown = here.filter((address) => !isPrivate(address, LOOPBACK)).join(', ');
  const text = `${domain} leads to ${foreign.join(', ')}, this machine has ${shown === '' ? 'only loopback addresses' : shown}`;
  return problem(certain.length > 0 ? 'DNS_WRONG_ADDRESS' : 'ADDRESS_UNCERTAIN', text);
}

const LOOPBACK: readonly string[] = ['127.0.0.0/8', '::1/128', 'fe80::/10'];
const PRIVATE: readonly string[] = [
  ...LOOPBACK,
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
  'fc00::/7',
];

/** Not a loopback, link-local or private one. */
export function isPublic(address: string): boolean {
  return !isPrivate(address, PRIVATE);
}

function isPrivate(address: string, blocks: readonly string[]): boolean {
  const list = new BlockList();
  for (const block of blocks) {
    const [net = '', bits = ''] = block.split('/');
    list.addSubnet(net, Number(bits), isIP(net) === 4 ? 'ipv4' : 'ipv6');
  }
  return isIP(address) !== 0 && list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
}
