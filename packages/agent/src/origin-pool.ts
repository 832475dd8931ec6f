/**
 * Kept-alive connections to one origin. Last in, first out, so that the few that are needed stay warm; each is given
 * up before the origin is likely to close it, because a request that meets the closing half-way is lost.
 */
import { DEFAULT_RESPONSE_LIMITS, type ResponseLimits } from '@porthole/protocol/http1';
import { PortholeError } from '@porthole/protocol';
import { OriginConnection, type ConnectionKeeper } from './origin-connection.ts';
import type { Opening, OriginOpener } from './origin-socket.ts';

export interface PoolSettings {
  /** Idle connections kept. */
  readonly maxIdle: number;
  /** How long one stays idle at most; servers often close after 5 s. */
  readonly idleMs: number;
  /** Connections in all, idle ones included; more exchanges queue. */
  readonly maxConnections: number;
  readonly response: ResponseLimits;
}

export const DEFAULT_POOL: PoolSettings = {
  maxIdle: 512,
  idleMs: 4_000,
  maxConnections: 8_192,
  response: DEFAULT_RESPONSE_LIMITS,
};

/** A request that must not run twice wants a connection the origin can hardly be closing. */
const SURE_IDLE_MS = 1_000;
/** How long an early closing is remembered; a restart of the origin closes everything once and means nothing. */
const MEMORY_MS = 30_000;
const BURST_MS = 100;
const MAX_QUEUED = 1_024;

type Taken = (outcome: OriginConnection | PortholeError) => void;

export class OriginPool implements ConnectionKeeper {
  readonly #opener: OriginOpener;
  readonly #settings: PoolSettings;
  readonly #idle: OriginConnection[] = [];
  readonly #queue = new Set<Taken>();
  #live = 0;
  #closed = false;
  #sweep: NodeJS.Timeout | undefined;
  /** What the origin says of itself (`Keep-Alive: timeout=5`). */
  #announcedMs = Number.POSITIVE_INFINITY;
  #announcedText = '';
  /** After how much idling the origin was last seen to close. */
  #learnedMs = Number.POSITIVE_INFINITY;
  #learnedAt = Number.NEGATIVE_INFINITY;

  constructor(opener: OriginOpener, settings: PoolSettings = DEFAULT_POOL) {
    this.#opener = opener;
    this.#settings = settings;
  }

  get idle(): number {
    return this.#idle.length;
  }

  get live(): number {
    return this.#live;
  }

  /** An idle connection, if there is one that this request can be trusted to. */
  take(replayable: boolean): OriginConnection | undefined {
    const connection = this.#idle.at(-1);
    if (connection === undefined) return undefined;
    const now = performance.now();
    if (now - connection.idleSince > this.#limit(replayable, now)) return undefined;
    this.#idle.pop();
    return connection;
  }

  /** A new connection. `taken` is never called from within. */
  open(taken: Taken): Opening {
    if (this.#live < this.#settings.maxConnections) return this.#dial(taken);
    if (this.#queue.size >= MAX_QUEUED) {
      const immediate = setImmediate(() =>
        taken(
          new PortholeError(
            'STREAM_LIMIT',
            `${MAX_QUEUED} requests wait for one of ${this.#settings.maxConnections} connections to the origin`,
          ),
        ),
      );
      return { cancel: () => clearImmediate(immediate) };
    }
    let cancelled = false;
    const waiter: Taken = (outcome) => {
      if (!cancelled) taken(outcome);
      else if (!(outcome instanceof PortholeError)) this.onFree(outcome);
    };
    this.#queue.add(waiter);
    return {
      cancel: () => {
        cancelled = true;
        this.#queue.delete(waiter);
      },
    };
  }

  /** What a response says about how long the connection may idle: the value of its `Keep-Alive` field. */
  noteKeepAlive(value: string): void {
    if (value === this.#announcedText) return;
    this.#announcedText = value;
    const seconds = /(?:^|[,;\s])timeout\s*=\s*"?(\d+)/i.exec(value)?.[1];
    this.#announcedMs = seconds === undefined ? Number.POSITIVE_INFINITY : Number(seconds) * 1_000;
  }

  onFree(connection: OriginConnection): void {
    const next = this.#dequeue();
    if (next !== undefined) return next(connection);
    const now = performance.now();
    if (this.#closed || this.#idle.length >= this.#settings.maxIdle || this.#limit(true, now) <= 0)
      return connection.destroy();
    connection.idleSince = now;
    this.#idle.push(connection);
    this.#sweep ??= setTimeout(() => this.#sweepIdle(), 1_000);
  }

  onGone(connection: OriginConnection): void {
    this.#live -= 1;
    const index = this.#idle.indexOf(connection);
    if (index >= 0) {
      this.#idle.splice(index, 1);
      this.#learn(performance.now() - connection.idleSince);
    }
    this.#admit();
  }

  /** Idle connections go now, the others when their exchange is over. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#sweep);
    this.#sweep = undefined;
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  #dial(taken: Taken): Opening {
    this.#live += 1;
    let over = false;
    const opening = this.#opener.open((outcome) => {
      over = true;
      if (!(outcome instanceof PortholeError))
        return taken(new OriginConnection(outcome, this, this.#settings.response));
      this.#live -= 1;
      taken(outcome);
      this.#admit();
    });
    return {
      cancel: () => {
        if (over) return;
        over = true;
        this.#live -= 1;
        opening.cancel();
        this.#admit();
      },
    };
  }

  /** A place has become free. */
  #admit(): void {
    if (this.#queue.size === 0 || this.#live >= this.#settings.maxConnections) return;
    const next = this.#dequeue();
    if (next !== undefined) this.#dial(next);
  }

  #dequeue(): Taken | undefined {
    for (const next of this.#queue) {
      this.#queue.delete(next);
      return next;
    }
    return undefined;
  }

  #limit(replayable: boolean, now: number): number {
    const announced = replayable ? this.#announcedMs - 500 : this.#announcedMs / 2;
    const limit = Math.min(announced, this.#settings.idleMs);
    if (now - this.#learnedAt < MEMORY_MS) return Math.min(limit, this.#learnedMs / 2);
    return replayable || announced !== Number.POSITIVE_INFINITY ? limit : Math.min(limit, SURE_IDLE_MS);
  }

  /** Of those that close together the longest idle one counts: a restart closes busy ones, too, a timer does not. */
  #learn(idleMs: number): void {
    const now = performance.now();
    const isSameEvent = now - this.#learnedAt < BURST_MS;
    const isRemembered = now - this.#learnedAt < MEMORY_MS;
    if (isSameEvent) this.#learnedMs = Math.max(this.#learnedMs, idleMs);
    else this.#learnedMs = isRemembered ? Math.min(this.#learnedMs, idleMs) : idleMs;
    this.#learnedAt = now;
  }

  #sweepIdle(): void {
    this.#sweep = undefined;
    const now = performance.now();
    const oldest = now - this.#limit(true, now);
    // The oldest stand first: the list is a stack.
    const keepFrom = this.#idle.findIndex((connection) => connection.idleSince >= oldest);
    for (const connection of this.#idle.splice(0, keepFrom < 0 ? this.#idle.length : keepFrom)) connection.destroy();
    if (this.#idle.length > 0) this.#sweep = setTimeout(() => this.#sweepIdle(), 1_000);
  }
}
