/**
 * What supervisor and workers say to each other. A supervisor outlives the code it was started with: messages may be
 * added, and `CHANNEL_VERSION` raised when old ones change, upon which a new worker refuses to start under it.
 */
import type { ErrorCode } from '@porthole/protocol';
import type {
  ClaimReply,
  ClaimRequest,
  LeaseChange,
  PlaceReply,
  PlaceRequest,
  RouteUpdate,
} from '../routing/registrar-link.ts';
import type { ReportPart, ReportRequest } from './worker-reports.ts';

export const CHANNEL_VERSION = 2;

/** Inherited file descriptors of a worker begin here: the standard ones and the channel come before. */
export const FIRST_INHERITED_FD = 4;

/** What a bound socket is for. Workers accept from the public ones, the supervisor itself from that of the admin address. */
export type PublicRole = 'http' | 'https';
export type SocketRole = PublicRole | 'admin';

/** Inherited file descriptors. */
export type InheritedFds = Readonly<Partial<Record<PublicRole, number>>>;

export interface StartMessage {
  readonly type: 'start';
  readonly version: number;
  readonly node: string;
  readonly generation: number;
  /** Folder of the workers' local sockets. */
  readonly folder: string;
  readonly fds: InheritedFds;
  readonly routes: readonly RouteUpdate[];
}

export interface DrainMessage {
  readonly type: 'drain';
  readonly limitMs: number;
  /** Another generation takes over; otherwise the relay stops. */
  readonly moves: boolean;
}

export type ToWorker =
  | StartMessage
  | DrainMessage
  | ReportRequest
  | { readonly type: 'claimed'; readonly ref: number; readonly reply: ClaimReply }
  | { readonly type: 'place'; readonly ref: number; readonly reply: PlaceReply }
  | { readonly type: 'lost'; readonly lease: number; readonly code: ErrorCode; readonly detail: string }
  | { readonly type: 'routes'; readonly updates: readonly RouteUpdate[] }
  /** Comes with the bound socket. */
  | { readonly type: 'port'; readonly port: number }
  | { readonly type: 'port-failed'; readonly port: number; readonly detail: string };

export interface ReadyMessage {
  readonly type: 'ready';
  /** For the supervisor's log: where the relay listens and what it is called. */
  readonly listening: Readonly<Record<string, unknown>>;
}

export type FromWorker =
  | { readonly type: 'hello' }
  | ReadyMessage
  | ReportPart
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly detail: string }
  | { readonly type: 'claim'; readonly ref: number; readonly request: ClaimRequest }
  | { readonly type: 'lease'; readonly lease: number; readonly change: LeaseChange }
  | { readonly type: 'take-place'; readonly ref: number; readonly request: PlaceRequest }
  | { readonly type: 'leave-place'; readonly identity: string }
  | { readonly type: 'open-port'; readonly port: number };

/** A process started by the supervisor, as `main.ts` gives it. */
export interface StartedProcess {
  readonly pid: number | undefined;
  send(message: ToWorker, handle?: object): void;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
  onMessage(listener: (message: FromWorker) => void): void;
  /** Once, when it has ended. */
  onExit(listener: (how: string) => void): void;
}

/** The way to the supervisor, as `main.ts` gives it to a worker. */
export interface ParentChannel {
  send(message: FromWorker): void;
  onMessage(listener: (message: ToWorker, handle: unknown) => void): void;
  /** The supervisor has ended. */
  onDisconnect(listener: () => void): void;
}
