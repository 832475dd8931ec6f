/** The public address, visited as a visitor and as an agent would: does it lead here, and what does it do on the way. */
import { randomBytes } from 'node:crypto';
import { CARRIER_PATH, WEBSOCKET_PROTOCOL } from '@porthole/protocol';
import { type ListenAddress, publicUrlOf, type RelayConfig } from '../../config/config.ts';
import { isLoopback } from '../../config/loopback.ts';
import { TrustedAddresses } from '../../edge/trusted-addresses.ts';
import { type DomainFindings, isLocalDomain } from './look-at-names.ts';
import type { PortFindings } from './look-at-ports.ts';
import type { Machine } from './machine.ts';
import { probe, type ProbeAnswer, type ProbeTarget, type ServedCertificateFacts } from './probe.ts';
import { type Finding, ok, problem, skipped } from './problems.ts';
import { readWord, type SeenByStandIn, type StandIn, startRawStandIn, startStandIn } from './stand-in.ts';

const MAX_ADDRESSES = 4;
const SOON_MS = 14 * 86_400_000;
const OWN_ADDRESS = /This is a Porthole relay/;
const WEBSOCKET = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Protocol': WEBSOCKET_PROTOCOL,
} as const;

export async function lookFromOutside(
  config: RelayConfig,
  names: DomainFindings,
  ports: PortFindings,
  machine: Machine,
): Promise<Finding[]> {
  const [domain] = config.domains;
  if (isLocalDomain(domain)) return [];
  if (names.addresses.length === 0) return [skipped('from outside: the domain has no address to try')];
  if (!ports.running && !ports.free) return [skipped('from outside: nothing can listen there to be found')];
  if (!ports.running && config.tls !== undefined) return lookAtBarePort(config.tls.listen, names.addresses);
  const standIn = ports.free ? await startStandIn(config.http) : undefined;
  try {
    const findings: Finding[] = [];
    for (const address of names.addresses.slice(0, MAX_ADDRESSES))
      findings.push(...(await new Look(config, names.sample, address, standIn, machine).all()));
    return findings;
  } finally {
    await standIn?.close();
  }
}

/** Where the relay itself would end TLS: without it there is only the port to look at. */
async function lookAtBarePort(listen: ListenAddress, addresses: readonly string[]): Promise<Finding[]> {
  const standIn = await startRawStandIn(listen);
  try {
    const findings: Finding[] = [];
    for (const address of addresses.slice(0, MAX_ADDRESSES)) {
      const where = placeOf(address, standIn.port);
      try {
        const isOurs = (await readWord(address, standIn.port)) === standIn.word;
        findings.push(
          isOurs ? ok(`${where} leads to this machine`) : problem('ANOTHER_SERVER', `${where} is not this machine`),
        );
      } catch (error) {
        findings.push(unreachable(error, where, false));
      }
    }
    return [...findings, skipped('the certificate: run the doctor again when the relay runs')];
  } finally {
    await standIn.close();
  }
}

function placeOf(address: string, port: number): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function unreachable(error: unknown, where: string, secure: boolean): Finding {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const isLate = code === 'ABORT_ERR' || (error instanceof Error && error.name === 'TimeoutError');
  const why = isLate ? 'no answer in 5 s' : error instanceof Error ? error.message : String(error);
  const isTls = secure && (code.startsWith('ERR_SSL') || code === 'EPROTO' || code === 'ECONNRESET');
  return problem(isTls ? 'TLS_FAILED' : 'NOT_REACHABLE', `${where}: ${why}`);
}

class Look {
  readonly #config: RelayConfig;
  readonly #sample: string;
  readonly #standIn: StandIn | undefined;
  readonly #machine: Machine;
  readonly #target: Omit<ProbeTarget, 'host'>;
  readonly #where: string;

  constructor(config: RelayConfig, sample: string, address: string, standIn: StandIn | undefined, machine: Machine) {
    this.#config = config;
    this.#sample = sample;
    this.#standIn = standIn;
    this.#machine = machine;
    const bound = { http: standIn?.port ?? config.http.port, https: config.tls?.listen.port };
    const url = new URL(publicUrlOf(config, config.domains[0], bound));
    const secure = url.protocol === 'https:';
    const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
    this.#target = { secure, address, port, ca: machine.ca };
    this.#where = placeOf(address, port);
  }

