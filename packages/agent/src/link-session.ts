/**
 * One session with a relay, from the first hello until it is lost for good: dials again whenever a carrier dies and
 * takes the lane up where it stood.
 */
import { randomBytes } from 'node:crypto';
import {
  type Challenge,
  type ClaimFeature,
  deriveSessionKey,
  type ErrorCode,
  type Hello,
  type Lane,
  MAX_LANES,
  type Message,
  PortholeError,
  PROTOCOL_VERSION,
  proveBinding,
  proveResume,
  RANDOM_BYTES,
  sameProof,
  Session,
  SESSION_ID_BYTES,
  type SessionEvents,
  type Stream,
  type StreamOpening,
  type StreamSink,
  type Welcome,
} from '@porthole/protocol';
import { type Carrier, LanePump, monotonicNow } from '@porthole/protocol/node';
import { Backoff, type FailedTry } from './backoff.ts';
import { reachedNobody } from './carrier-socket.ts';
import { type Greeted, greetRelay } from './relay-greeting.ts';

/** Dials the relay; rejects with PortholeError. */
export type DialCarrier = (signal: AbortSignal) => Promise<Carrier>;

export interface LinkSessionOptions {
  readonly dial: DialCarrier;
  readonly token: string | undefined;
  /** Software and version, for the relay's log. */
  readonly software: string;
}

export interface LinkSessionEvents {
  /** The session stands; `resumed` after an interruption that lost nothing. */
  onEstablished(
    session: LinkSession,
    info: { readonly resumed: boolean; readonly carrier: Carrier['kind']; readonly relaySoftware: string },
  ): void;
  onInterrupted(session: LinkSession, reason: PortholeError, nextTryInMs: number): void;
  onOpen(session: LinkSession, opening: StreamOpening, stream: Stream): StreamSink;
  onMessage(session: LinkSession, message: Message): void;
  onGoAway(session: LinkSession, leftMs: number, detail: string): void;
  /** Over for good; nothing comes after it. */
  onOver(session: LinkSession, reason: PortholeError): void;
  onFault(error: unknown): void;
}

/** Refusals that no later try and no new session will change. */
export const FINAL_REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'TOKEN_MISSING',
  'TOKEN_INVALID',
  'TOKEN_REVOKED',
  'VERSION_UNSUPPORTED',
  'NOT_SUPPORTED',
]);

interface Established {
  readonly session: Session;
  readonly key: Buffer;
  readonly welcome: Welcome;
}

interface LaneState {
  readonly lane: Lane;
  readonly backoff: Backoff;
  epoch: number;
  pump: LanePump | undefined;
  since: number;
  everAttached: boolean;
  retryTimer: NodeJS.Timeout | undefined;
  /** Runs while it has no carrier and others have. */
  graceTimer: NodeJS.Timeout | undefined;
}

/** The longest time a timer takes; the times are the relay's to say. */
export const MAX_TIMER_MS = 2 ** 31 - 1;
const MIN_HEARTBEAT_MS = 10;
/** How long a carrier that is in doubt may stay silent. */
const WAKE_PROBE_MS = 2_000;
/** How often it is looked at whether the lanes are full. */
const LANE_CHECK_MS = 1_000;
/** Another lane is opened when all were this full at so many looks in a row … */
const LANE_FULL_SHARE = 0.7;
const LANE_FULL_LOOKS = 3;
/** … on a line this long: on a short one a single kernel connection carries whatever the line does. */
const LANE_MIN_RTT_MS = 20;

export class LinkSession implements SessionEvents {
  readonly id = randomBytes(SESSION_ID_BYTES).toString('base64url');
  readonly #options: LinkSessionOptions;
  readonly #events: LinkSessionEvents;
  readonly #random = randomBytes(RANDOM_BYTES).toString('base64url');
  /** For the first carrier; every lane has its own afterwards. */
  readonly #backoff = new Backoff();
  readonly #abort = new AbortController();
  #established: Established | undefined;
  #lanes: LaneState[] = [];
  #firstTry: NodeJS.Timeout | undefined;
  #graceTimer: NodeJS.Timeout | undefined;
  #laneTimer: NodeJS.Timeout | undefined;
  #fullLooks = 0;
  #closing = false;
  #over = false;

