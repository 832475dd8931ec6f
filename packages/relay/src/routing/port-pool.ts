/** The public ports a relay may give away, and who gets which. */
import { type PortRange, rangesInclude } from '../config/port-ranges.ts';
import type { Claim, ClaimOutcome, RouteRegistry } from './registry.ts';

export type PortClaim = Omit<Claim, 'address'>;

export class PortPool {
  readonly #ports: readonly number[];
  readonly #ranges: readonly PortRange[];
  readonly #registry: RouteRegistry;
  /** Taken by another program when last tried. Bounded by the ranges. */
  readonly #avoided = new Set<number>();
  #next: number;

  constructor(ranges: readonly PortRange[], registry: RouteRegistry, random: () => number = Math.random) {
    this.#ranges = ranges;
    this.#registry = registry;
    this.#ports = [...new Set(ranges.flatMap(portsOf))];
    // Ports are handed out in turn, so that one just freed is not given to a stranger at once.
    this.#next = Math.floor(random() * this.#ports.length);
  }

  get size(): number {
    return this.#ports.length;
  }

  /** Ports somebody else on this machine held when they were tried. */
  get avoided(): number {
    return this.#avoided.size;
  }

  /**
   * Claims the wanted port, or a free one of those `mayUse` lets pass. TCP_DISABLED, PORT_NOT_ALLOWED, PORT_TAKEN,
   * PORTS_EXHAUSTED, and what the registry says, when refused.
   */
  async claim(claim: PortClaim, wanted: number | undefined, mayUse: (port: number) => boolean): Promise<ClaimOutcome> {
    if (this.#ports.length === 0) return { ok: false, code: 'TCP_DISABLED', detail: '' };
    if (wanted === undefined) return this.#claimFree(claim, mayUse);
    if (!Number.isInteger(wanted) || !rangesInclude(this.#ranges, wanted))
      return { ok: false, code: 'PORT_NOT_ALLOWED', detail: `the relay does not offer ${wanted}` };
    if (!mayUse(wanted)) return { ok: false, code: 'PORT_NOT_ALLOWED', detail: `the token does not allow ${wanted}` };
    return await this.#registry.claim({ ...claim, address: { port: wanted } });
  }

  /** The port could not be listened on: it is not given away by itself again before `allow`, or nothing else is left. */
  avoid(port: number): void {
    if (rangesInclude(this.#ranges, port)) this.#avoided.add(port);
  }

  /** The port could be listened on after all. */
  allow(port: number): void {
    this.#avoided.delete(port);
  }

  async #claimFree(claim: PortClaim, mayUse: (port: number) => boolean): Promise<ClaimOutcome> {
    let allowed = 0;
    for (let tried = 0; tried < this.#ports.length; tried += 1) {
      const index = (this.#next + tried) % this.#ports.length;
      const port = this.#ports[index] as number;
      if (!mayUse(port)) continue;
      allowed += 1;
      // Asking for any port must not take over one the identity has already, claimed elsewhere at this moment or not.
      if (this.#avoided.has(port) || this.#registry.resolvePort(port).state !== 'unknown') continue;
      this.#next = index + 1;
      // In turn, because only a refusal leads on to the next port.
      const outcome = await this.#registry.claim({ ...claim, address: { port }, vacant: true });
      if (outcome.ok || outcome.code !== 'PORT_TAKEN') return outcome;
    }
    // The other program may have gone by the next time.
    this.#avoided.clear();
    if (allowed === 0)
      return { ok: false, code: 'PORT_NOT_ALLOWED', detail: 'the token allows none of the relay’s ports' };
    return { ok: false, code: 'PORTS_EXHAUSTED', detail: '' };
  }
}

function portsOf({ first, last }: PortRange): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
