/** Who answers at a public address: claims (lease, epoch), look-ups, waiting for somebody who is briefly away. */
import type { ErrorCode } from '@porthole/protocol';
import type { Target } from './target.ts';

/** A public address: a full host name in lower case, or a port of the TCP door. */
export type Address = { readonly host: string } | { readonly port: number };

export interface Claim {
  readonly address: Address;
  /** The token's owner; only the same identity takes a lease over. */
  readonly identity: string;
  readonly target: Target;
  /** Share the address with other claims of the identity that say so too. */
  readonly pool: boolean;
  /** Only if nobody holds the address, the identity itself included: for addresses that were made up. */
  readonly vacant?: boolean;
  /** How many claims the identity may have standing, this one included; TUNNEL_LIMIT past it. Absent: no such limit. */
  readonly maxTunnels?: number | undefined;
  /** Visitors' connections go to the target as they are: TLS of a host, anything of a port. */
  readonly raw?: boolean;
  /** PEM of the authorities whose certificates visitors must show. */
  readonly clientCa?: string | undefined;
  /** Called once when the claim ends against its holder's will (taken over, revoked). */
  readonly onLost: (code: ErrorCode, detail: string) => void;
}

/** A claim that stands. Its epoch fences off whatever an older holder still says. */
export interface Lease {
  readonly address: Address;
  readonly identity: string;
  readonly epoch: number;
  /** The holder lost its carrier: keep the address for the grace time, let requests wait. */
  suspend(): void;
  /** The holder is back. */
  restore(): void;
  /** The holder is about to move: whoever shares the address goes first from here on. */
  retire(): void;
  /** Frees the address at once. Idempotent; does nothing when another lease has taken over since. */
  release(): void;
}

export type ClaimOutcome =
  | { readonly ok: true; readonly lease: Lease }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

/** What a look-up finds. `away`: somebody holds the address but cannot take a request just now. */
export type Resolution =
  | { readonly state: 'ready'; readonly target: Target }
  | { readonly state: 'away' }
  | { readonly state: 'unknown' };

/** How a port is served, also while its holder is away. */
export interface PortTraits {
  /** Connections go to the target as they are; otherwise HTTP is spoken on the port. */
  readonly raw: boolean;
  /** PEM of the authorities whose certificates visitors must show. */
  readonly clientCa: string | undefined;
}

/** Ends when the address is ready, when it is not held any more, or when the time is over. Never rejects. */
export interface Waiting {
  readonly done: Promise<Resolution>;
  /** The visitor has gone: give the place back. */
  cancel(): void;
}

export interface RouteRegistry {
  /** Decided at once where there is one process; by the registrar of all of them otherwise. Never rejects. */
  claim(claim: Claim): ClaimOutcome | Promise<ClaimOutcome>;
  /** On the path of every request: one Map look-up. `host` is lower case without port or trailing dot. */
  resolveHost(host: string): Resolution;
  resolvePort(port: number): Resolution;
  /** Who holds the host, present or away. */
  ownerOf(host: string): string | undefined;
  /** Whether TLS connections for the host go to its target as they are, also while that is away. */
  isRaw(host: string): boolean;
  /** PEM of the authorities whose certificates visitors of the host must show, also while its holder is away. */
  clientCaOf(host: string): string | undefined;
  /** Undefined when nobody holds the port. */
  portTraits(port: number): PortTraits | undefined;
  /** Undefined when as many requests wait already as may (per address and in all). */
  wait(address: Address, timeoutMs: number): Waiting | undefined;
}
