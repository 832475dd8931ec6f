/** What the library sees of the connection to a relay: claims on it, and what befalls it. */
import type { ClaimMessage, ClaimedMessage, ErrorCode, PortholeError } from '@porthole/protocol';
import type { Origin } from './origin.ts';

export type TunnelClaim = Omit<ClaimMessage, 'type' | 'id'>;

export interface LinkedTunnel {
  readonly id: number;
  /** Releases the public address and forgets the tunnel. */
  release(): void;
}

export interface ConnectedInfo {
  readonly resumed: boolean;
  readonly carrier: string;
  readonly rttMs: number | undefined;
  /** Name and version of the relay's program, as it says: `porthole-relay/0.1.0`. */
  readonly relaySoftware?: string | undefined;
}

export interface LinkEvents {
  /** A session stands (first, or a new one after the old was lost); claims are being made again by themselves. */
  onConnected(info: ConnectedInfo): void;
  /** The carrier is gone; the link dials again by itself, for ever. */
  onInterrupted(reason: PortholeError, nextTryInMs: number): void;
  /** Nothing will come back without a person: token refused, version not supported, closed. */
  onFinished(reason: PortholeError): void;
}

export interface TunnelEvents {
  /** Called after every successful claim, also after reconnecting to a relay that had forgotten us. */
  onClaimed(claimed: ClaimedMessage): void;
  /** The first claim was refused, or the address was taken away later. The tunnel is over. */
  onRefused(code: ErrorCode, detail: string): void;
}

export interface RelayLink {
  start(): void;
  /** Claims an address now and again after every lost session; visitors are handed to `origin`. */
  openTunnel(claim: TunnelClaim, origin: Origin, events: TunnelEvents): LinkedTunnel;
  /** Drains: tells the relay, lets exchanges under way finish for at most `drainMs`, then closes. */
  close(drainMs: number): Promise<void>;
}
