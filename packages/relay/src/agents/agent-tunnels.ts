/** The tunnels of one session: claims that became leases, and what happens to them when the session comes and goes. */
import {
  type ClaimedMessage,
  type ClaimMessage,
  type ErrorCode,
  PortholeError,
  type Session,
} from '@porthole/protocol';
import type { Authenticated, Denied } from '../access/access.ts';
import { parseName, RandomNames } from '../routing/names.ts';
import type { Claim, Lease } from '../routing/registry.ts';
import { countCode } from './agent-counters.ts';
import type { AgentParts } from './agent-parts.ts';
import { AgentTarget } from './agent-target.ts';

/** Claims a session may have open and pending at once, whatever its token allows. */
const MAX_CLAIMS = 1_024;

export interface AgentTunnel {
  readonly id: number;
  readonly protocol: ClaimMessage['protocol'];
  readonly name: string;
  readonly url: string;
  readonly lease: Lease;
}

type Answer = { readonly ok: true; readonly tunnel: AgentTunnel; readonly claimed: ClaimedMessage } | Denied;

export class AgentTunnels {
  readonly #session: Session;
  readonly #who: Authenticated;
  readonly #label: string;
  readonly #parts: AgentParts;
  readonly #names = new RandomNames();
  readonly #tunnels = new Map<number, AgentTunnel>();
  /** Claims whose port is being opened; released ones are taken out again. */
  readonly #pending = new Set<number>();
  #suspended = false;
  #closed = false;

  constructor(session: Session, who: Authenticated, label: string, parts: AgentParts) {
    this.#session = session;
    this.#who = who;
    this.#label = label;
    this.#parts = parts;
  }

