/** What `init` writes into the configuration: from its flags, and from a person at the terminal for what they leave open. */
import { isIP } from 'node:net';
import { PortholeError } from '@porthole/protocol';
import type { OptionPath } from '../config/options.ts';
import { isLocalDomain } from './doctor/look-at-names.ts';
import type { Flags } from './settle.ts';
import type { World } from './world.ts';

export type Settings = Partial<Record<OptionPath, string>>;

/** Who ends TLS: the relay itself, a program in front of it, or nobody (only where nothing leaves the machine). */
type Door = 'own' | 'front' | 'none';

const TCP_PORTS = '20000-20099';

/** Throws USAGE when something is missing and nobody can be asked. */
export async function settingsOf(flags: Flags, world: World): Promise<Settings> {
  const ask = flags['yes'] === true ? undefined : world.ask;
  const domain = await domainOf(flags, ask);
  const door = await doorOf(flags, domain, ask);
  const settings: Settings = { domain, ...(await doorSettings(door, domain, flags, ask)) };
  const tcpPorts = text(flags, 'tcpPorts') ?? (isIP(domain) === 0 ? undefined : TCP_PORTS);
  if (tcpPorts !== undefined) settings['tcp.ports'] = tcpPorts;
  // Without it they are opened where `http` is: on loopback.
  if (tcpPorts !== undefined && door === 'front') settings['tcp.address'] = '0.0.0.0';
  for (const [flag, path] of DIRECT) {
    const value = text(flags, flag);
    if (value !== undefined) settings[path] = value;
  }
  return settings;
}

const DIRECT: readonly (readonly [flag: string, path: OptionPath])[] = [
  ['http', 'http'],
  ['https', 'https'],
  ['publicUrl', 'public_url'],
  ['data', 'data'],
  ['email', 'acme.email'],
];

type Ask = World['ask'];

async function domainOf(flags: Flags, ask: Ask): Promise<string> {
  const given = text(flags, 'domain');
  if (given !== undefined) return given.trim().toLowerCase();
  if (ask === undefined)
    throw new PortholeError('USAGE', '--domain is missing, for example: --domain tunnel.example.com');
  const answer = await ask(
    'Domain of the relay (tunnels get names below it), or the public IP address of this machine: ',
  );
  if (answer.trim() === '') throw new PortholeError('NOT_ANSWERED', 'no domain was given');
  return answer.trim().toLowerCase();
}

async function doorOf(flags: Flags, domain: string, ask: Ask): Promise<Door> {
  if (flags['behindProxy'] === true) return 'front';
  if (text(flags, 'publicUrl') !== undefined) return text(flags, 'https') === undefined ? 'front' : 'own';
  if (isLocalDomain(domain)) return 'none';
  if (text(flags, 'email') !== undefined || text(flags, 'https') !== undefined || isIP(domain) !== 0) return 'own';
  if (ask === undefined)
    throw new PortholeError(
      'USAGE',
      '--email (for certificates) is missing; or say --behind-proxy if another program ends TLS',
    );
  const answer = await ask('Does another program here (nginx, Caddy, …) end TLS for the relay? [y/N] ');
  return /^y/i.test(answer.trim()) ? 'front' : 'own';
}

async function doorSettings(door: Door, domain: string, flags: Flags, ask: Ask): Promise<Settings> {
  switch (door) {
    case 'none':
      return {};
    case 'front':
      return { http: '127.0.0.1:8080', public_url: `https://${domain}`, trusted_proxies: '127.0.0.1' };
    case 'own': {
      const email = text(flags, 'email') ?? (await ask?.('E-mail address for the certificate authority: '))?.trim();
      if (email === undefined || email === '')
        throw new PortholeError('USAGE', 'certificates need an e-mail address: --email you@example.com');
      const zone: Settings =
        flags['wildcard'] === false || isIP(domain) !== 0 ? {} : { 'dns.zone': `_acme-challenge.${domain}` };
      return { http: ':80', https: ':443', 'acme.email': email, ...zone };
    }
  }
}

function text(flags: Flags, name: string): string | undefined {
  const value = flags[name];
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}
