/** The called end of a session between two workers: each stream goes on to an agent of this one. */
import type * as net from 'node:net';
import {
  decodeRaw,
  decodeRequest,
  type Lane,
  NO_SINK,
  PortholeError,
  Session,
  type SessionEvents,
  type Stream,
  type StreamOpening,
  STREAM_KIND,
  type StreamSink,
} from '@porthole/protocol';
import { LanePump, monotonicNow, SocketCarrier } from '@porthole/protocol/node';
import type { Target } from '../routing/target.ts';
import { PEER_HEARTBEAT_MS, PEER_STREAMS } from './peer-link.ts';
import { spliceStreams } from './stream-splice.ts';

export interface PeerSessionParts {
  readonly ownTarget: (lease: number) => Target | undefined;
  readonly reportBug: (error: unknown) => void;
}

export class PeerSession implements SessionEvents {
  readonly #session = new Session({ role: 'agent', now: monotonicNow, maxStreams: PEER_STREAMS }, this);
  readonly #pump: LanePump;
  readonly #parts: PeerSessionParts;
  readonly #onOver: (session: PeerSession) => void;
  #closing = false;

  constructor(socket: net.Socket, rest: Buffer, parts: PeerSessionParts, onOver: (session: PeerSession) => void) {
    this.#parts = parts;
    this.#onOver = onOver;
    const lane = this.#session.lanes[0] as Lane;
    const carrier = new SocketCarrier(socket, rest);
    lane.attach(0);
    this.#pump = new LanePump(lane, carrier, PEER_HEARTBEAT_MS, {
      onDetached: () => this.close(),
      onViolation: (error) => {
        parts.reportBug(error);
        this.close();
      },
    });
  }

  get streamCount(): number {
    return this.#session.streamCount;
  }

  /** Idempotent. */
  close(): void {
    if (this.#session.closed) return;
    this.#closing = true;
    this.#pump.stop(this.#session.close('GOING_AWAY'));
  }

  onOpen(opening: StreamOpening, stream: Stream): StreamSink {
    const target = this.#parts.ownTarget(opening.tunnelId);
    if (target === undefined) {
      stream.reset('STREAM_REFUSED', 'the agent has moved');
      return NO_SINK;
    }
    try {
      return spliceStreams(stream, (sink) =>
        opening.kind === STREAM_KIND.exchange
          ? target.openExchange(decodeRequest(opening.block), sink)
          : target.openRaw(decodeRaw(opening.block), sink),
      );
    } catch (error) {
      if (!(error instanceof PortholeError)) this.#parts.reportBug(error);
      stream.reset(error instanceof PortholeError ? error.code : 'INTERNAL');
      return NO_SINK;
    }
  }

  onMessage(): void {}

  onGoAway(): void {}

  onWantWrite(): void {
    this.#pump?.wantWrite();
  }

  onFault(error: unknown): void {
    this.#parts.reportBug(error);
  }

  onClosed(): void {
    // Closed by the other worker: nothing is left to say.
    if (!this.#closing) this.#pump.stop();
    this.#onOver(this);
  }
}
