/** Which public address a claim gets: a name under one of the relay's domains, a domain of the user's own, or a port. */
import { isIP } from 'node:net';
import { isAddressLiteral, normalHostName } from '@porthole/acme';
import { type ClaimMessage, PortholeError } from '@porthole/protocol';
import type { Authenticated, Denied } from '../access/access.ts';
import { parseName, RandomNames } from '../routing/names.ts';
import type { Claim, ClaimOutcome, Lease } from '../routing/registry.ts';
import type { AgentParts } from './agent-parts.ts';

export interface Granted {
  readonly ok: true;
  readonly lease: Lease;
  /** The label under the domain, the whole of a domain of the user's own, or the port. */
  readonly name: string;
  readonly url: string;
}

/** All of a claim but where. */
export type Wish = Omit<Claim, 'address'>;

const PORT_TRIES = 8;
const NAME_TRIES = 8;

export class AddressClaims {
  readonly #who: Authenticated;
  readonly #parts: AgentParts;
  readonly #names = new RandomNames();

  constructor(who: Authenticated, parts: AgentParts) {
    this.#who = who;
    this.#parts = parts;
  }

  async claim(message: ClaimMessage, wish: Wish): Promise<Granted | Denied> {
    if (message.protocol === 'tcp') return await this.#claimPort(message, wish, this.#parts.portHost);
    const { domains } = this.#parts;
    const domain = (message.domain ?? domains[0] ?? '').toLowerCase();
    if (!domains.includes(domain)) return await this.#claimCustom(message, wish, domain);
    const hasNames = isIP(domain) === 0;
    if (message.protocol === 'tls' && !hasNames)
      return notSupported('the relay has no domain: use a TCP tunnel, or a domain of your own');
    if (hasNames && message.port === undefined) return await this.#claimName(message, wish, domain);
    if (message.protocol === 'tls') return notSupported('TLS tunnels have names, not ports: use a TCP tunnel');
    if (message.name !== undefined)
      return notSupported(
        hasNames
          ? 'a tunnel has a name or a port: leave one of them out'
          : 'the relay has no domain, so that its tunnels have ports instead of names: leave the name out',
      );
    return await this.#claimPort(message, wish, message.domain === undefined ? this.#parts.portHost : domain);
  }

  async #claimName(message: ClaimMessage, wish: Wish, domain: string): Promise<Granted | Denied> {
    if (message.name === undefined) return await this.#claimAnyName(wish, domain);
    const parsed = parseName(message.name);
    if (!parsed.ok) return parsed;
    const permission = this.#parts.access.mayUseName(this.#who, parsed.name);
    if (!permission.ok) return permission;
    return await this.#claimHost(wish, `${parsed.name}.${domain}`, parsed.name);
  }

  /** A domain that is not the relay's: the user's own, if DNS says so. */
  async #claimCustom({ name, port }: ClaimMessage, wish: Wish, domain: string): Promise<Granted | Denied> {
    const { customDomains, domains } = this.#parts;
    const host = normalHostName(domain);
    const isOurs = domains.some((own) => domain.endsWith(`.${own}`));
    if (customDomains === undefined || host === undefined || isAddressLiteral(host) || !host.includes('.') || isOurs)
      return { ok: false, code: 'NAME_NOT_ALLOWED', detail: `the relay has no domain ${domain.slice(0, 253)}` };
    // After a lost session the agent names what it had.
    if (name !== undefined && name !== host)
      return {
        ok: false,
        code: 'NAME_NOT_ALLOWED',
        detail: 'a domain of your own has no further name: leave --name out',
      };
    if (port !== undefined) return notSupported('a domain of your own has no port: leave --remote-port out');
    if (this.#who.scope.names !== undefined) return { ok: false, code: 'NAME_NOT_ALLOWED', detail: host };
    const permission = await customDomains.prove(this.#who.identity, host);
    if (!permission.ok) return permission;
    return await this.#claimHost(wish, host, host);
  }

  /** A name that looks free here may be given away elsewhere at this very moment: then another. */
  async #claimAnyName(wish: Wish, domain: string): Promise<Granted | Denied> {
    for (let tried = 0; tried < NAME_TRIES; tried += 1) {
      const name = this.#makeUpName(domain);
      if (name === undefined) break;
      const given = await this.#claimHost({ ...wish, vacant: true }, `${name}.${domain}`, name);
      if (given.ok || given.code !== 'NAME_TAKEN') return given;
    }
    return { ok: false, code: 'NAME_NOT_ALLOWED', detail: 'no free name that the token allows' };
  }

  async #claimHost(wish: Wish, host: string, name: string): Promise<Granted | Denied> {
    const outcome: ClaimOutcome = await this.#parts.registry.claim({ ...wish, address: { host } });
    return outcome.ok ? { ok: true, lease: outcome.lease, name, url: this.#parts.urlOf(host) } : outcome;
  }

  async #claimPort({ protocol, port: wanted }: ClaimMessage, wish: Wish, host: string): Promise<Granted | Denied> {
    const { portPool, publicPorts, access, portUrlOf } = this.#parts;
    const tries = wanted === undefined ? PORT_TRIES : 1;
    let denied: Denied = { ok: false, code: 'PORTS_EXHAUSTED', detail: '' };
    for (let tried = 0; tried < tries; tried += 1) {
      const outcome = await portPool.claim(wish, wanted, (port) => access.mayUsePort(this.#who, port).ok);
      if (!outcome.ok) return outcome;
      const port = 'port' in outcome.lease.address ? outcome.lease.address.port : 0;
      try {
        await publicPorts.open(port);
        portPool.allow(port);
      } catch (error) {
        outcome.lease.release();
        portPool.avoid(port);
        denied = {
          ok: false,
          code: 'PORT_TAKEN',
          detail: `${port}: ${error instanceof PortholeError ? error.detail : 'cannot listen'}`,
        };
        continue;
      }
      return { ok: true, lease: outcome.lease, name: String(port), url: portUrlOf(protocol, host, port) };
    }
    return denied;
  }

  #makeUpName(domain: string): string | undefined {
    const { access, registry } = this.#parts;
    for (let tried = 0; tried < NAME_TRIES; tried += 1) {
      const random = this.#names.nextFree((name) => registry.resolveHost(`${name}.${domain}`).state === 'unknown');
      const fitted = random === undefined ? undefined : access.fitName(this.#who, random);
      if (fitted === undefined) return undefined;
      if (access.mayUseName(this.#who, fitted).ok && registry.resolveHost(`${fitted}.${domain}`).state === 'unknown')
        return fitted;
    }
    return undefined;
  }
}

function notSupported(detail: string): Denied {
  return { ok: false, code: 'NOT_SUPPORTED', detail };
}
