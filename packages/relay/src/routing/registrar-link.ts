/** What a worker and its supervisor say to each other about leases, routes and the places of sessions. */
import type { ErrorCode } from '@porthole/protocol';
import type { Address } from './registry.ts';

export interface ClaimRequest {
  readonly address: Address;
  readonly identity: string;
  /** For logs. */
  readonly label: string;
  readonly pool: boolean;
  readonly vacant: boolean;
  readonly raw?: boolean;
  readonly clientCa?: string | undefined;
  readonly maxTunnels?: number | undefined;
}

/** `lease` names the lease everywhere: its epoch, which no other lease ever had. */
export type ClaimReply =
  | { readonly ok: true; readonly lease: number }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

export type LeaseChange = 'suspend' | 'restore' | 'retire' | 'release';

export interface RouteHolder {
  readonly lease: number;
  /** The process that has the holder's session. */
  readonly node: string;
  readonly label: string;
  readonly away: boolean;
  readonly retired: boolean;
}

/** Who holds an address now; `holders` is absent when nobody does and it is free. */
export interface RouteUpdate {
  readonly address: Address;
  readonly identity: string;
  readonly raw?: boolean;
  readonly clientCa?: string | undefined;
  readonly holders?: readonly RouteHolder[];
}

export interface SessionLimits {
  /** Agents' sessions of all identities together. */
  readonly maxSessions: number;
  readonly maxSessionsPerUser: number;
}

/** The limits come along: they are those of whoever asks, which may be newer than the supervisor's. */
export interface PlaceRequest extends SessionLimits {
  readonly identity: string;
}

export type PlaceReply =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

export interface RegistrarLink {
  /** `onGranted` is called before any update that mentions the lease. Never rejects. */
  claim(request: ClaimRequest, onGranted: (lease: number) => void): Promise<ClaimReply>;
  change(lease: number, change: LeaseChange): void;
}
