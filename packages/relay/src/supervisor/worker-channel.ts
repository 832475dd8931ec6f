/** A worker's end of the channel to its supervisor: leases, ports, and when to go. */
import { PortholeError } from '@porthole/protocol';
import type { ListenHandle, PortSource } from '../routing/public-ports.ts';
import type {
  ClaimReply,
  ClaimRequest,
  LeaseChange,
  PlaceReply,
  PlaceRequest,
  RegistrarLink,
} from '../routing/registrar-link.ts';
import type { PlaceLink } from '../routing/session-places.ts';
import type { SharedRouteRegistry } from '../routing/shared-registry.ts';
import {
  CHANNEL_VERSION,
  type DrainMessage,
  type ParentChannel,
  type ReadyMessage,
  type StartMessage,
  type ToWorker,
} from './channel-messages.ts';
import { type ReportKind, reportParts } from './worker-reports.ts';

interface Asked {
  readonly done: (reply: ClaimReply) => void;
  readonly onGranted: (lease: number) => void;
}

/** What this worker says of itself, in at most `maxChars`. */
export type Answer = (kind: ReportKind, maxChars: number) => string;

export class WorkerChannel implements RegistrarLink, PlaceLink, PortSource {
  readonly #parent: ParentChannel;
  readonly #claims = new Map<number, Asked>();
  readonly #places = new Map<number, (reply: PlaceReply) => void>();
  readonly #ports = new Map<number, PromiseWithResolvers<void>[]>();
  /** Ports that came before anybody took them. */
  #early: (readonly [number, ListenHandle])[] = [];
  #take: ((port: number, handle: ListenHandle) => void) | undefined;
  #registry: SharedRouteRegistry | undefined;
  #answer: Answer | undefined;
  readonly #start = Promise.withResolvers<StartMessage>();
  readonly #drain = Promise.withResolvers<DrainMessage>();
  readonly #orphaned = Promise.withResolvers<void>();
  #isOrphan = false;
  #nextRef = 1;

