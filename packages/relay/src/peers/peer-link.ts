/** The way to one other worker: a session over its local socket, opened when the first visitor needs it. */
import * as net from 'node:net';
import {
  type ErrorCode,
  type Lane,
  NO_SINK,
  Session,
  type SessionEvents,
  type Stream,
  type StreamOpening,
  type StreamSink,
} from '@porthole/protocol';
import { LanePump, monotonicNow, SocketCarrier } from '@porthole/protocol/node';
import { encodePeerHeader } from './peer-header.ts';

/** A worker that is silent for twice as long is as good as gone. */
export const PEER_HEARTBEAT_MS = 10_000;
/** Streams between two workers; visitors are counted where they come in. */
export const PEER_STREAMS = 262_144;

export class PeerLink implements SessionEvents {
  readonly #session: Session;
  #pump: LanePump | undefined;
  readonly #onOver: () => void;
  readonly #reportBug: (error: unknown) => void;
  #closing = false;

  constructor(path: string, onOver: () => void, reportBug: (error: unknown) => void) {
    this.#onOver = onOver;
    this.#reportBug = reportBug;
    this.#session = new Session({ role: 'relay', now: monotonicNow, maxStreams: PEER_STREAMS }, this);
    const socket = net.connect(path);
    const onGone = (): void => this.#end('SESSION_LOST', 'a process of the relay has ended');
    // Until then nothing leaves, so that visitors who cannot get through may be sent to somebody else.
    socket.once('connect', () => {
      socket.off('error', onGone);
      if (this.#session.closed) socket.destroy();
      else this.#start(socket, onGone);
    });
    socket.once('error', onGone);
  }

  get streamCount(): number {
    return this.#session.streamCount;
  }

  openStream(opening: StreamOpening, sink: StreamSink, ends: boolean): Stream {
    return this.#session.openStream(opening, sink, ends);
  }

  close(): void {
    this.#end('GOING_AWAY', '');
  }

  #start(socket: net.Socket, onGone: () => void): void {
    socket.write(encodePeerHeader({ kind: 'streams' }));
    const lane = this.#session.lanes[0] as Lane;
    lane.attach(0);
    this.#pump = new LanePump(lane, new SocketCarrier(socket, Buffer.alloc(0)), PEER_HEARTBEAT_MS, {
      // There is no way back for a local socket.
      onDetached: onGone,
      onViolation: (error) => {
        this.#reportBug(error);
        this.#end(error.code, error.detail);
      },
    });
  }

  onOpen(_opening: StreamOpening, stream: Stream): StreamSink {
    stream.reset('PROTOCOL_ERROR', 'streams are opened by the worker that calls');
    return NO_SINK;
  }

  onMessage(): void {}

  onGoAway(): void {}

  onWantWrite(): void {
    this.#pump?.wantWrite();
  }

  onFault(error: unknown): void {
    this.#reportBug(error);
  }

  onClosed(): void {
    // Closed by the other worker: nothing is left to say.
    if (!this.#closing) this.#pump?.stop();
    this.#onOver();
  }

  #end(code: ErrorCode, detail: string): void {
    if (this.#session.closed) return;
    this.#closing = true;
    const farewell = this.#session.close(code, detail);
    this.#pump?.stop(farewell);
  }
}
