/**
 * The connection of an agent to a relay, for ever: keeps one session going, starts another when that is lost or the
 * relay asks us to move, and claims every tunnel's address anew each time.
 */
import {
  type ClaimedMessage,
  type ClaimFeature,
  decodeRaw,
  type ErrorCode,
  featuresOf,
  type Message,
  PortholeError,
  type RefusedMessage,
  type Stream,
  type StreamOpening,
  type StreamSink,
  STREAM_KIND,
} from '@porthole/protocol';
import { Backoff } from './backoff.ts';
import { deafSink } from './deaf-sink.ts';
import { type DialCarrier, FINAL_REFUSALS, LinkSession, type LinkSessionEvents, MAX_TIMER_MS } from './link-session.ts';
import type { Origin } from './origin.ts';
import type { ConnectedInfo, LinkEvents, LinkedTunnel, RelayLink, TunnelClaim, TunnelEvents } from './relay-link.ts';
import { SoundRequests } from './sound-request.ts';
import { WakeWatch } from './wake-watch.ts';

export interface SessionLinkOptions {
  readonly dial: DialCarrier;
  readonly token: string | undefined;
  /** Software and version, for the relay's log. */
  readonly software: string;
  readonly events: LinkEvents;
  /** Told of bugs: something threw that should not have. */
  readonly onFault: (error: unknown) => void;
}

interface Tunnel {
  readonly id: number;
  readonly claim: TunnelClaim;
  readonly origin: Origin;
  readonly events: TunnelEvents;
  /** What the relay gave us, which we ask for again after a lost session. */
  given: ClaimedMessage | undefined;
  /** The session on which it was given. */
  givenOn: LinkSession | undefined;
  /** The address given before is not to be had any more, and none was asked for: any will do. */
  settleForAny: boolean;
}

interface LeavingTimers {
  /** Looks whether it is idle. */
  readonly look: NodeJS.Timeout;
  /** Ends it at the latest. */
  readonly end: NodeJS.Timeout;
}

/** Sessions that failed or were sent away one after another, and never stood for long, are started with growing pauses, too. */
export class SessionLink implements RelayLink, LinkSessionEvents {
  readonly #options: SessionLinkOptions;
  readonly #requests = new SoundRequests();
  readonly #tunnels = new Map<number, Tunnel>();
  readonly #restart = new Backoff();
  readonly #wakeWatch = new WakeWatch(() => this.#onWake());
  #current: LinkSession | undefined;
  /** Sessions that the relay told us to move away from; they end when their last stream has. */
  readonly #leaving = new Map<LinkSession, LeavingTimers>();
  #restartTimer: NodeJS.Timeout | undefined;
  /** When the current session was established. */
  #standsSince: number | undefined;
  #nextTunnelId = 1;
  #finished = false;
  #closed: Promise<void> | undefined;

  constructor(options: SessionLinkOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#current !== undefined || this.#finished) return;
    this.#wakeWatch.start();
    this.#startSession();
  }

