/**
 * Dials an origin and is patient about it: while a development server restarts, its port refuses for a second or
 * two. Those who want a socket then wait, bounded in time and number, behind one prober that keeps trying.
 */
import { PortholeError } from '@porthole/protocol';
import type { OnOriginFailed } from './origin-failures.ts';
import type { Opening, OriginOpener, SocketOutcome } from './origin-socket.ts';

export interface WaitSettings {
  /** How long somebody waits for an origin that refuses; 0 fails at once. */
  readonly waitForOriginMs: number;
  /** How many wait at once. Each holds at most its stream's first window of body bytes. */
  readonly maxWaiting: number;
  /** Told once of each time that there is waiting for more than a second, long before the first gives up. */
  readonly onWaiting?: OnOriginFailed | undefined;
}

export const DEFAULT_WAIT: WaitSettings = { waitForOriginMs: 10_000, maxWaiting: 128 };

const FIRST_PROBE_MS = 50;
const MAX_PROBE_MS = 250;
/** A restart that takes no longer than this is nobody's news. */
const NEWS_MS = 1_000;

interface Waiter {
  readonly done: (outcome: SocketOutcome) => void;
  readonly deadline: number;
  refusal: PortholeError;
}

export class OriginDialer implements OriginOpener {
  readonly #opener: OriginOpener;
  readonly #settings: WaitSettings;
  readonly #waiting = new Set<Waiter>();
  #timer: NodeJS.Timeout | undefined;
  #probe: Opening | undefined;
  #delayMs = FIRST_PROBE_MS;
  /** When the waiting becomes news; infinite when it has been told. */
  #newsAt = 0;

  constructor(opener: OriginOpener, settings: WaitSettings = DEFAULT_WAIT) {
    this.#opener = opener;
    this.#settings = settings;
  }

  /** How many wait just now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  open(done: (outcome: SocketOutcome) => void): Opening {
    let waiter: Waiter | undefined;
    const deadline = performance.now() + this.#settings.waitForOriginMs;
    const attempt = this.#opener.open((outcome) => {
      if (!isRefusal(outcome) || this.#settings.waitForOriginMs <= 0) return done(outcome);
      if (this.#waiting.size >= this.#settings.maxWaiting)
        return done(
          new PortholeError('ORIGIN_REFUSED', `${outcome.detail}; ${this.#waiting.size} requests wait for it already`),
        );
      waiter = { done, deadline, refusal: outcome };
      if (this.#waiting.size === 0) this.#newsAt = performance.now() + NEWS_MS;
      this.#waiting.add(waiter);
      this.#schedule();
    });
    return {
      cancel: () => {
        attempt.cancel();
        if (waiter !== undefined) this.#leave(waiter);
      },
    };
  }

  #leave(waiter: Waiter): void {
    this.#waiting.delete(waiter);
    if (this.#waiting.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#probe?.cancel();
    this.#probe = undefined;
    this.#delayMs = FIRST_PROBE_MS;
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#probe !== undefined || this.#waiting.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#expire();
      if (this.#waiting.size > 0) this.#startProbe();
    }, this.#delayMs);
    this.#delayMs = Math.min(this.#delayMs * 2, MAX_PROBE_MS);
  }

  #startProbe(): void {
    this.#probe = this.#opener.open((outcome) => {
      this.#probe = undefined;
      if (!isRefusal(outcome)) return this.#release(outcome);
      for (const waiter of this.#waiting) waiter.refusal = outcome;
      this.#tellWaiting(outcome);
      this.#expire();
      this.#schedule();
    });
  }

  #tellWaiting({ code, detail }: PortholeError): void {
    if (performance.now() < this.#newsAt) return;
    this.#newsAt = Number.POSITIVE_INFINITY;
    this.#settings.onWaiting?.(new PortholeError(code, `${detail}; requests wait for it`));
  }

  /** The first in line gets the prober's socket, the others dial for themselves. */
  #release(outcome: SocketOutcome): void {
    const waiters = [...this.#waiting];
    this.#waiting.clear();
    this.#delayMs = FIRST_PROBE_MS;
    for (const [index, waiter] of waiters.entries()) {
      if (index === 0 || outcome instanceof PortholeError) waiter.done(outcome);
      else this.#dialAgain(waiter);
    }
  }

  /** Cancelling stays possible: `open`'s `cancel` looks for the waiter in the set. */
  #dialAgain(waiter: Waiter): void {
    this.#waiting.add(waiter);
    this.#opener.open((outcome) => {
      if (!this.#waiting.has(waiter)) {
        if (!(outcome instanceof PortholeError)) outcome.socket.destroy();
        return;
      }
      if (isRefusal(outcome) && performance.now() < waiter.deadline) {
        this.#schedule();
        return;
      }
      this.#leave(waiter);
      waiter.done(outcome);
    });
  }

  #expire(): void {
    const now = performance.now();
    for (const waiter of this.#waiting) {
      if (now < waiter.deadline) continue;
      this.#leave(waiter);
      waiter.done(
        new PortholeError('ORIGIN_REFUSED', `${waiter.refusal.detail}; waited ${this.#settings.waitForOriginMs} ms`),
      );
    }
  }
}

function isRefusal(outcome: SocketOutcome): outcome is PortholeError {
  return outcome instanceof PortholeError && outcome.code === 'ORIGIN_REFUSED';
}
