/** An agent in an application: one link to a relay and the tunnels that share it. Life of a tunnel: claim, serve, release. */
import { type ClaimedMessage, PortholeError, type TunnelProtocol } from '@porthole/protocol';
import { openRelayLink, relayUrl, type RelayLinkOptions } from './open-relay-link.ts';
import { originOf, type ServedBy } from './served-by.ts';
import { claimsFor, openJointTunnel, type Several } from './joint-tunnel.ts';
import type { LinkEvents, RelayLink, TunnelClaim } from './relay-link.ts';
import { type OriginFailure, OriginFailures } from './origin-failures.ts';
import type { Origin } from './origin.ts';
import { Tunnel } from './tunnel.ts';

/** Where the agent reports to; nothing it says holds a secret or a visitor's data. Default: nobody. */
export interface AgentLog {
  debug(message: string, fields: Readonly<Record<string, unknown>>): void;
  info(message: string, fields: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface AgentOptions extends Pick<RelayLinkOptions, 'relay' | 'token' | 'ca' | 'proxy' | 'software'> {
  readonly log?: AgentLog | undefined;
}

export interface TunnelOptions extends ServedBy {
  /** Wanted name; given exactly or refused. Default: the relay makes one up. */
  readonly name?: string | undefined;
  /**
   * One of the relay's domains, or one of your own. Default: the relay's first. Several: an address under each, all of
   * them or none.
   */
  readonly domain?: string | readonly string[] | undefined;
  /** Wanted public port of a TCP tunnel, or of an HTTP tunnel in place of a name. Default: any free one. */
  readonly remotePort?: number | undefined;
  /** Share the name with other agents of the same identity instead of taking it over. Default false. */
  readonly pool?: boolean | undefined;
  /** PEM of the authorities whose certificates visitors of an HTTP tunnel must show. Default: nobody is asked. */
  readonly clientCa?: string | undefined;
  /** Closes the tunnel, or gives up opening it. */
  readonly signal?: AbortSignal | undefined;
  /** How long opening may take, in milliseconds. Default 30,000. */
  readonly openTimeoutMs?: number | undefined;
  /** The agent ends with this tunnel. Default false. */
  readonly closesAgent?: boolean | undefined;
}

const OPEN_TIMEOUT_MS = 30_000;

export type LinkFactory = (events: LinkEvents) => RelayLink;

/** Several tunnels over one link. `expose` is the short way to an agent with one. */
export class Agent implements AsyncDisposable {
  readonly #link: RelayLink;
  readonly #log: AgentLog | undefined;
  readonly #openings = new Set<TunnelOpening>();
  #started = false;
  #interrupted = false;
  #lastReason: PortholeError | undefined;
  #finished: PortholeError | undefined;
  #closing: Promise<void> | undefined;

  /** Nothing is dialed before the first `expose`. Throws CONFIG_INVALID. `openLink` replaces the network in tests. */
  constructor(options: AgentOptions, openLink?: LinkFactory) {
    this.#log = options.log;
    const relay = relayUrl(options.relay);
    const events: LinkEvents = {
      onConnected: (info) => this.#connected(info.resumed, info.carrier),
      onInterrupted: (reason, nextTryInMs) => this.#interruptedBy(reason, nextTryInMs),
      onFinished: (reason) => this.#finish(reason),
    };
    const onFault = (error: unknown): void => this.#log?.warn('fault', { error });
    this.#link = openLink?.(events) ?? openRelayLink({ ...options, relay, events, onFault });
  }

  /**
   * Resolves when the public address stands. Rejects with the code of a refusal (NAME_TAKEN, TOKEN_INVALID, …), with
   * TARGET_INVALID or CONFIG_INVALID, with what kept it from the relay after `openTimeoutMs`, or with the signal's
   * reason.
   */
  async expose(options: TunnelOptions): Promise<Tunnel> {
    options.signal?.throwIfAborted();
    if (this.#finished !== undefined) throw this.#finished;
    const failures = new OriginFailures((failure) => this.#originFailed(opening, failure));
    const { protocol, origin } = originOf(options, failures.note);
    const opening: TunnelOpening = new TunnelOpening(
      this.#link,
      claimsOf(protocol, options),
      origin,
      async (over, drainMs) => {
        this.#openings.delete(over);
        if (options.closesAgent === true) await this.close(drainMs);
      },
    );
    this.#openings.add(opening);
    const opened = opening.opened(options.openTimeoutMs ?? OPEN_TIMEOUT_MS, () => this.#lastReason, options.signal);
    if (!this.#started) {
      this.#started = true;
      this.#link.start();
    }
    const tunnel = await opened;
    this.#log?.info('tunnel opened', { urls: tunnel.urls, name: tunnel.name });
    return tunnel;
  }

  /** Closes all tunnels and the link. Requests under way may finish for at most `drainMs` (default 5,000). Idempotent. */
  close(drainMs = 5_000): Promise<void> {
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #connected(resumed: boolean, carrier: string): void {
    this.#log?.info('connected', { carrier, resumed });
    if (!this.#interrupted) return;
    this.#interrupted = false;
    for (const opening of this.#openings) opening.resumed(resumed);
  }

  #interruptedBy(reason: PortholeError, nextTryInMs: number): void {
    this.#log?.warn('interrupted', { code: reason.code, detail: reason.detail, nextTryInMs });
    this.#lastReason = reason;
    this.#interrupted = true;
    for (const opening of this.#openings) opening.interrupted(reason, nextTryInMs);
  }

  #originFailed(opening: TunnelOpening, failure: OriginFailure): void {
    const { code, detail } = failure.reason;
    this.#log?.warn('origin failed', { code, detail, times: failure.times });
    // Not from within the exchange: what a listener throws is not the visitor's.
    setImmediate(() => opening.originFailed(failure));
  }

  #finish(reason: PortholeError): void {
    this.#finished = reason;
    for (const opening of this.#openings) opening.over(reason);
  }

  async #close(drainMs: number): Promise<void> {
    this.#finished ??= new PortholeError('GOING_AWAY', 'the agent is closed');
    await this.#link.close(drainMs);
    for (const opening of this.#openings) opening.over(undefined);
  }
}

/** One tunnel from its claim to its end. */
class TunnelOpening {
  readonly #linked: { release(): void };
  readonly #origin: Origin;
  readonly #forget: (opening: TunnelOpening, drainMs: number) => Promise<void>;
  readonly #first = Promise.withResolvers<Tunnel>();
  #tunnel: Tunnel | undefined;
  /** A new session has been claimed for, but the relay has not said yes yet. */
  #owesResumed = false;
  #isOver = false;

  constructor(
    link: RelayLink,
    claims: Several<TunnelClaim>,
    origin: Origin,
    forget: (opening: TunnelOpening, drainMs: number) => Promise<void>,
  ) {
    this.#origin = origin;
    this.#forget = forget;
    this.#linked = openJointTunnel(link, claims, origin, {
      onClaimed: (claimed) => this.#claimed(claimed),
      onRefused: (code, detail) => this.over(new PortholeError(code, detail)),
    });
  }

  async opened(
    timeoutMs: number,
    lastReason: () => PortholeError | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Tunnel> {
    const timer = setTimeout(
      () => this.over(lastReason() ?? new PortholeError('RELAY_UNREACHABLE', `no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const onAbort = (): void => {
      if (this.#tunnel === undefined) this.#giveUp(signal?.reason);
      else void this.#tunnel.close();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const tunnel = await this.#first.promise;
      tunnel.once('closed', () => signal?.removeEventListener('abort', onAbort));
      return tunnel;
    } catch (error) {
      signal?.removeEventListener('abort', onAbort);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  interrupted(reason: PortholeError, nextTryInMs: number): void {
    this.#tunnel?.emit('interrupted', { reason, nextTryInMs });
  }

  resumed(streamsKept: boolean): void {
    if (streamsKept) this.#tunnel?.emit('resumed', { streamsKept });
    else this.#owesResumed = true;
  }

  originFailed(failure: OriginFailure): void {
    if (!this.#isOver) this.#tunnel?.emit('originFailed', failure);
  }

  over(reason: PortholeError | undefined): void {
    if (this.#isOver) return;
    void this.#end(0);
    if (this.#tunnel === undefined)
      this.#first.reject(reason ?? new PortholeError('GOING_AWAY', 'the agent was closed'));
    else this.#tunnel.noteOver(reason);
  }

  #claimed(claimed: Several<ClaimedMessage>): void {
    if (this.#isOver) return;
    const tunnel = this.#tunnel;
    if (tunnel === undefined) {
      const made = new Tunnel({ release: (drainMs) => this.#end(drainMs) }, claimed);
      this.#tunnel = made;
      this.#first.resolve(made);
      // Whoever awaited the tunnel has had the time to listen.
      setImmediate(() => made.noteClaimed(claimed));
      return;
    }
    tunnel.noteClaimed(claimed);
    if (this.#owesResumed) tunnel.emit('resumed', { streamsKept: false });
    this.#owesResumed = false;
  }

  #giveUp(reason: unknown): void {
    if (this.#isOver) return;
    void this.#end(0);
    this.#first.reject(reason);
  }

  async #end(drainMs: number): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#linked.release();
    await this.#forget(this, drainMs);
    this.#origin.close();
  }
}

function claimsOf(protocol: TunnelProtocol, options: TunnelOptions): Several<TunnelClaim> {
  const { domain = [] } = options;
  const claim = {
    protocol,
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.remotePort === undefined ? {} : { port: options.remotePort }),
    ...(options.pool === undefined ? {} : { pool: options.pool }),
    ...(options.clientCa === undefined ? {} : { clientCa: options.clientCa }),
  };
  return claimsFor(claim, typeof domain === 'string' ? [domain] : domain);
}
