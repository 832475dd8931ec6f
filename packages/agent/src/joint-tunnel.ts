/** Several public addresses for one origin, as one tunnel: all of them stand, or none does. Each has a lease of its own. */
import type { ClaimedMessage, ErrorCode } from '@porthole/protocol';
import type { Origin } from './origin.ts';
import type { LinkedTunnel, RelayLink, TunnelClaim } from './relay-link.ts';

/** At least one, in the order in which they were asked for. */
export type Several<T> = readonly [T, ...T[]];

export interface JointEvents {
  /** All addresses stand: the first time, and again on every new session. */
  onClaimed(claimed: Several<ClaimedMessage>): void;
  /** One of them was refused or taken away; the others have been given back. */
  onRefused(code: ErrorCode, detail: string): void;
}

export function openJointTunnel(
  link: RelayLink,
  claims: Several<TunnelClaim>,
  origin: Origin,
  events: JointEvents,
): { release(): void } {
  return new JointTunnel(link, claims, origin, events);
}

class JointTunnel {
  readonly #events: JointEvents;
  readonly #linked: LinkedTunnel[] = [];
  readonly #given: (ClaimedMessage | undefined)[] = [];
  #isOver = false;

  constructor(link: RelayLink, claims: Several<TunnelClaim>, origin: Origin, events: JointEvents) {
    this.#events = events;
    for (const [index, claim] of claims.entries()) {
      this.#given[index] = undefined;
      this.#linked[index] = link.openTunnel(claim, origin, {
        onClaimed: (claimed) => this.#claimed(index, claimed),
        onRefused: (code, detail) => this.#refused(claims, claim, code, detail),
      });
    }
  }

  release(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const linked of this.#linked) linked.release();
  }

  /** Told when each has been claimed since it was told last. */
  #claimed(index: number, claimed: ClaimedMessage): void {
    if (this.#isOver) return;
    this.#given[index] = claimed;
    const given = this.#given.filter((each) => each !== undefined);
    const [first, ...others] = given;
    if (first === undefined || given.length < this.#given.length) return;
    this.#given.fill(undefined);
    this.#events.onClaimed([first, ...others]);
  }

  #refused(claims: Several<TunnelClaim>, { domain }: TunnelClaim, code: ErrorCode, detail: string): void {
    if (this.#isOver) return;
    this.release();
    // The others may be as good as before: that nothing is left must be said.
    const why = domain === undefined || detail.includes(domain) ? detail : `${domain}: ${detail}`;
    const isOne = claims.length === 1;
    this.#events.onRefused(code, isOne ? detail : `${why}; none of the ${claims.length} domains is served`);
  }
}

/** One claim for each domain that was asked for; none asked for: one. */
export function claimsFor(claim: TunnelClaim, domains: readonly string[]): Several<TunnelClaim> {
  const [first, ...others] = [...new Set(domains)].map((domain) => ({ ...claim, domain }));
  return first === undefined ? [claim] : [first, ...others];
}