  openTunnel(claim: TunnelClaim, origin: Origin, events: TunnelEvents): LinkedTunnel {
    const tunnel: Tunnel = {
      id: this.#nextTunnelId,
      claim,
      origin,
      events,
      given: undefined,
      givenOn: undefined,
      settleForAny: false,
    };
    this.#nextTunnelId += 1;
    this.#tunnels.set(tunnel.id, tunnel);
    if (this.#current?.established === true) this.#claim(tunnel);
    return { id: tunnel.id, release: () => this.#release(tunnel) };
  }

  close(drainMs: number): Promise<void> {
    this.#closed ??= this.#close(drainMs);
    return this.#closed;
  }

  onEstablished(session: LinkSession, info: Omit<ConnectedInfo, 'rttMs'>): void {
    if (session !== this.#current) return;
    if (!info.resumed) {
      this.#standsSince = performance.now();
      for (const tunnel of this.#tunnels.values()) this.#claim(tunnel);
    }
    this.#options.events.onConnected({ ...info, rttMs: session.minRttMs });
  }

  onInterrupted(session: LinkSession, reason: PortholeError, nextTryInMs: number): void {
    if (session === this.#current) this.#interrupted(reason, nextTryInMs);
  }

  onOpen(_session: LinkSession, opening: StreamOpening, stream: Stream): StreamSink {
    const tunnel = this.#tunnels.get(opening.tunnelId);
    if (tunnel === undefined) {
      // The relay did not know yet when it sent the visitor; it may try somebody else.
      stream.reset('STREAM_REFUSED', 'the agent has closed this tunnel');
      return deafSink(stream);
    }
    if (opening.kind === STREAM_KIND.raw) return tunnel.origin.openRaw(decodeRaw(opening.block), stream);
    const request = this.#requests.read(opening.block);
    if (request === undefined) {
      stream.reset('PROTOCOL_ERROR', 'a request that no visitor can have sent');
      return deafSink(stream);
    }
    return tunnel.origin.openExchange(request, stream);
  }

  onMessage(session: LinkSession, message: Message): void {
    // A session we are leaving reports what our own new session took over from it.
    if (session !== this.#current) return;
    if (message.type !== 'claimed' && message.type !== 'refused')
      throw new PortholeError('PROTOCOL_ERROR', `an agent takes no ${message.type}`);
    const tunnel = this.#tunnels.get(message.id);
    if (tunnel === undefined) return;
    if (message.type === 'claimed') {
      tunnel.given = message;
      tunnel.givenOn = session;
      tunnel.events.onClaimed(message);
    } else {
      this.#onRefused(tunnel, message);
    }
  }

  onGoAway(session: LinkSession, leftMs: number, detail: string): void {
    if (session !== this.#current || this.#finished) return;
    const idle = { looks: 0 };
    this.#leaving.set(session, {
      look: setInterval(() => this.#closeWhenIdle(session, idle), LEAVING_CHECK_MS),
      // A little later than the relay's own end, so that it is the relay that tells its visitors.
      end: setTimeout(() => this.#forget(session), Math.min(leftMs + LEAVING_PATIENCE_MS, MAX_TIMER_MS)).unref(),
    });
    // A relay that sends us away again and again must not make us hold a session for each time.
    const [oldest] = this.#leaving.keys();
    if (this.#leaving.size > MAX_LEAVING && oldest !== undefined) this.#forget(oldest);
    this.#current = undefined;
    this.#startAgain(new PortholeError('GOING_AWAY', detail));
  }

  onOver(session: LinkSession, reason: PortholeError): void {
    this.#leaves(session);
    if (session !== this.#current || this.#finished) return;
    this.#current = undefined;
    if (FINAL_REFUSALS.has(reason.code)) {
      this.#finished = true;
      this.#wakeWatch.stop();
      this.#options.events.onFinished(reason);
      return;
    }
    this.#startAgain(reason);
  }

  onFault(error: unknown): void {
    this.#options.onFault(error);
  }

  #startAgain(reason: PortholeError): void {
    if (this.#standsSince !== undefined) this.#restart.lived(performance.now() - this.#standsSince, 0);
    this.#standsSince = undefined;
    const delayMs = this.#restart.next();
    // Whoever is sent away for the first time is served where it was until it has moved.
    if (this.#leaving.size === 0 || delayMs > AT_ONCE_MS) this.#interrupted(reason, delayMs);
    this.#restartTimer = setTimeout(() => this.#startSession(), delayMs);
  }

  /** What the relay says of itself reads from here as if it were said of the agent. */
  #interrupted(reason: PortholeError, nextTryInMs: number): void {
    const seen = reason.code === 'GOING_AWAY' ? new PortholeError('RELAY_STOPPING', reason.detail) : reason;
    this.#options.events.onInterrupted(seen, nextTryInMs);
  }

  #startSession(): void {
    if (this.#finished) return;
    clearTimeout(this.#restartTimer);
    this.#restartTimer = undefined;
    this.#current = new LinkSession(this.#options, this);
    this.#current.start();
  }

  #onWake(): void {
    for (const leaving of this.#leaving.keys()) leaving.wake();
    if (this.#current !== undefined) this.#current.wake();
    else if (this.#restartTimer !== undefined) this.#startSession();
  }

  #claim(tunnel: Tunnel): void {
    const { claim, given } = tunnel;
    const again =
      given === undefined || tunnel.settleForAny
        ? {}
        : given.port === undefined
          ? { name: given.name }
          : { port: given.port };
    const unknown = featuresOf(claim).find((feature) => this.#current?.knows(feature) === false);
    if (unknown === undefined) this.#current?.send({ type: 'claim', id: tunnel.id, ...again, ...claim });
    else queueMicrotask(() => this.#end(tunnel, 'NOT_SUPPORTED', `${IN_WORDS[unknown]}: the relay is too old for it`));
  }

  #end(tunnel: Tunnel, code: ErrorCode, detail: string): void {
    if (this.#tunnels.delete(tunnel.id)) tunnel.events.onRefused(code, detail);
  }

  #onRefused(tunnel: Tunnel, refused: RefusedMessage): void {
    const { claim } = tunnel;
    const asked = claim.name !== undefined || claim.port !== undefined;
    if (!asked && tunnel.given !== undefined && !tunnel.settleForAny && ADDRESS_LOST.has(refused.code)) {
      tunnel.settleForAny = true;
      this.#claim(tunnel);
      return;
    }
    this.#end(tunnel, refused.code, refused.detail);
  }

  #release(tunnel: Tunnel): void {
    if (this.#tunnels.delete(tunnel.id)) this.#current?.send({ type: 'release', id: tunnel.id });
  }

  /**
   * The relay ends a session it sent us away from when it has nothing more for it. This is for one that does not, and
   * late enough for visitors who were led here before the relay knew of the new session.
   */
  #closeWhenIdle(session: LinkSession, idle: { looks: number }): void {
    const moved = [...this.#tunnels.values()].every((tunnel) => tunnel.givenOn === this.#current);
    const isIdle = session.streamCount === 0 && this.#current?.established === true && moved;
    idle.looks = isIdle ? idle.looks + 1 : 0;
    if (idle.looks >= LEAVING_IDLE_LOOKS) this.#forget(session);
  }

  #forget(session: LinkSession): void {
    if (this.#leaves(session)) session.close('NO_ERROR');
  }

  /** False when it was not one of those that are left. */
  #leaves(session: LinkSession): boolean {
    const timers = this.#leaving.get(session);
    clearInterval(timers?.look);
    clearTimeout(timers?.end);
    return this.#leaving.delete(session);
  }

  async #close(drainMs: number): Promise<void> {
    this.#finished = true;
    this.#wakeWatch.stop();
    clearTimeout(this.#restartTimer);
    const sessions = [...this.#leaving.keys()];
    if (this.#current !== undefined) sessions.push(this.#current);
    // Also without anything under way: the relay may just be sending a visitor here.
    if (this.#current?.established === true && drainMs > 0) this.#current.goAway(drainMs);
    await Promise.all(sessions.map((session) => untilIdle(session, drainMs)));
    for (const session of sessions) {
      this.#leaves(session);
      session.close('NO_ERROR');
    }
  }
}

/** A relay that knows nothing of it would leave it out: a tunnel open to all instead of to some, a name instead of a port. */
const IN_WORDS: Readonly<Record<ClaimFeature, string>> = {
  'client-ca': 'certificates of visitors',
  'http-port': 'HTTP tunnels by port',
};

/** A pause before a new session that nobody needs to be told of. */
const AT_ONCE_MS = 50;
const LEAVING_PATIENCE_MS = 5_000;
const LEAVING_CHECK_MS = 200;
const LEAVING_IDLE_LOOKS = 50;
const LEAVING_LOOK_MS = 50;
/** Sessions that are left at once; the oldest gives way. */
const MAX_LEAVING = 8;

/** Why an address that was merely given to us may be gone after a lost session. */
const ADDRESS_LOST: ReadonlySet<ErrorCode> = new Set(['NAME_TAKEN', 'NAME_RESERVED', 'PORT_TAKEN', 'PORT_NOT_ALLOWED']);

/**
 * Resolves when the session has had no stream for long enough that none is on its way, or after `limitMs`; at once when
 * it does not stand.
 */
async function untilIdle(session: LinkSession, limitMs: number): Promise<void> {
  if (!session.established || limitMs <= 0) return;
  await new Promise<void>((resolve) => {
    const started = performance.now();
    const onTheWayMs = 2 * (session.minRttMs ?? 0) + 2 * LEAVING_LOOK_MS;
    let idleMs = 0;
    const timer = setInterval(() => {
      idleMs = session.streamCount > 0 ? 0 : idleMs + LEAVING_LOOK_MS;
      if (idleMs < onTheWayMs && performance.now() - started < limitMs) return;
      clearInterval(timer);
      resolve();
    }, LEAVING_LOOK_MS);
  });
}
