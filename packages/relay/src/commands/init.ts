/** `porthole-relay init`: a configuration file to read and change, a token to begin with, and what is left to be done. */
import { existsSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { PortholeError } from '@porthole/protocol';
import { TokenRegistry } from '../access/token-registry.ts';
import { publicUrlOf, type RelayConfig } from '../config/config.ts';
import { isLoopback } from '../config/loopback.ts';
import { formatPortRanges } from '../config/port-ranges.ts';
import { loadConfig } from '../config/load-config.ts';
import { commentedFile } from '../config/option-docs.ts';
import { delegationOf } from '../tls/dns-delegation.ts';
import { isLocalDomain, isPublic } from './doctor/look-at-names.ts';
import { type Machine, realMachine } from './doctor/machine.ts';
import { examineConfig, inWords } from './doctor.ts';
import { whyNotFree } from './doctor/look-at-ports.ts';
import { type Settings, settingsOf } from './init-answers.ts';
import type { Flags } from './settle.ts';
import { addToken } from './tokens.ts';
import { withStore } from './with-store.ts';
import type { World } from './world.ts';

/** The token goes to standard output, alone; everything else beside it. */
export async function init(flags: Flags, world: World, machine: Machine = realMachine): Promise<void> {
  const given = String(flags['config']);
  const file = resolve(world.cwd, given);
  const isForced = flags['force'] === true;
  // Before anybody is asked anything.
  if (!isForced && existsSync(file)) throw exists(file);
  const text = commentedFile(await withOwnDns(await settingsOf(flags, world), machine));
  // What is written must be what can be read.
  const { config } = loadConfig({ file: { path: file, text }, workingDir: world.cwd });
  writeFile(file, text, isForced);
  world.note(`Wrote ${file}.`);
  await firstToken(flags, file, world);
  if (flags['checks'] !== false) await check(config, machine, world);
  for (const line of [...recordLines(config, machine), ...nextLines(config, given)]) world.note(line);
}

/** A resolver of the system often has port 53 on a loopback address, so that it cannot be had on all of them. */
async function withOwnDns(settings: Settings, machine: Machine): Promise<Settings> {
  if (settings['dns.zone'] === undefined || (await whyNotFree({ port: 53 })) !== 'EADDRINUSE') return settings;
  const outside = machine.addresses().filter((address) => isIP(address) === 4 && !address.startsWith('127.'));
  const address = outside.find(isPublic) ?? outside[0];
  return address === undefined ? settings : { ...settings, 'dns.listen': `${address}:53` };
}

/** A relay that is set up anew keeps the tokens it has. */
async function firstToken(flags: Flags, file: string, world: World): Promise<void> {
  const store = { config: file };
  const tokens = await withStore(store, world, (opened) => new TokenRegistry(opened).list());
  if (tokens.some((token) => token.revokedAt === undefined))
    world.note('There are tokens already; no new one was made.');
  else await addToken(String(flags['user']), store, world);
}

async function check(config: RelayConfig, machine: Machine, world: World): Promise<void> {
  const findings = await examineConfig(config, machine);
  const problems = findings.filter((finding) => 'code' in finding);
  if (problems.length === 0) return world.note('Checked DNS, ports, clock, files and data folder: nothing is wrong.');
  world.note('');
  world.note('Before it works (`porthole-relay doctor` looks again at any time):');
  for (const finding of problems) world.note(inWords(finding).trimEnd());
}

function recordLines(config: RelayConfig, machine: Machine): string[] {
  const [domain] = config.domains;
  if (isLocalDomain(domain) || isIP(domain) !== 0) return [];
  const addresses = machine.addresses().filter(isPublic);
  const shown = addresses.length > 0 ? addresses : ['<public address of this machine>'];
  const records = shown.flatMap((address) => {
    const type = isIP(address) === 6 ? 'AAAA' : 'A';
    return [domain, `*.${domain}`].map((name): readonly [string, string, string] => [name, type, address]);
  });
  const dns = config.tls?.dns;
  if (dns !== undefined) {
    const { name, type, value } = delegationOf(dns.zone, domain, dns.nameServer);
    records.push([name, type, value]);
  }
  const width = Math.max(...records.map(([name]) => name.length));
  return [
    '',
    'DNS records to make, at whoever runs the DNS of the domain:',
    ...records.map(([name, type, value]) => `  ${name.padEnd(width)}  ${type.padEnd(5)}  ${value}`),
  ];
}

function portLine({ http, tls, tcp }: RelayConfig): string {
  const ports = [http, tls?.listen].flatMap((address) =>
    address === undefined || isLoopback(address) ? [] : [`${address.port}/tcp`],
  );
  if (tls?.dns !== undefined) ports.push(`${tls.dns.listen.port}/tcp`, `${tls.dns.listen.port}/udp`);
  if (tcp.ports.length > 0) ports.push(`${formatPortRanges(tcp.ports)}/tcp`);
  return ports.length === 0 ? '' : `Ports to open in firewalls: ${ports.join(', ')}`;
}

function nextLines(config: RelayConfig, file: string): string[] {
  const url = publicUrlOf(config, config.domains[0], { http: config.http.port, https: config.tls?.listen.port });
  const ports = portLine(config);
  return [
    ...(ports === '' ? [] : ['', ports]),
    '',
    'Then, here and on the machine with your service:',
    `  porthole-relay serve --config ${file}`,
    `  porthole login ${url} && porthole http 3000`,
  ];
}

function writeFile(file: string, text: string, isForced: boolean): void {
  try {
    // Readable by others on purpose: there is no secret in it.
    writeFileSync(file, text, { flag: isForced ? 'w' : 'wx' });
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') throw exists(file, cause);
    throw new PortholeError('FILE_UNREADABLE', `${file} cannot be written`, { cause });
  }
}

function exists(file: string, cause?: unknown): PortholeError {
  return new PortholeError('FILE_EXISTS', `${file}: --config gives another, --force overwrites it`, { cause });
}
