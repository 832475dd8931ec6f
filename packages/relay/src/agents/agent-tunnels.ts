/** The tunnels of one session: claims that became leases, and what happens to them when the session comes and goes. */
import { X509Certificate } from 'node:crypto';
import {
  type ClaimedMessage,
  type ClaimMessage,
  type ErrorCode,
  PortholeError,
  type Session,
} from '@porthole/protocol';
import type { Authenticated, Denied } from '../access/access.ts';
import type { Address, Lease, Resolution, RouteRegistry } from '../routing/registry.ts';
import { AddressClaims, type Granted, type Wish } from './address-claims.ts';
import { countCode } from './agent-counters.ts';
import type { AgentParts } from './agent-parts.ts';
import { AgentTarget } from './agent-target.ts';

/** Claims a session may have open and undecided at once, released ones that are still being decided included. */
const MAX_CLAIMS = 1_024;
/** A detail may repeat what the agent asked for, which may be as long as a message. */
const MAX_DETAIL_CHARS = 200;

export interface AgentTunnel {
  readonly id: number;
  readonly protocol: ClaimMessage['protocol'];
  readonly name: string;
  readonly url: string;
  readonly lease: Lease;
  readonly target: AgentTarget;
}

/** A claim that is being decided, or whose port is being opened. */
interface PendingClaim {
  readonly message: ClaimMessage;
  readonly target: AgentTarget;
  /** Somebody took it over before the agent was told that it stands. */
  lost?: Denied;
}

type Answer = { readonly ok: true; readonly tunnel: AgentTunnel; readonly claimed: ClaimedMessage } | Denied;

export class AgentTunnels {
  readonly #session: Session;
  readonly #who: Authenticated;
  readonly #label: string;
  readonly #parts: AgentParts;
  readonly #addresses: AddressClaims;
  readonly #tunnels = new Map<number, AgentTunnel>();
  /** Released ones are taken out again. */
  readonly #pending = new Map<number, PendingClaim>();
  #undecided = 0;
  #suspended = false;
  #retired = false;
  #closed = false;

  constructor(session: Session, who: Authenticated, label: string, parts: AgentParts) {
    this.#session = session;
    this.#who = who;
    this.#label = label;
    this.#parts = parts;
    this.#addresses = new AddressClaims(who, parts);
  }

