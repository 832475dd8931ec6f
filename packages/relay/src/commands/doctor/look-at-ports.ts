/** The ports the relay listens on: are they free, may we have them, do they lead anywhere. */
import { createServer, isIP } from 'node:net';
import { type ListenAddress, listenOptions, type RelayConfig } from '../../config/config.ts';
import { isLoopback, isLoopbackHost } from '../../config/loopback.ts';
import { formatPortRanges, type PortRange } from '../../config/port-ranges.ts';
import { printListenAddress } from '../../config/scalars.ts';
import type { Machine } from './machine.ts';
import { type Finding, ok, problem, skipped } from './problems.ts';
import { isRelay } from './probe.ts';

export interface PortFindings {
  readonly findings: Finding[];
  /** A relay, presumably this one, runs already. */
  readonly running: boolean;
  /** The public addresses can be listened on just now. */
  readonly free: boolean;
}

const MAX_PORTS_TRIED = 4096;
const TRIED_AT_ONCE = 64;

export async function lookAtPorts(config: RelayConfig, machine: Machine): Promise<PortFindings> {
  const why = await whyNotFree(config.http);
  const running = why === 'EADDRINUSE' && (await isRelay(config.http, config.domains[0]));
  const findings = [
    running ? ok(`http ${printListenAddress(config.http)}: a relay runs there`) : state('http', config.http, why),
  ];
  const tlsWhy = config.tls === undefined ? undefined : await whyNotFree(config.tls.listen);
  if (config.tls !== undefined)
    findings.push(state('https', config.tls.listen, running && tlsWhy === 'EADDRINUSE' ? undefined : tlsWhy));
  if (config.tls?.dns !== undefined) {
    const dnsWhy = await whyNotFree(config.tls.dns.listen);
    findings.push(state('dns.listen', config.tls.dns.listen, running && dnsWhy === 'EADDRINUSE' ? undefined : dnsWhy));
  }
  if (config.admin !== undefined) {
    const adminWhy = await whyNotFree(config.admin);
    // A relay that runs has its admin address, too.
    findings.push(state('admin', config.admin, running && adminWhy === 'EADDRINUSE' ? undefined : adminWhy));
    if (!isLoopback(config.admin)) findings.push(problem('ADMIN_EXPOSED', `admin ${printListenAddress(config.admin)}`));
  }
  findings.push(...(await lookAtTcpPorts(config, machine, running)));
  return { findings, running, free: why === undefined && tlsWhy === undefined };
}

async function lookAtTcpPorts(
  { tcp, http, domains }: RelayConfig,
  machine: Machine,
  running: boolean,
): Promise<Finding[]> {
  if (tcp.ports.length === 0)
    return domains.every((domain) => isIP(domain) !== 0) ? [problem('NO_PORTS', domains.join(', '))] : [];
  const findings: Finding[] = [];
  const host = tcp.address;
  if (host !== undefined && isLoopbackHost(host) && isLoopback(http) && tcp.address === http.host)
    findings.push(problem('TCP_ON_LOOPBACK', `${formatPortRanges(tcp.ports)} on ${host}`));
  const outgoing = machine.outgoingPorts();
  if (outgoing !== undefined && tcp.ports.some(({ first, last }) => first <= outgoing.last && last >= outgoing.first))
    findings.push(
      problem(
        'TCP_PORTS_EPHEMERAL',
        `the system uses ${outgoing.first}-${outgoing.last}, \`tcp.ports\` is ${formatPortRanges(tcp.ports)}`,
      ),
    );
  if (running)
    return [...findings, skipped('tcp.ports: which of them are free shows only when the relay does not run')];
  const taken = await takenPorts(tcp.ports, host);
  if (taken.length > 0) findings.push(problem('TCP_PORTS_TAKEN', taken.slice(0, 20).join(', ')));
  else findings.push(ok(`tcp.ports ${formatPortRanges(tcp.ports)} are free`));
  return findings;
}

async function takenPorts(ranges: readonly PortRange[], host: string | undefined): Promise<number[]> {
  const ports = ranges
    .flatMap(({ first, last }) =>
      Array.from({ length: Math.min(last - first + 1, MAX_PORTS_TRIED) }, (_, i) => first + i),
    )
    .slice(0, MAX_PORTS_TRIED);
  const taken: number[] = [];
  for (let at = 0; at < ports.length; at += TRIED_AT_ONCE) {
    const some = ports.slice(at, at + TRIED_AT_ONCE);
    const whys = await Promise.all(some.map((port) => whyNotFree(host === undefined ? { port } : { host, port })));
    taken.push(...some.filter((_, index) => whys[index] === 'EADDRINUSE'));
  }
  return taken;
}

function state(name: string, address: ListenAddress, why: string | undefined): Finding {
  const where = `${name} ${printListenAddress(address)}`;
  switch (why) {
    case undefined:
      return ok(`${where} can be listened on`);
    case 'EADDRINUSE':
      return problem('PORT_TAKEN', where);
    case 'EACCES':
      return problem('PORT_NOT_ALLOWED', where);
    case 'EADDRNOTAVAIL':
      return problem('ADDRESS_NOT_HERE', where);
    default:
      return problem('ADDRESS_NOT_HERE', `${where} (${why})`);
  }
}

/** The system's reason, or undefined when the address can be had. */
export function whyNotFree(address: ListenAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    server.listen(listenOptions(address), () => server.close(() => resolve(undefined)));
  });
}