  constructor(parent: ParentChannel) {
    this.#parent = parent;
    parent.onMessage((message, handle) => this.#onMessage(message, handle));
    parent.onDisconnect(() => this.#onDisconnect());
  }

  /** When the supervisor wants this worker to go. */
  get drain(): Promise<DrainMessage> {
    return this.#drain.promise;
  }

  /** When the supervisor is no more. */
  get orphaned(): Promise<void> {
    return this.#orphaned.promise;
  }

  /** Resolves with what this worker is to be. Rejects with INTERNAL under a supervisor of another release. */
  async begin(): Promise<StartMessage> {
    this.#parent.send({ type: 'hello' });
    const start = await this.#start.promise;
    if (start.version !== CHANNEL_VERSION)
      throw new PortholeError(
        'INTERNAL',
        `the supervisor is of another release (${start.version}, not ${CHANNEL_VERSION}): restart the relay instead of reloading it`,
      );
    return start;
  }

  /** Routes go here. To be called in the same turn in which `begin` was answered. */
  connect(registry: SharedRouteRegistry): void {
    this.#registry = registry;
  }

  /** From now on the supervisor's questions are answered. */
  answer(answer: Answer): void {
    this.#answer = answer;
  }

  /** Also without being asked: a worker's last word is what it has counted. */
  report(kind: ReportKind, maxChars: number): void {
    if (this.#answer === undefined) return;
    for (const part of reportParts(kind, this.#answer(kind, maxChars))) this.#send(part);
  }

  ready(listening: ReadyMessage['listening']): void {
    this.#send({ type: 'ready', listening });
  }

  failed(error: PortholeError): void {
    this.#send({ type: 'failed', code: error.code, detail: error.detail });
  }

  claim(request: ClaimRequest, onGranted: (lease: number) => void): Promise<ClaimReply> {
    if (this.#isOrphan) return Promise.resolve(NOBODY_GRANTS);
    const ref = this.#nextRef;
    this.#nextRef += 1;
    return new Promise((done) => {
      this.#claims.set(ref, { done, onGranted });
      this.#send({ type: 'claim', ref, request });
    });
  }

  change(lease: number, change: LeaseChange): void {
    this.#send({ type: 'lease', lease, change });
  }

  takePlace(request: PlaceRequest): Promise<PlaceReply> {
    if (this.#isOrphan) return Promise.resolve(NOBODY_GRANTS);
    const ref = this.#nextRef;
    this.#nextRef += 1;
    return new Promise((done) => {
      this.#places.set(ref, done);
      this.#send({ type: 'take-place', ref, request });
    });
  }

  leavePlace(identity: string): void {
    this.#send({ type: 'leave-place', identity });
  }

  acquire(port: number): Promise<void> {
    if (this.#isOrphan) return Promise.reject(new PortholeError('RELAY_DRAINING'));
    const waiting = Promise.withResolvers<void>();
    this.#ports.set(port, [...(this.#ports.get(port) ?? []), waiting]);
    this.#send({ type: 'open-port', port });
    return waiting.promise;
  }

  deliver(take: (port: number, handle: ListenHandle) => void): void {
    this.#take = take;
    for (const [port, handle] of this.#early) take(port, handle);
    this.#early = [];
  }

  #onMessage(message: ToWorker, handle: unknown): void {
    switch (message.type) {
      case 'start':
        this.#start.resolve(message);
        return;
      case 'claimed':
        this.#onClaimed(message.ref, message.reply);
        return;
      case 'place':
        this.#places.get(message.ref)?.(message.reply);
        this.#places.delete(message.ref);
        return;
      case 'lost':
        this.#registry?.lost(message.lease, message.code, message.detail);
        return;
      case 'routes':
        for (const update of message.updates) this.#registry?.apply(update);
        return;
      case 'port':
        if (isListenHandle(handle)) this.#onPort(message.port, handle);
        return;
      case 'port-failed':
        this.#settlePort(message.port, new PortholeError('ADDRESS_IN_USE', message.detail));
        return;
      case 'report':
        this.report(message.kind, message.maxChars);
        return;
      case 'drain':
        this.#drain.resolve(message);
        return;
      default:
        // A supervisor of a later release; the version says whether that matters.
        message satisfies never;
    }
  }

  #onClaimed(ref: number, reply: ClaimReply): void {
    const asked = this.#claims.get(ref);
    if (asked === undefined) return;
    this.#claims.delete(ref);
    if (reply.ok) asked.onGranted(reply.lease);
    asked.done(reply);
  }

  #onPort(port: number, handle: ListenHandle): void {
    if (this.#take === undefined) this.#early.push([port, handle]);
    else this.#take(port, handle);
    this.#settlePort(port, undefined);
  }

  #settlePort(port: number, failure: PortholeError | undefined): void {
    const waiting = this.#ports.get(port) ?? [];
    this.#ports.delete(port);
    for (const { resolve, reject } of waiting) {
      if (failure === undefined) resolve();
      else reject(failure);
    }
  }

  #onDisconnect(): void {
    this.#isOrphan = true;
    for (const { done } of this.#claims.values()) done(NOBODY_GRANTS);
    this.#claims.clear();
    for (const done of this.#places.values()) done(NOBODY_GRANTS);
    this.#places.clear();
    for (const port of this.#ports.keys()) this.#settlePort(port, new PortholeError('RELAY_DRAINING'));
    this.#orphaned.resolve();
  }

  #send(message: Parameters<ParentChannel['send']>[0]): void {
    if (!this.#isOrphan) this.#parent.send(message);
  }
}

const NOBODY_GRANTS = { ok: false, code: 'GOING_AWAY', detail: 'the supervisor has ended' } as const;

function isListenHandle(value: unknown): value is ListenHandle {
  return typeof value === 'object' && value !== null && 'close' in value;
}