  async all(): Promise<Finding[]> {
    const own = this.#config.publicUrl?.host ?? this.#config.domains[0];
    let atSample: ProbeAnswer;
    let atOwn: ProbeAnswer;
    try {
      atSample = await this.#visit(this.#sample);
      atOwn = await this.#visit(own);
    } catch (error) {
      return [unreachable(error, this.#where, this.#target.secure)];
    }
    const findings = [
      ...this.#certificate(atOwn.certificate, own),
      ...this.#certificate(atSample.certificate, this.#sample),
    ];
    if (!this.#isOurs(atSample) || !this.#isOurs(atOwn)) {
      const stranger = this.#isOurs(atSample) ? atOwn : atSample;
      const server = stranger.headers['server'];
      const who = typeof server === 'string' ? ` (${server.slice(0, 60)})` : '';
      return [
        ...findings,
        problem(
          'ANOTHER_SERVER',
          `${this.#where} answers ${stranger.status}${who} for ${this.#hostOf(stranger === atOwn ? own : this.#sample)}`,
        ),
      ];
    }
    findings.push(ok(`${this.#where} leads to ${this.#standIn === undefined ? 'a relay' : 'this machine'}`));
    findings.push(this.#hostField(atSample, atOwn), await this.#upgrade(own));
    findings.push(...this.#forwarding(atSample));
    return findings;
  }

  #visit(host: string): Promise<ProbeAnswer> {
    return probe({ ...this.#target, host }, '/', { Accept: 'application/json' });
  }

  #hostOf(host: string): string {
    return host === this.#sample ? `*.${this.#config.domains[0]}` : host;
  }

  #certificate(facts: ServedCertificateFacts | undefined, host: string): Finding[] {
    if (facts === undefined) return [];
    const findings: Finding[] = [];
    const shown = this.#hostOf(host);
    const expires = new Date(facts.expiresAtMs).toISOString();
    const leftMs = facts.expiresAtMs - this.#machine.now();
    if (leftMs <= 0) findings.push(problem('CERTIFICATE_EXPIRED', `that for ${shown} on ${expires}`));
    else if (leftMs < SOON_MS) findings.push(problem('CERTIFICATE_EXPIRES_SOON', `that for ${shown} on ${expires}`));
    if (!facts.coversHost)
      findings.push(problem('CERTIFICATE_WRONG_NAME', `${shown} gets one for ${facts.subject.slice(0, 200)}`));
    if (facts.distrust !== undefined) findings.push(problem('CERTIFICATE_UNTRUSTED', `${shown}: ${facts.distrust}`));
    return findings.length > 0 ? findings : [ok(`the certificate for ${shown} is valid until ${expires}`)];
  }

  #isOurs(answer: ProbeAnswer): boolean {
    return this.#standIn === undefined
      ? 'porthole-error' in answer.headers
      : this.#seen(answer)?.word === this.#standIn.word;
  }

  #seen(answer: ProbeAnswer): SeenByStandIn | undefined {
    try {
      return JSON.parse(answer.body) as SeenByStandIn;
    } catch {
      return undefined;
    }
  }

  #hostField(atSample: ProbeAnswer, atOwn: ProbeAnswer): Finding {
    const host = this.#seen(atSample)?.host;
    const isKept =
      this.#standIn === undefined
        ? OWN_ADDRESS.test(atOwn.body) && !OWN_ADDRESS.test(atSample.body)
        : host?.replace(/:\d+$/, '') === this.#sample;
    if (isKept) return ok('the Host field arrives as it was sent');
    const instead = this.#standIn === undefined ? '' : `: ${JSON.stringify(host)} instead`;
    return problem('FRONT_REWRITES_HOST', `the name of the tunnel does not arrive${instead}`);
  }

  async #upgrade(host: string): Promise<Finding> {
    const status = await this.#upgradeStatus(host, { Connection: 'Upgrade', Upgrade: 'porthole' });
    if (status === 101) return ok('agents get through (Upgrade: porthole)');
    const key = randomBytes(16).toString('base64');
    const webSocket = await this.#upgradeStatus(host, { ...WEBSOCKET, 'Sec-WebSocket-Key': key });
    return webSocket === 101
      ? problem('FRONT_WITHOUT_UPGRADE', `Upgrade: porthole is answered ${status}`)
      : problem('FRONT_BLOCKS_AGENTS', `Upgrade: porthole is answered ${status}, a WebSocket ${webSocket}`);
  }

  async #upgradeStatus(host: string, headers: Readonly<Record<string, string>>): Promise<number | string> {
    try {
      return (await probe({ ...this.#target, host }, CARRIER_PATH, headers)).status;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #forwarding(atSample: ProbeAnswer): Finding[] {
    const { publicUrl, http, tls, trustedProxies } = this.#config;
    if (tls !== undefined || (publicUrl?.scheme !== 'https' && !isLoopback(http))) return [];
    const seen = this.#seen(atSample);
    if (this.#standIn === undefined || seen === undefined)
      return [skipped('what the program in front says of visitors shows only when the relay does not run')];
    const findings: Finding[] = [];
    if (seen.forwardedFor === undefined) findings.push(problem('FRONT_NOT_FORWARDING', 'X-Forwarded-For is missing'));
    if (this.#target.secure && seen.forwardedProto !== 'https')
      findings.push(
        problem(
          'FRONT_WRONG_SCHEME',
          `X-Forwarded-Proto is ${seen.forwardedProto === undefined ? 'missing' : JSON.stringify(seen.forwardedProto)}`,
        ),
      );
    if (!new TrustedAddresses(trustedProxies).has(seen.from))
      findings.push(problem('FRONT_NOT_TRUSTED', `it comes from ${seen.from}`));
    return findings.length > 0 ? findings : [ok('visitors’ addresses and scheme arrive, and are believed')];
  }
}