  get list(): readonly AgentTunnel[] {
    return [...this.#tunnels.values()];
  }

  /** Nobody is led to this session any more: somebody else answers at each of its addresses, or it has none. */
  get isSuperseded(): boolean {
    if (this.#pending.size > 0) return false;
    for (const { lease, target } of this.#tunnels.values()) {
      const found = resolve(this.#parts.registry, lease.address);
      if (found.state !== 'ready' || found.target === target) return false;
    }
    return true;
  }

  claim(message: ClaimMessage): void {
    const { id, protocol } = message;
    if (this.#tunnels.has(id) || this.#pending.has(id))
      throw new PortholeError('PROTOCOL_ERROR', `tunnel ${id} exists`);
    if (this.#tunnels.size + this.#undecided >= MAX_CLAIMS) {
      this.#refuse(id, { ok: false, code: 'TUNNEL_LIMIT', detail: `at most ${MAX_CLAIMS}` });
      return;
    }
    if (protocol !== 'http' && protocol !== 'tcp' && !(protocol === 'tls' && this.#parts.hasTls)) {
      this.#refuse(id, {
        ok: false,
        code: 'NOT_SUPPORTED',
        detail: protocol === 'tls' ? 'tls: the relay has no https address' : protocol,
      });
      return;
    }
    const denied = this.#clientCaDenied(message);
    if (denied !== undefined) {
      this.#refuse(id, denied);
      return;
    }
    const pending: PendingClaim = { message, target: new AgentTarget(this.#session, id, `${this.#label}/${id}`) };
    this.#pending.set(id, pending);
    this.#undecided += 1;
    this.#addresses
      .claim(message, this.#wishOf(pending))
      .then((given) => this.#stand(pending, given))
      .catch((error: unknown) => this.#unexpected(error))
      .then((given) => {
        this.#undecided -= 1;
        this.#answer(pending, given);
      })
      .catch((error: unknown) => this.#unexpected(error));
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

  /** The agent has been asked to move: whoever shares an address with it goes first. */
  retire(): void {
    this.#retired = true;
    for (const tunnel of this.#tunnels.values()) tunnel.lease.retire();
  }

  /** The session is over. `free` is false when the relay stops: who held what is to be known when it is back. */
  close(free: boolean): void {
    this.#closed = true;
    this.#pending.clear();
    for (const tunnel of [...this.#tunnels.values()]) this.#drop(tunnel, free);
  }

  #clientCaDenied({ clientCa, protocol }: ClaimMessage): Denied | undefined {
    if (clientCa === undefined) return undefined;
    if (protocol !== 'http')
      return { ok: false, code: 'NOT_SUPPORTED', detail: 'certificates of visitors: on HTTP tunnels only' };
    if (!this.#parts.asksCertificates)
      return {
        ok: false,
        code: 'NOT_SUPPORTED',
        detail: 'certificates of visitors: the relay must have an https address and redirect_http',
      };
    return isCertificates(clientCa)
      ? undefined
      : { ok: false, code: 'CERTIFICATE_INVALID', detail: 'the authorities for visitors are no PEM certificates' };
  }

  #wishOf(pending: PendingClaim): Wish {
    const { message, target } = pending;
    return {
      identity: this.#who.identity,
      target,
      pool: message.pool === true,
      raw: message.protocol !== 'http',
      clientCa: message.clientCa,
      maxTunnels: this.#who.scope.maxTunnels ?? this.#parts.limits.maxTunnelsPerUser,
      onLost: (code, detail) => this.#onLost(pending, code, detail),
    };
  }

  #stand({ message, target }: PendingClaim, given: Granted | Denied): Answer {
    if (!given.ok) return given;
    const { lease, name, url } = given;
    const { id, protocol } = message;
    const port = 'port' in lease.address ? { port: lease.address.port } : {};
    return {
      ok: true,
      tunnel: { id, protocol, name, url, lease, target },
      claimed: { type: 'claimed', id, name, url, ...port },
    };
  }

  #answer(pending: PendingClaim, given: Answer): void {
    const { id } = pending.message;
    // Released, and perhaps claimed anew, while it was being decided.
    const isWanted = !this.#closed && this.#pending.get(id) === pending;
    if (isWanted) this.#pending.delete(id);
    const answer = given.ok && pending.lost !== undefined ? pending.lost : given;
    if (!isWanted) {
      if (answer.ok) this.#giveBack(answer.tunnel.lease);
      return;
    }
    if (!answer.ok) {
      this.#refuse(id, answer);
      return;
    }
    const { counters, log } = this.#parts;
    const { tunnel } = answer;
    this.#tunnels.set(id, tunnel);
    counters.tunnelsOpen += 1;
    counters.tunnelsTotal += 1;
    if (this.#suspended) tunnel.lease.suspend();
    if (this.#retired) tunnel.lease.retire();
    log.info({ event: 'tunnel opened', identity: this.#who.identity, tunnel: id, name: tunnel.name, url: tunnel.url });
    this.#session.sendMessage(answer.claimed);
  }

  #refuse(id: number, denied: Denied): void {
    const { code } = denied;
    const detail = denied.detail.slice(0, MAX_DETAIL_CHARS);
    const { counters, throttledLog } = this.#parts;
    const { identity } = this.#who;
    countCode(counters.claimsRefusedTotal, code);
    throttledLog.info(identity, { event: 'claim refused', identity, tunnel: id, code, detail });
    this.#session.sendMessage({ type: 'refused', id, code, detail });
  }

  #onLost(claim: PendingClaim, code: ErrorCode, detail: string): void {
    claim.lost = { ok: false, code, detail };
    const { id } = claim.message;
    const tunnel = this.#tunnels.get(id);
    if (tunnel === undefined || tunnel.target !== claim.target) return;
    this.#drop(tunnel, false);
    this.#session.sendMessage({ type: 'refused', id, code, detail });
  }

  /** `free`: the address is given back; otherwise somebody else has it already. */
  #drop(tunnel: AgentTunnel, free: boolean): void {
    if (!this.#tunnels.delete(tunnel.id)) return;
    const { counters, log } = this.#parts;
    counters.tunnelsOpen -= 1;
    log.info({ event: 'tunnel closed', identity: this.#who.identity, tunnel: tunnel.id, name: tunnel.name });
    if (free) this.#giveBack(tunnel.lease);
  }

  #giveBack(lease: Lease): void {
    const { registry, publicPorts } = this.#parts;
    lease.release();
    if ('port' in lease.address && registry.resolvePort(lease.address.port).state === 'unknown')
      publicPorts.close(lease.address.port);
  }

  #unexpected(error: unknown): Denied {
    this.#parts.log.error({ event: 'fault', err: error });
    return { ok: false, code: 'INTERNAL', detail: '' };
  }
}

function resolve(registry: RouteRegistry, address: Address): Resolution {
  return 'host' in address ? registry.resolveHost(address.host) : registry.resolvePort(address.port);
}

function isCertificates(pem: string): boolean {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g) ?? [];
  try {
    for (const block of blocks) new X509Certificate(block);
    return blocks.length > 0;
  } catch {
    return false;
  }
}