  constructor(options: LinkSessionOptions, events: LinkSessionEvents) {
    this.#options = options;
    this.#events = events;
  }

  get established(): boolean {
    return this.#established !== undefined && this.#lanes.some((state) => state.pump !== undefined);
  }

  /** Whether the relay understands what was not in claims from the beginning. */
  knows(feature: ClaimFeature): boolean {
    return this.#established?.welcome.features?.includes(feature) === true;
  }

  get streamCount(): number {
    return this.#established?.session.streamCount ?? 0;
  }

  get minRttMs(): number | undefined {
    const rtt = this.#lanes[0]?.lane.minRttMs;
    return rtt === undefined || !Number.isFinite(rtt) ? undefined : rtt;
  }

  start(): void {
    this.#tryAgain(undefined, 0);
  }

  /** The line may be another one now: doubts the carriers there are, and waits no longer to dial for those there are not. */
  wake(): void {
    if (this.#firstTry !== undefined) this.#tryAgain(undefined, 0);
    for (const state of this.#lanes) {
      state.pump?.probe(WAKE_PROBE_MS);
      if (state.retryTimer !== undefined) this.#tryAgain(state, 0);
    }
  }

  send(message: Message): void {
    this.#established?.session.sendMessage(message);
  }

  goAway(leftMs: number): void {
    this.#established?.session.goAway('GOING_AWAY', leftMs, 'the agent is about to stop');
  }

  /** Ends the session and tells the relay, when there is a carrier. Idempotent. */
  close(code: ErrorCode, detail = ''): void {
    if (this.#over || this.#closing) return;
    this.#closing = true;
    const farewell = this.#established?.session.close(code, detail);
    this.#finish(new PortholeError(code, detail), farewell);
  }

  onOpen(opening: StreamOpening, stream: Stream): StreamSink {
    return this.#events.onOpen(this, opening, stream);
  }

  onMessage(message: Message): void {
    this.#events.onMessage(this, message);
  }

  onGoAway(_code: ErrorCode, leftMs: number, detail: string): void {
    this.#events.onGoAway(this, leftMs, detail);
  }

  onWantWrite(lane: Lane): void {
    this.#lanes[lane.index]?.pump?.wantWrite();
  }

  onFault(error: unknown): void {
    this.#events.onFault(error);
  }

  onClosed(code: ErrorCode, detail: string): void {
    // Closed from this end: `close` goes on and says farewell.
    if (!this.#closing) this.#finish(new PortholeError(code, detail), undefined);
  }

  /** `state` is undefined for the first carrier, which creates the session. */
  #tryAgain(state: LaneState | undefined, delayMs: number): void {
    if (this.#over) return;
    const timer = setTimeout(() => {
      this.#keepTimer(state, undefined);
      const since = monotonicNow();
      this.#dial(state).catch((error: unknown) => this.#onDialFailed(state, error, monotonicNow() - since));
    }, delayMs);
    this.#keepTimer(state, timer);
  }

  #keepTimer(state: LaneState | undefined, timer: NodeJS.Timeout | undefined): void {
    clearTimeout(state === undefined ? this.#firstTry : state.retryTimer);
    if (state === undefined) this.#firstTry = timer;
    else state.retryTimer = timer;
  }

  async #dial(state: LaneState | undefined): Promise<void> {
    const carrier = await this.#options.dial(this.#abort.signal);
    if (this.#over) {
      carrier.destroy();
      return;
    }
    const greeted = await greetRelay(carrier, (challenge) =>
      state === undefined ? this.#createHello(challenge, carrier) : this.#resumeHello(state, challenge, carrier),
    );
    if (this.#over) {
      carrier.destroy();
      return;
    }
    try {
      if (state === undefined) this.#onCreated(greeted, carrier);
      else this.#onResumed(state, greeted, carrier);
    } catch (error) {
      carrier.destroy();
      throw error;
    }
  }

  #createHello(challenge: Challenge, carrier: Carrier): Hello {
    const keyingMaterial = carrier.keyingMaterial();
    return {
      mode: 'create',
      version: PROTOCOL_VERSION,
      session: this.id,
      random: this.#random,
      software: this.#options.software,
      ...(this.#options.token === undefined ? {} : { token: this.#options.token }),
      ...(keyingMaterial === undefined ? {} : { binding: proveBinding(keyingMaterial, challenge.nonce) }),
    };
  }

  #resumeHello(state: LaneState, challenge: Challenge, carrier: Carrier): Hello {
    // Raised for every hello, also one whose answer is lost: the relay takes no epoch twice.
    state.epoch += 1;
    const claim = { session: this.id, lane: state.lane.index, epoch: state.epoch, received: state.lane.received };
    const { key, welcome } = this.#established as Established;
    const keyingMaterial = welcome.bound ? carrier.keyingMaterial() : undefined;
    const proof = proveResume(key, 'agent', { ...claim, nonce: challenge.nonce, keyingMaterial });
    const node = welcome.node === undefined ? {} : { node: welcome.node };
    return { mode: 'resume', version: PROTOCOL_VERSION, ...claim, proof, software: this.#options.software, ...node };
  }

  #onCreated(greeted: Greeted, carrier: Carrier): void {
    const { welcome } = greeted;
    if (welcome.random === undefined) throw new PortholeError('NOT_A_RELAY', 'no random in the welcome');
    const keyingMaterial = welcome.bound ? carrier.keyingMaterial() : undefined;
    const key = deriveSessionKey(this.id, this.#random, welcome.random, keyingMaterial);
    const session = new Session({ role: 'agent', now: monotonicNow }, this);
    this.#established = { session, key, welcome };
    const state = this.#addState(session.lanes[0] as Lane);
    if (welcome.maxLanes > 1)
      this.#laneTimer = setInterval(
        () => this.#lookAtLanes(session, Math.min(welcome.maxLanes, MAX_LANES)),
        LANE_CHECK_MS,
      );
    this.#attach(state, greeted, carrier, false);
  }

  #addState(lane: Lane): LaneState {
    const state: LaneState = {
      lane,
      backoff: new Backoff(),
      epoch: 0,
      pump: undefined,
      since: 0,
      everAttached: false,
      retryTimer: undefined,
      graceTimer: undefined,
    };
    this.#lanes[lane.index] = state;
    return state;
  }

