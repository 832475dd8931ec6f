/**
 * Where agents come in: takes over the connections that the public door recognised as carriers, leads the handshake and
 * keeps the sessions that come of it.
 */
import type * as net from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { PortholeError, UPGRADE_TOKEN, type RequestHead } from '@porthole/protocol';
import { type Carrier, SocketCarrier } from '@porthole/protocol/node';
import { sourceOf } from '../access/source-of.ts';
import type { AgentUpgrade, RefuseUpgrade } from '../routing/agent-upgrade.ts';
import type { HeardHello } from '../routing/carrier-handover.ts';
import { AcceptPace } from './accept-pace.ts';
import { countCode } from './agent-counters.ts';
import type { AgentParts } from './agent-parts.ts';
import type { AgentSession } from './agent-session.ts';
import { encodeWelcome, refuseCarrier, RelayHandshake } from './relay-handshake.ts';
import { WebSocketDoor } from './web-socket-door.ts';

/** Handshakes under way at once; more wait for nothing and are told to come again. */
const MAX_HANDSHAKES = 1_024;
/** Of one address (one network, with IPv6). */
const MAX_HANDSHAKES_PER_SOURCE = 256;

const MOVED_CHECK_MS = 100;
/** For so many looks in a row. */
const MOVED_LOOKS = 10;

const SWITCHING = Buffer.from(
  `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${UPGRADE_TOKEN}\r\n\r\n`,
  'latin1',
);

export class AgentDoor implements AgentUpgrade {
  readonly #parts: AgentParts;
  readonly #sessions = new Map<string, AgentSession>();
  readonly #handshakes = new Set<RelayHandshake>();
  readonly #webSockets = new WebSocketDoor();
  readonly #pace = new AcceptPace();
  readonly #stopWatching: () => void;
  #draining = false;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#stopWatching = parts.access.onRevoked((tokenId) => this.#onRevoked(tokenId));
  }

  get sessions(): Iterable<AgentSession> {
    return this.#sessions.values();
  }

  accept(socket: net.Socket, head: RequestHead, rest: Buffer, refuse: RefuseUpgrade): void {
    socket.on('error', () => socket.destroy());
    if (this.#draining) refuse('RELAY_DRAINING', '');
    else if (!this.#hasRoomFor(socket) || !this.#pace.take(() => this.#accept(socket, head, rest, refuse)))
      refuse('RELAY_FULL', 'too many agents come in at once');
  }

  /** Whoever opens handshakes and never finishes them must not keep the others out. */
  #hasRoomFor(socket: net.Socket): boolean {
    if (this.#handshakes.size >= MAX_HANDSHAKES) return false;
    if (this.#handshakes.size < MAX_HANDSHAKES_PER_SOURCE) return true;
    const source = sourceOf(socket.remoteAddress ?? '');
    let same = 0;
    for (const handshake of this.#handshakes) if (sourceOf(handshake.remoteAddress) === source) same += 1;
    return same < MAX_HANDSHAKES_PER_SOURCE;
  }

  /** A carrier that landed on another process of the relay; what it says is verified here. */
  takePassed(carrier: Carrier, { hello, nonce }: HeardHello): void {
    try {
      const session = this.#sessions.get(hello.session);
      if (session === undefined) throw new PortholeError('SESSION_GONE', 'unknown here');
      session.resume(hello, nonce, carrier, encodeWelcome);
    } catch (error) {
      if (!(error instanceof PortholeError)) this.#parts.log.error({ event: 'fault', err: error });
      const code = error instanceof PortholeError ? error.code : 'INTERNAL';
      countCode(this.#parts.counters.refusedTotal, code);
      refuseCarrier(carrier, code, '', this.#parts.heartbeatMs);
    }
  }

  /** Takes no new sessions and tells every agent to move. */
  drain(leftMs: number): void {
    this.#draining = true;
    for (const handshake of this.#handshakes) handshake.abort();
    for (const session of this.#sessions.values()) session.goAway(leftMs);
  }

  /**
   * While draining: ends each session once its agent has moved and nothing of it is under way, a little later, because
   * another process may just be sending a visitor here. Resolves when none is left, or after that time.
   */
  async untilMoved(limitMs: number): Promise<void> {
    const end = performance.now() + limitMs;
    const looks = new Map<AgentSession, number>();
    while (this.#sessions.size > 0 && performance.now() < end) {
      await setTimeout(MOVED_CHECK_MS);
      for (const session of this.#sessions.values()) {
        const seen = session.isFinished ? (looks.get(session) ?? 0) + 1 : 0;
        looks.set(session, seen);
        if (seen >= MOVED_LOOKS) session.close('NO_ERROR', 'moved');
      }
    }
  }

  /** Ends every session; agents come back by themselves once somebody answers. Idempotent. */
  close(): void {
    this.#draining = true;
    this.#pace.close();
    this.#stopWatching();
    for (const handshake of this.#handshakes) handshake.abort();
    for (const session of this.#sessions.values()) session.close('GOING_AWAY', 'the relay stopped');
    this.#webSockets.close();
    this.#parts.throttledLog.close();
  }

  #accept(socket: net.Socket, head: RequestHead, rest: Buffer, refuse: RefuseUpgrade): void {
    if (socket.destroyed) return;
    if (this.#draining) {
      refuse('RELAY_DRAINING', '');
      return;
    }
    if (head.upgrade?.toLowerCase() === UPGRADE_TOKEN) {
      socket.write(SWITCHING);
      this.#begin(new SocketCarrier(socket, rest));
    } else {
      this.#webSockets.accept(socket, head, rest, (carrier) => this.#begin(carrier), refuse);
    }
  }

  #begin(carrier: Carrier): void {
    const handshake = new RelayHandshake(carrier, this.#sessions, this.#parts, () =>
      this.#handshakes.delete(handshake),
    );
    this.#handshakes.add(handshake);
    handshake.start();
  }

  #onRevoked(tokenId: string): void {
    for (const handshake of this.#handshakes) handshake.onRevoked(tokenId);
    for (const session of this.#sessions.values()) {
      if (session.who.tokenId !== tokenId) continue;
      countCode(this.#parts.counters.refusedTotal, 'TOKEN_REVOKED');
      session.close('TOKEN_REVOKED');
    }
  }
}
