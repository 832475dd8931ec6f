/** HTTP/2 connections to one origin: as few as its stream limit allows, each proven to be one before it is used. */
import * as http2 from 'node:http2';
import type { Duplex } from 'node:stream';
import { PortholeError } from '@porthole/protocol';
import type { Opening, OriginOpener, SocketOutcome } from './origin-socket.ts';

/** `not h2`: something answers there, in another protocol. */
type SessionOutcome = http2.ClientHttp2Session | PortholeError | 'not h2';
type Taken = (outcome: SessionOutcome) => void;

/** More streams than this wait for another connection, whatever the origin allows. */
const MAX_STREAMS = 1_000;
const MAX_SESSIONS = 16;
const MAX_WAITING = 4_096;
/** For the origin's first SETTINGS frame. */
const PROOF_MS = 3_000;
const WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
const MEBIBYTES_PER_SESSION = 256;

export class H2Sessions {
  readonly #opener: OriginOpener;
  /** Open streams by session. */
  readonly #sessions = new Map<http2.ClientHttp2Session, number>();
  readonly #waiting = new Set<Taken>();
  #opening: Opening | undefined;
  #closed = false;

  constructor(opener: OriginOpener) {
    this.#opener = opener;
  }

  /** A session with room for a stream. `taken` may be called from within. */
  take(taken: Taken): Opening {
    const session = this.#withRoom();
    if (session !== undefined) taken(session);
    else if (this.#waiting.size >= MAX_WAITING)
      taken(new PortholeError('STREAM_LIMIT', `${MAX_WAITING} requests wait for a connection to the origin`));
    else {
      this.#waiting.add(taken);
      this.#open();
    }
    return { cancel: () => void this.#waiting.delete(taken) };
  }

  /** A stream was opened on it. */
  enter(session: http2.ClientHttp2Session): void {
    const open = this.#sessions.get(session);
    if (open !== undefined) this.#sessions.set(session, open + 1);
  }

  leave(session: http2.ClientHttp2Session): void {
    const open = this.#sessions.get(session);
    if (open === undefined) return;
    this.#sessions.set(session, open - 1);
    if (this.#waiting.size > 0) this.#serve();
    else if (this.#closed && open === 1) session.close();
  }

  /** Idle connections go now, the others when their last stream is over. */
  close(): void {
    this.#closed = true;
    this.#opening?.cancel();
    this.#opening = undefined;
    for (const session of this.#sessions.keys()) session.close();
  }

  #withRoom(): http2.ClientHttp2Session | undefined {
    for (const [session, open] of this.#sessions) {
      if (session.closed || session.destroyed) continue;
      if (open < Math.min(MAX_STREAMS, session.remoteSettings.maxConcurrentStreams ?? MAX_STREAMS)) return session;
    }
    return undefined;
  }

  #open(): void {
    if (this.#opening !== undefined || this.#sessions.size >= MAX_SESSIONS) return;
    this.#opening = this.#opener.open((outcome) => this.#opened(outcome));
  }

  #opened(outcome: SocketOutcome): void {
    if (outcome instanceof PortholeError) {
      this.#opening = undefined;
      this.#fail(outcome);
      return;
    }
    const { socket } = outcome;
    if ('encrypted' in socket && Reflect.get(socket, 'alpnProtocol') !== 'h2') {
      this.#opening = undefined;
      socket.on('error', () => undefined);
      socket.destroy();
      this.#fail('not h2');
      return;
    }
    this.#prove(socket);
  }

  /** Who speaks HTTP/2 sends SETTINGS first of all (RFC 9113 section 3.4); others answer the preface with an error or not. */
  #prove(socket: Duplex): void {
    const session = http2.connect('http://origin', sessionOptions(socket));
    const timer = setTimeout(() => session.destroy(), PROOF_MS);
    const settle = (): void => {
      clearTimeout(timer);
      this.#opening = undefined;
    };
    this.#opening = { cancel: () => session.destroy() };
    let isProven = false;
    session.on('error', () => undefined);
    session.once('remoteSettings', () => {
      isProven = true;
      settle();
      session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
      this.#sessions.set(session, 0);
      this.#serve();
    });
    session.once('close', () => {
      this.#sessions.delete(session);
      if (isProven) {
        if (this.#waiting.size > 0) this.#open();
        return;
      }
      settle();
      this.#fail('not h2');
    });
  }

  #serve(): void {
    for (const taken of this.#waiting) {
      const session = this.#withRoom();
      if (session === undefined) {
        this.#open();
        return;
      }
      this.#waiting.delete(taken);
      taken(session);
    }
  }

  #fail(outcome: PortholeError | 'not h2'): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const taken of waiting) taken(outcome);
  }
}

function sessionOptions(socket: Duplex): http2.ClientSessionOptions {
  const options = {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
    maxSessionMemory: MEBIBYTES_PER_SESSION,
    maxHeaderListPairs: 1_024,
    // What a visitor repeats is passed on as it is.
    strictSingleValueFields: false,
  };
  return options;
}
