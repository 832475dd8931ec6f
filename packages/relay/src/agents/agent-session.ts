/**
 * One agent's session at the relay: its lanes and their carriers, its tunnels, and the grace time during which all of
 * it waits for an agent that has lost its network.
 */
import {
  type ErrorCode,
  type Message,
  NO_SINK,
  PortholeError,
  proveResume,
  type ResumeHello,
  sameProof,
  Session,
  type SessionEvents,
  type Stream,
  type StreamSink,
  type Welcome,
} from '@porthole/protocol';
import { type Carrier, LanePump, monotonicNow } from '@porthole/protocol/node';
import type { Authenticated } from '../access/access.ts';
import type { AgentParts } from './agent-parts.ts';
import { AgentTunnels } from './agent-tunnels.ts';

export interface SessionSecret {
  readonly key: Buffer;
  /** Proofs are bound to the TLS carrier they come over. */
  readonly bound: boolean;
}

export class AgentSession implements SessionEvents {
  readonly id: string;
  readonly who: Authenticated;
  readonly tunnels: AgentTunnels;
  readonly session: Session;
  /** ISO 8601. */
  readonly since = new Date().toISOString();
  readonly #parts: AgentParts;
  readonly #secret: SessionSecret;
  readonly #onOver: (session: AgentSession) => void;
  readonly #pumps = new Map<number, LanePump>();
  readonly #epochs: number[] = [];
  /** Runs while no lane has a carrier. */
  #graceTimer: NodeJS.Timeout | undefined;
  /** Of lanes without a carrier while others have one. */
  readonly #laneTimers = new Map<number, NodeJS.Timeout>();
  #detachedAt: number | undefined;
  #closing = false;

  constructor(
    id: string,
    who: Authenticated,
    secret: SessionSecret,
    parts: AgentParts,
    onOver: (session: AgentSession) => void,
  ) {
    this.id = id;
    this.who = who;
    this.#secret = secret;
    this.#parts = parts;
    this.#onOver = onOver;
    this.session = new Session(
      { role: 'relay', now: monotonicNow, maxStreams: parts.limits.maxStreamsPerSession },
      this,
    );
    this.tunnels = new AgentTunnels(this.session, who, `${who.identity}/${id.slice(0, 8)}`, parts);
    parts.counters.sessionsOpen += 1;
    parts.counters.sessionsTotal += 1;
  }

  get attached(): boolean {
    return this.#pumps.size > 0;
  }

  get carrierKinds(): string[] {
    return [...this.#pumps.values()].map((pump) => pump.carrier.kind);
  }

  get remoteAddress(): string | undefined {
    return this.#pumps.values().next().value?.carrier.remoteAddress;
  }

  get minRttMs(): number | undefined {
    const rtt = this.session.lanes[0]?.minRttMs;
    return rtt === undefined || !Number.isFinite(rtt) ? undefined : rtt;
  }

  /** Bytes from and to the agent over the carriers of now. */
  get carrierBytes(): { readonly in: number; readonly out: number } {
    let bytesIn = 0;
    let bytesOut = 0;
    for (const pump of this.#pumps.values()) {
      bytesIn += pump.bytesIn;
      bytesOut += pump.bytesOut;
    }
    return { in: bytesIn, out: bytesOut };
  }

  /** Whether nothing of the first carrier ever arrived: its agent may not know that it has a session. */
  get untouched(): boolean {
    return this.session.lanes.every((lane) => lane.received === 0);
  }

  /** The first carrier of a new session. `welcome` is written in front of everything else. */
  begin(carrier: Carrier, welcome: Buffer): void {
    this.#epochs[0] = 0;
    this.#attach(0, carrier, 0, welcome);
  }

  /**
   * Another carrier for a lane of this session. Everything is verified before the old carrier is touched, and that is
   * fenced off before a position is told.
   * Throws SESSION_GONE when the proof does not hold or the position is none we could continue from.
   */
  resume(hello: ResumeHello, nonce: string, carrier: Carrier, encode: (welcome: Welcome) => Buffer): void {
    if (!this.#mayResume(hello, nonce, carrier)) throw new PortholeError('SESSION_GONE', 'not resumable');
    this.#pumps.get(hello.lane)?.stop();
    this.#dropPump(hello.lane);
    const lane = this.session.lanes[hello.lane] ?? this.session.addLane();
    const received = lane.received;
    this.#epochs[hello.lane] = hello.epoch;
    const proof = proveResume(this.#secret.key, 'relay', {
      session: this.id,
      lane: hello.lane,
      epoch: hello.epoch,
      received,
      nonce,
      keyingMaterial: this.#secret.bound ? carrier.keyingMaterial() : undefined,
    });
    const welcome = encode({
      ...this.#parts.welcome(this.who),
      lane: hello.lane,
      epoch: hello.epoch,
      received,
      proof,
      bound: this.#secret.bound,
    });
    this.#parts.counters.resumesTotal += 1;
    this.#attach(hello.lane, carrier, hello.received, welcome);
  }

  /** No stream is under way, and no visitor is led here any more. */
  get isFinished(): boolean {
    return this.session.streamCount === 0 && this.tunnels.isSuperseded;
  }

  /** Tells the agent that this relay is about to stop. */
  goAway(leftMs: number): void {
    this.tunnels.retire();
    this.session.goAway('GOING_AWAY', leftMs, 'the relay is about to stop');
  }

  /** Ends the session; the agent is told why. Idempotent. */
  close(code: ErrorCode, detail = ''): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#stopPumps(this.session.close(code, detail));
  }