  /** One kernel connection does not fill a long line: when every lane has been full for a while, one more is opened. */
  #lookAtLanes(session: Session, maxLanes: number): void {
    const full = this.#lanes.every(
      ({ lane, pump }) =>
        pump !== undefined && lane.minRttMs >= LANE_MIN_RTT_MS && lane.unackedBytes >= LANE_FULL_SHARE * lane.capBytes,
    );
    this.#fullLooks = full ? this.#fullLooks + 1 : 0;
    if (this.#fullLooks < LANE_FULL_LOOKS || this.#lanes.length >= maxLanes) return;
    this.#fullLooks = 0;
    this.#tryAgain(this.#addState(session.addLane()), 0);
  }

  #onResumed(state: LaneState, greeted: Greeted, carrier: Carrier): void {
    const { key, welcome: first } = this.#established as Established;
    const { welcome, challenge } = greeted;
    const expected = proveResume(key, 'relay', {
      session: this.id,
      lane: state.lane.index,
      epoch: state.epoch,
      received: welcome.received,
      nonce: challenge.nonce,
      keyingMaterial: first.bound ? carrier.keyingMaterial() : undefined,
    });
    if (welcome.epoch !== state.epoch || !sameProof(expected, welcome.proof ?? ''))
      throw new PortholeError('NOT_A_RELAY', 'it does not know this session');
    this.#attach(state, greeted, carrier, true);
  }

  #attach(state: LaneState, greeted: Greeted, carrier: Carrier, resumed: boolean): void {
    const { welcome } = this.#established as Established;
    state.lane.attach(greeted.welcome.received);
    clearTimeout(this.#graceTimer);
    clearTimeout(state.graceTimer);
    const wasAway = !this.established;
    state.since = monotonicNow();
    state.everAttached = true;
    const heartbeatMs = Math.min(Math.max(welcome.heartbeatMs, MIN_HEARTBEAT_MS), MAX_TIMER_MS);
    const pump = new LanePump(state.lane, carrier, heartbeatMs, {
      onDetached: (reason) => this.#onDetached(state, pump, reason),
      onViolation: (error) => {
        if (error.code === 'INTERNAL') this.#events.onFault(error.cause);
        this.close(error.code, error.detail);
      },
    });
    state.pump = pump;
    if (wasAway)
      this.#events.onEstablished(this, { resumed, carrier: carrier.kind, relaySoftware: greeted.challenge.software });
    if (greeted.rest.length > 0) pump.onBytes(greeted.rest);
    carrier.resume();
  }

  #onDetached(state: LaneState, pump: LanePump, reason: PortholeError | undefined): void {
    if (this.#over || state.pump !== pump) return;
    state.pump = undefined;
    state.backoff.lived(monotonicNow() - state.since, pump.bytesIn + pump.bytesOut);
    const delayMs = state.backoff.next();
    const { session, welcome } = this.#established as Established;
    const detail = `away for ${welcome.graceMs} ms`;
    const graceMs = Math.min(welcome.graceMs, MAX_TIMER_MS);
    if (this.established) {
      // The session goes on with its other lanes; what is pinned to this one waits as long as all would.
      state.graceTimer = setTimeout(() => session.abandonStreams(state.lane, 'SESSION_LOST', detail), graceMs);
    } else {
      this.#graceTimer = setTimeout(() => this.close('SESSION_LOST', detail), graceMs);
      this.#events.onInterrupted(
        this,
        reason ?? new PortholeError('RELAY_UNREACHABLE', 'the connection was closed'),
        delayMs,
      );
    }
    this.#tryAgain(state, delayMs);
  }

  #onDialFailed(state: LaneState | undefined, error: unknown, tookMs: number): void {
    if (this.#over) return;
    const reason =
      error instanceof PortholeError ? error : new PortholeError('INTERNAL', String(error), { cause: error });
    if (FINAL_REFUSALS.has(reason.code)) {
      this.close(reason.code, reason.detail);
      return;
    }
    if (reason.code === 'SESSION_GONE' || (this.#established !== undefined && reason.code === 'PROTOCOL_ERROR')) {
      // A further lane that the relay will not have: the session goes on with those it has.
      if (state?.everAttached === false) return;
      this.close('SESSION_LOST', 'the relay does not know the session any more');
      return;
    }
    const failed: FailedTry = { tookMs, reachedNobody: reachedNobody(error) };
    const delayMs = (state?.backoff ?? this.#backoff).next(failed);
    if (!this.established) this.#events.onInterrupted(this, reason, delayMs);
    this.#tryAgain(state, delayMs);
  }

  #finish(reason: PortholeError, farewell: Buffer | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#abort.abort();
    clearTimeout(this.#firstTry);
    clearTimeout(this.#graceTimer);
    clearInterval(this.#laneTimer);
    for (const state of this.#lanes) {
      clearTimeout(state.retryTimer);
      clearTimeout(state.graceTimer);
      state.pump?.stop(farewell);
    }
    this.#lanes = [];
    this.#events.onOver(this, reason);
  }
}
