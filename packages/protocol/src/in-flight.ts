/**
 * How many bytes a lane may have under way: 1.5 times what the line carries in its shortest round trip. More would only
 * stand in queues, in front of the next small message; less would leave the line idle. Learnt from acknowledgements.
 */

/** Enough to start with, and what a lane may always have under way. */
export const IN_FLIGHT_FLOOR_BYTES = 131_072;
/** Most that a lane may have under way, and so the most it keeps for a resume. */
export const IN_FLIGHT_LIMIT_BYTES = 33_554_432;

const GAIN = 1.5;
/** Until the rate stops growing: the cap has to outgrow the rate it is computed from. */
const STARTUP_GAIN = 2.5;
const STARTUP_GROWTH = 1.25;
const STARTUP_ROUNDS = 3;
/** Below this a round trip is event-loop time rather than line, and a lane on its own needs a queue so long to be busy. */
const MIN_ROUND_TRIP_MS = 4;
/** Where others wait behind bulk transfers, those may stand in their way for so long, and lose some speed on short lines. */
const SHARED_ROUND_TRIP_MS = 0.25;
const RATE_WINDOW_ROUND_TRIPS = 10;
const RATE_WINDOW_MIN_MS = 500;
/** A shortest round trip older than this is measured again, with the line half empty for a moment. */
const ROUND_TRIP_STALE_MS = 15_000;
const PROBE_MIN_MS = 200;
const MARK_SPACING_BYTES = 16_384;

interface Mark {
  readonly position: number;
  readonly sentAt: number;
  readonly acked: number;
  readonly ackedAt: number;
  readonly senderLimited: boolean;
}

export class InFlightCap {
  #cap = IN_FLIGHT_FLOOR_BYTES;
  #sharedCap = IN_FLIGHT_FLOOR_BYTES;
  #minRttMs = Number.POSITIVE_INFINITY;
  #minRttAt = 0;
  #acked: number;
  #ackedAt = 0;
  #sent: number;
  #marks: Mark[] = [];
  #firstMark = 0;
  #lastMarkPosition: number;
  #rate = 0;
  #previousRate = 0;
  #rateWindowStart = 0;
  #startupRate = 0;
  #startupFlatRounds = 0;
  #startupRoundEnd = 0;
  #probeUntil = 0;
  #probeMinMs = Number.POSITIVE_INFINITY;

  /** Starts over on a new carrier, whose line may be another one. `position`: where the lane stands. */
  constructor(position = 0) {
    this.#acked = position;
    this.#sent = position;
    this.#lastMarkPosition = position;
  }

  get capBytes(): number {
    return this.#cap;
  }

  /** The cap for bulk transfers while others share the lane with them. */
  get sharedCapBytes(): number {
    return this.#sharedCap;
  }

  /** Shortest round trip seen lately, in milliseconds; Infinity before the first. */
  get minRttMs(): number {
    return this.#minRttMs;
  }

  /** Best delivery rate seen lately, in bytes per millisecond. */
  get rate(): number {
    return Math.max(this.#rate, this.#previousRate);
  }

  /** `position`: end of what was just sent. `full`: the lane had more to send than the cap let it. */
  onSent(position: number, full: boolean, now: number): void {
    if (this.#sent === this.#acked) this.#ackedAt = now;
    this.#sent = position;
    if (
      position - this.#lastMarkPosition < Math.max(MARK_SPACING_BYTES, this.#cap / 256) &&
      this.#firstMark < this.#marks.length
    )
      return;
    this.#lastMarkPosition = position;
    this.#marks.push({ position, sentAt: now, acked: this.#acked, ackedAt: this.#ackedAt, senderLimited: !full });
  }

  onAck(position: number, now: number): void {
    let mark: Mark | undefined;
    while (this.#firstMark < this.#marks.length && (this.#marks[this.#firstMark] as Mark).position <= position) {
      mark = this.#marks[this.#firstMark];
      this.#firstMark += 1;
    }
    if (this.#firstMark > 64 || this.#firstMark === this.#marks.length) {
      this.#marks.splice(0, this.#firstMark);
      this.#firstMark = 0;
    }
    this.#acked = position;
    this.#ackedAt = now;
    if (mark === undefined) return;
    this.onRoundTrip(now - mark.sentAt, now);
    this.#onRateSample(mark, position, now);
    const gain = this.#gain(now);
    this.#cap = this.#capFor(MIN_ROUND_TRIP_MS, gain);
    this.#sharedCap = this.#capFor(SHARED_ROUND_TRIP_MS, gain);
  }

  /** A round trip measured by a ping, or by an acknowledgement. */
  onRoundTrip(rttMs: number, now: number): void {
    if (rttMs <= this.#minRttMs) {
      this.#minRttMs = rttMs;
      this.#minRttAt = now;
    }
    if (this.#probeUntil === 0) return;
    this.#probeMinMs = Math.min(this.#probeMinMs, rttMs);
    if (now < this.#probeUntil) return;
    this.#minRttMs = this.#probeMinMs;
    this.#minRttAt = now;
    this.#probeUntil = 0;
  }

  #onRateSample(mark: Mark, position: number, now: number): void {
    const elapsed = now - mark.ackedAt;
    // Acknowledgements that arrive in a bunch would claim any rate.
    if (elapsed < Math.max(1, Math.min(this.#minRttMs, 1_000))) return;
    const sample = (position - mark.acked) / elapsed;
    // A sender with little to send says nothing about the line, unless it did better than anybody before.
    if (mark.senderLimited && sample <= this.rate) return;
    const windowMs = Math.max(RATE_WINDOW_MIN_MS, RATE_WINDOW_ROUND_TRIPS * this.#minRttMs);
    if (now - this.#rateWindowStart > windowMs) {
      this.#previousRate = this.#rate;
      this.#rate = sample;
      this.#rateWindowStart = now;
    } else if (sample > this.#rate) {
      this.#rate = sample;
    }
    this.#followStartup(mark, now);
  }

  #followStartup(mark: Mark, now: number): void {
    if (this.#startupFlatRounds >= STARTUP_ROUNDS || mark.senderLimited || mark.sentAt < this.#startupRoundEnd) return;
    this.#startupRoundEnd = now;
    if (this.rate > this.#startupRate * STARTUP_GROWTH) {
      this.#startupRate = this.rate;
      this.#startupFlatRounds = 0;
    } else {
      this.#startupFlatRounds += 1;
    }
  }

  #gain(now: number): number {
    if (this.#minRttMs > MIN_ROUND_TRIP_MS && this.#probeUntil === 0 && now - this.#minRttAt > ROUND_TRIP_STALE_MS) {
      this.#probeUntil = now + Math.max(PROBE_MIN_MS, 2 * this.#minRttMs);
      this.#probeMinMs = Number.POSITIVE_INFINITY;
    }
    if (this.#probeUntil > now) return 0.5;
    return this.#startupFlatRounds < STARTUP_ROUNDS ? STARTUP_GAIN : GAIN;
  }

  #capFor(leastRoundTripMs: number, gain: number): number {
    const product = this.rate * Math.max(leastRoundTripMs, this.#minRttMs);
    return Math.min(IN_FLIGHT_LIMIT_BYTES, Math.max(IN_FLIGHT_FLOOR_BYTES, gain * product));
  }
}