  get list(): readonly AgentTunnel[] {
    return [...this.#tunnels.values()];
  }

  claim(message: ClaimMessage): void {
    if (this.#tunnels.has(message.id) || this.#pending.has(message.id)) throw new PortholeError('PROTOCOL_ERROR', `tunnel ${message.id} exists`);
    if (this.#tunnels.size + this.#pending.size >= MAX_CLAIMS) {
      this.#answer(message.id, { ok: false, code: 'TUNNEL_LIMIT', detail: `at most ${MAX_CLAIMS}` });
    } else if (message.protocol === 'http') {
      this.#answer(message.id, this.#claimHost(message));
    } else if (message.protocol === 'tcp') {
      this.#pending.add(message.id);
      this.#claimPort(message).then(
        (answer) => this.#answer(message.id, answer),
        (error: unknown) => this.#answer(message.id, this.#unexpected(error)),
      );
    } else {
      this.#answer(message.id, { ok: false, code: 'NOT_SUPPORTED', detail: message.protocol });
    }
  }

  release(id: number): void {
    this.#pending.delete(id);
    const tunnel = this.#tunnels.get(id);
    if (tunnel !== undefined) this.#drop(tunnel, true);
  }

  /** The agent has no carrier: addresses are kept, visitors wait. */
  suspend(): void {
    this.#suspended = true;
    for (const tunnel of this.#tunnels.values()) tunnel.lease.suspend();
  }

  restore(): void {
    this.#suspended = false;
    for (const tunnel of this.#tunnels.values()) tunnel.lease.restore();
  }

  /** The session is over. `free` is false when the relay stops: who held what is to be known when it is back. */
  close(free: boolean): void {
    this.#closed = true;
    this.#pending.clear();
    for (const tunnel of [...this.#tunnels.values()]) this.#drop(tunnel, free);
  }

  #claimHost(message: ClaimMessage): Answer {
    const domain = (message.domain ?? this.#parts.domains[0] ?? '').toLowerCase();
    if (!this.#parts.domains.includes(domain)) return { ok: false, code: 'NAME_NOT_ALLOWED', detail: `the relay has no domain ${domain}` };
    const name = message.name === undefined ? this.#makeUpName(domain) : message.name;
    if (name === undefined) return { ok: false, code: 'NAME_NOT_ALLOWED', detail: 'no free name that the token allows' };
    const parsed = parseName(name);
    if (!parsed.ok) return parsed;
    const permission = this.#parts.access.mayUseName(this.#who, parsed.name);
    if (!permission.ok) return permission;
    const host = `${parsed.name}.${domain}`;
    const outcome = this.#parts.registry.claim({ ...this.#claimOf(message), address: { host } });
    if (!outcome.ok) return outcome;
    return this.#stand(message, outcome.lease, { type: 'claimed', id: message.id, name: parsed.name, url: this.#parts.urlOf(host) });
  }

  async #claimPort(message: ClaimMessage): Promise<Answer> {
    const { portPool, publicPorts, access } = this.#parts;
    const tries = message.port === undefined ? PORT_TRIES : 1;
    let denied: Denied = { ok: false, code: 'PORTS_EXHAUSTED', detail: '' };
    for (let tried = 0; tried < tries; tried += 1) {
      const outcome = portPool.claim(this.#claimOf(message), message.port, (port) => access.mayUsePort(this.#who, port).ok);
      if (!outcome.ok) return outcome;
      const port = 'port' in outcome.lease.address ? outcome.lease.address.port : 0;
      try {
        await publicPorts.open(port);
        portPool.allow(port);
      } catch (error) {
        outcome.lease.release();
        portPool.avoid(port);
        denied = { ok: false, code: 'PORT_TAKEN', detail: `${port}: ${error instanceof PortholeError ? error.detail : 'cannot listen'}` };
        continue;
      }
      if (this.#closed || !this.#pending.has(message.id)) {
        outcome.lease.release();
        publicPorts.close(port);
        return { ok: false, code: 'CANCELLED', detail: '' };
      }
      const url = `tcp://${this.#parts.tcpHost}:${port}`;
      return this.#stand(message, outcome.lease, { type: 'claimed', id: message.id, name: String(port), url, port });
    }
    return denied;
  }

  #claimOf(message: ClaimMessage): Omit<Claim, 'address'> {
    return {
      identity: this.#who.identity,
      target: new AgentTarget(this.#session, message.id, `${this.#label}/${message.id}`),
      pool: message.pool === true,
      maxTunnels: this.#who.scope.maxTunnels ?? this.#parts.limits.maxTunnelsPerUser,
      onLost: (code, detail) => this.#onLost(message.id, code, detail),
    };
  }

  #makeUpName(domain: string): string | undefined {
    const { access, registry } = this.#parts;
    for (let tried = 0; tried < NAME_TRIES; tried += 1) {
      const random = this.#names.nextFree((name) => registry.resolveHost(`${name}.${domain}`).state === 'unknown');
      const fitted = random === undefined ? undefined : access.fitName(this.#who, random);
      if (fitted === undefined) return undefined;
      if (access.mayUseName(this.#who, fitted).ok && registry.resolveHost(`${fitted}.${domain}`).state === 'unknown') return fitted;
    }
    return undefined;
  }

  #stand(message: ClaimMessage, lease: Lease, claimed: ClaimedMessage): Answer {
    const tunnel: AgentTunnel = { id: message.id, protocol: message.protocol, name: claimed.name, url: claimed.url, lease };
    return { ok: true, tunnel, claimed };
  }

  #answer(id: number, answer: Answer): void {
    const { counters, log } = this.#parts;
    this.#pending.delete(id);
    if (!answer.ok) {
      countCode(counters.claimsRefusedTotal, answer.code);
      log.info({ event: 'claim refused', identity: this.#who.identity, tunnel: id, code: answer.code, detail: answer.detail });
      this.#session.sendMessage({ type: 'refused', id, code: answer.code, detail: answer.detail });
      return;
    }
    this.#tunnels.set(id, answer.tunnel);
    counters.tunnelsOpen += 1;
    counters.tunnelsTotal += 1;
    if (this.#suspended) answer.tunnel.lease.suspend();
    log.info({ event: 'tunnel opened', identity: this.#who.identity, tunnel: id, name: answer.tunnel.name, url: answer.tunnel.url });
    this.#session.sendMessage(answer.claimed);
  }

  #onLost(id: number, code: ErrorCode, detail: string): void {
    const tunnel = this.#tunnels.get(id);
    if (tunnel === undefined) return;
    this.#drop(tunnel, false);
    this.#session.sendMessage({ type: 'refused', id, code, detail });
  }

  /** `free`: the address is given back; otherwise somebody else has it already. */
  #drop(tunnel: AgentTunnel, free: boolean): void {
    if (!this.#tunnels.delete(tunnel.id)) return;
    const { counters, publicPorts, log } = this.#parts;
    counters.tunnelsOpen -= 1;
    log.info({ event: 'tunnel closed', identity: this.#who.identity, tunnel: tunnel.id, name: tunnel.name });
    if (!free) return;
    tunnel.lease.release();
    if ('port' in tunnel.lease.address && this.#parts.registry.resolvePort(tunnel.lease.address.port).state === 'unknown') {
      publicPorts.close(tunnel.lease.address.port);
    }
  }

  #unexpected(error: unknown): Denied {
    this.#parts.log.error({ event: 'fault', err: error });
    return { ok: false, code: 'INTERNAL', detail: '' };
  }
}

const PORT_TRIES = 8;
const NAME_TRIES = 8;