  onOpen(_opening: unknown, stream: Stream): StreamSink {
    stream.reset('NOT_SUPPORTED', 'agents open no streams');
    return NO_SINK;
  }

  onMessage(message: Message): void {
    if (message.type === 'claim') this.tunnels.claim(message);
    else if (message.type === 'release') this.tunnels.release(message.id);
    else throw new PortholeError('PROTOCOL_ERROR', `a relay takes no ${message.type}`);
  }

  onGoAway(): void {
    this.tunnels.suspend();
  }

  onWantWrite(lane: { readonly index: number }): void {
    this.#pumps.get(lane.index)?.wantWrite();
  }

  onFault(error: unknown): void {
    this.#parts.log.error({ event: 'fault', session: this.id.slice(0, 8), err: error });
  }

  onClosed(code: ErrorCode, detail: string): void {
    clearTimeout(this.#graceTimer);
    for (const index of this.#laneTimers.keys()) this.#keepLane(index);
    this.tunnels.close(code !== 'GOING_AWAY');
    const { counters } = this.#parts;
    counters.sessionsOpen -= 1;
    if (this.#detachedAt !== undefined) counters.sessionsDetached -= 1;
    counters.carriersOpen -= this.#pumps.size;
    this.#parts.log.info({
      event: 'session closed',
      session: this.id.slice(0, 8),
      identity: this.who.identity,
      code,
      detail,
    });
    this.#onOver(this);
    // Closed from this end, `close` goes on and says farewell; by the other, nothing is left to say.
    if (!this.#closing) this.#stopPumps();
    this.#closing = true;
  }

  #stopPumps(farewell?: Buffer): void {
    for (const pump of this.#pumps.values()) pump.stop(farewell);
    this.#pumps.clear();
  }

  #mayResume(hello: ResumeHello, nonce: string, carrier: Carrier): boolean {
    if (this.session.closed || hello.lane > this.session.lanes.length || hello.lane >= this.#parts.maxLanes)
      return false;
    const keyingMaterial = this.#secret.bound ? carrier.keyingMaterial() : undefined;
    if (this.#secret.bound && keyingMaterial === undefined) return false;
    const expected = proveResume(this.#secret.key, 'agent', { ...hello, nonce, keyingMaterial });
    return sameProof(expected, hello.proof) && hello.epoch > (this.#epochs[hello.lane] ?? 0);
  }

  #attach(index: number, carrier: Carrier, peerReceived: number, welcome: Buffer): void {
    const lane = this.session.lanes[index];
    if (lane === undefined) throw new PortholeError('INTERNAL', `no lane ${index}`);
    try {
      lane.attach(peerReceived);
    } catch (error) {
      this.close('SESSION_GONE', 'position out of range');
      throw error;
    }
    carrier.write([welcome]);
    const pump = new LanePump(lane, carrier, this.#parts.heartbeatMs, {
      onDetached: (reason) => this.#onDetached(index, pump, reason),
      onViolation: (error) => this.#onViolation(error),
    });
    this.#pumps.set(index, pump);
    this.#keepLane(index);
    const { counters } = this.#parts;
    counters.carriersOpen += 1;
    counters.carriersTotal += 1;
    if (this.#detachedAt !== undefined) {
      this.#detachedAt = undefined;
      counters.sessionsDetached -= 1;
      clearTimeout(this.#graceTimer);
    }
    this.tunnels.restore();
  }

  #dropPump(index: number): void {
    if (this.#pumps.delete(index)) this.#parts.counters.carriersOpen -= 1;
  }

  #onDetached(index: number, pump: LanePump, reason: PortholeError | undefined): void {
    if (this.#closing || this.#pumps.get(index) !== pump) return;
    this.#dropPump(index);
    if (this.#pumps.size > 0) {
      this.#laneTimers.set(
        index,
        setTimeout(() => this.#onLaneLost(index), this.#parts.graceMs),
      );
      return;
    }
    this.#detachedAt = monotonicNow();
    this.#parts.counters.sessionsDetached += 1;
    this.#parts.log.info({
      event: 'session detached',
      session: this.id.slice(0, 8),
      identity: this.who.identity,
      reason: reason?.detail ?? 'closed',
    });
    this.tunnels.suspend();
    this.#graceTimer = setTimeout(
      () => this.close('SESSION_LOST', `away for ${this.#parts.graceMs} ms`),
      this.#parts.graceMs,
    );
  }

  /** The session goes on with its other lanes; what is pinned to this one has waited long enough. */
  #onLaneLost(index: number): void {
    this.#laneTimers.delete(index);
    const lane = this.session.lanes[index];
    if (lane !== undefined) this.session.abandonStreams(lane, 'SESSION_LOST', `away for ${this.#parts.graceMs} ms`);
  }

  #keepLane(index: number): void {
    clearTimeout(this.#laneTimers.get(index));
    this.#laneTimers.delete(index);
  }

  #onViolation(error: PortholeError): void {
    this.#parts.counters.violationsTotal += 1;
    if (error.code === 'INTERNAL') this.onFault(error.cause);
    this.close(error.code, error.detail);
  }
}
