/** `porthole-relay doctor`: looks at everything that keeps relays from working, and says what to do about each. */
import { PortholeError } from '@porthole/protocol';
import type { RelayConfig } from '../config/config.ts';
import { lookAtCertificates } from './doctor/look-at-certificates.ts';
import { lookAtClock, lookAtFileLimit } from './doctor/look-at-machine.ts';
import { isLocalDomain, lookAtDelegation, lookAtDomain } from './doctor/look-at-names.ts';
import { lookAtPorts } from './doctor/look-at-ports.ts';
import { lookAtStore } from './doctor/look-at-store.ts';
import { lookFromOutside } from './doctor/look-from-outside.ts';
import { type Machine, realMachine } from './doctor/machine.ts';
import { type Finding, ok, problem } from './doctor/problems.ts';
import { isLoopback } from '../config/loopback.ts';
import { type Flags, settle } from './settle.ts';
import type { World } from './world.ts';

/** 0 when the relay would work, 1 otherwise. */
export async function doctor(flags: Flags, world: World, machine: Machine = realMachine): Promise<number> {
  const clockUrl = typeof flags['clockUrl'] === 'string' ? flags['clockUrl'] : undefined;
  const findings = await examine(flags, world, machine, clockUrl);
  const faults = findings.filter(({ state }) => state === 'fault').length;
  const warnings = findings.filter(({ state }) => state === 'warning').length;
  if (flags['json'] === true) world.out(`${JSON.stringify({ faults, warnings, findings }, undefined, 2)}\n`);
  else {
    for (const finding of findings) world.out(inWords(finding));
    world.out(
      faults + warnings === 0 ? 'Nothing is wrong.\n' : `${count(faults, 'fault')}, ${count(warnings, 'warning')}.\n`,
    );
  }
  return faults === 0 ? 0 : 1;
}

async function examine(
  flags: Flags,
  world: World,
  machine: Machine,
  clockUrl: string | undefined,
): Promise<readonly Finding[]> {
  try {
    return await examineConfig(settle(flags, world).config, machine, clockUrl);
  } catch (error) {
    if (!(error instanceof PortholeError)) throw error;
    return [problem(error.code === 'CONFIG_INVALID' ? 'CONFIG_INVALID' : 'CONFIG_UNREADABLE', error.detail)];
  }
}

/** `clockUrl`: what to compare the clock with; by default the certificate authority, where there is one. */
export async function examineConfig(config: RelayConfig, machine: Machine, clockUrl?: string): Promise<Finding[]> {
  const findings: Finding[] = [
    ok('the configuration is valid'),
    await lookAtClock(clockUrl ?? config.tls?.acme?.directoryUrl, machine),
  ];
  findings.push(lookAtFileLimit(config, machine), ...(await lookAtStore(config, machine)));
  const ports = await lookAtPorts(config, machine);
  findings.push(...ports.findings, ...(await lookAtCertificates(config, machine)));
  for (const [index, domain] of config.domains.entries()) {
    const names = await lookAtDomain(domain, machine);
    findings.push(...names.findings);
    if (index === 0) findings.push(...lookAtUrl(config), ...(await lookFromOutside(config, names, ports, machine)));
  }
  return [...findings, ...(await lookAtDelegation(config, machine))];
}

function lookAtUrl(config: RelayConfig): Finding[] {
  const listen = config.tls?.listen ?? config.http;
  const isReachedDirectly = isLocalDomain(config.domains[0]) || config.publicUrl !== undefined || !isLoopback(listen);
  return isReachedDirectly ? [] : [problem('PUBLIC_URL_MISSING', 'the relay listens on a loopback address only')];
}

/** For people. */
export function inWords(finding: Finding): string {
  if (!('code' in finding)) return `${finding.state.padEnd(8)} ${finding.text}\n`;
  const { state, code, text, cause, remedy } = finding;
  const details = text.split('\n').map((line) => `         ${line}\n`);
  return `${state.padEnd(8)} ${cause} [${code}]\n${details.join('')}         -> ${remedy}\n`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
