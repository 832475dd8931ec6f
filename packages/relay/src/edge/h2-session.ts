/**
 * One visitor's HTTP/2 connection: Node's session with limits set, an exchange for each stream, time-outs, and an
 * orderly end. Framing, header compression and the counting of floods are nghttp2's.
 */
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type * as net from 'node:net';
import type { DoorParts } from './door-parts.ts';
import { H2Exchange, type H2Surroundings } from './h2-exchange.ts';
import { CONNECTION_WINDOW_BYTES, FIRST_WINDOW_BYTES, H2Windows, MAX_HELD_BYTES } from './h2-windows.ts';
import type { VisitorOrigin } from './request-routing.ts';
import { CLOSE_PATIENCE_MS } from './raw-pipe.ts';
import { NEVER, type Ticking } from './ticker.ts';

/** Streams a visitor may have open at once. */
const MAX_STREAMS = 256;
/** A visitor who has said nothing for so long is asked whether he is there. */
const QUIET_MS = 60_000;
const PING_ANSWER_MS = 30_000;
const LAST_STREAM_ID = 2 ** 31 - 1;
/** Between "no new streams, please" and the end of taking them: those on their way arrive. */
const GOAWAY_GRACE_MS = 1_000;
const MEBIBYTES_PER_SESSION = 32;

export class H2Session implements H2Surroundings, Ticking {
  readonly parts: DoorParts;
  readonly from: VisitorOrigin;
  readonly covers: ((host: string) => boolean) | undefined;
  readonly #socket: net.Socket;
  readonly #session: ServerHttp2Session;
  readonly #onGone: () => void;
  readonly #exchanges = new Map<ServerHttp2Stream, H2Exchange>();
  readonly #windows: H2Windows;
  #deadline: number;
  #bytesRead = 0;
  #heardAt: number;
  #pingedAt = NEVER;
  #isDraining = false;
  #isGone = false;

  /** `socket`: what was read of it already must have been given back by `unshift`. */
  constructor(
    socket: net.Socket,
    from: VisitorOrigin,
    covers: ((host: string) => boolean) | undefined,
    parts: DoorParts,
    onGone: () => void,
  ) {
    this.parts = parts;
    this.from = { ...from, version: '2' };
    this.covers = covers;
    this.#socket = socket;
    this.#onGone = onGone;
    const { ticker, timeouts, counters } = parts;
    this.#heardAt = ticker.now;
    this.#deadline = ticker.deadline(timeouts.headMs);
    counters.visitorsOpen += 1;
    counters.visitorsTotal += 1;
    const session = performServerHandshake(socket, sessionOptions(parts));
    this.#session = session;
    this.#windows = new H2Windows((initialWindowSize) => {
      if (!session.destroyed) session.settings({ initialWindowSize });
    });
    session.on('stream', (stream, _headers, flags, raw) => this.#onStream(stream, flags, raw));
    session.on('error', () => undefined);
    session.on('close', () => this.#onClose());
    // The socket may be half open for HTTP/1.1; in HTTP/2 who closes his side has left, and Node does not say so.
    socket.once('end', () => session.destroy());
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    ticker.add(this);
  }

  uploadStarted(): void {
    this.#windows.started();
  }

  uploadMoved(streamBytes: number): void {
    this.#windows.moved(streamBytes);
  }

  uploadEnded(): void {
    this.#windows.ended();
  }

  /** RFC 9113 section 6.8: no new streams; those open, and those on their way, finish. */
  drain(): void {
    if (this.#isDraining || this.#session.destroyed) return;
    this.#isDraining = true;
    this.#session.goaway(constants.NGHTTP2_NO_ERROR, LAST_STREAM_ID);
    if (this.#exchanges.size === 0) this.#session.close();
    else this.#deadline = this.parts.ticker.deadline(GOAWAY_GRACE_MS);
  }

  /** At once, but for WebSockets, which end after they were told why. What is not complete must not look as if it were. */
  destroy(): void {
    const session = this.#session;
    if (session.destroyed) {
      this.#socket.destroy();
      return;
    }
    let told = 0;
    for (const exchange of this.#exchanges.values()) {
      if (exchange.goAway()) told += 1;
      else exchange.cut(constants.NGHTTP2_INTERNAL_ERROR);
    }
    if (told === 0) {
      session.destroy(undefined, constants.NGHTTP2_NO_ERROR);
      return;
    }
    session.close();
    setTimeout(() => session.destroy(), CLOSE_PATIENCE_MS).unref();
  }

  tick(now: number): void {
    let held = 0;
    for (const exchange of this.#exchanges.values()) {
      exchange.tick(now);
      held += exchange.heldBytes;
    }
    if (held > MAX_HELD_BYTES) this.#dropHeld(held - MAX_HELD_BYTES);
    this.#listen(now);
    if (now < this.#deadline) return;
    this.#deadline = NEVER;
    if (!this.#session.destroyed) this.#session.close();
  }

  /** Windows that have grown, and a visitor who does not hear that they are small again. Those who hold most go first. */
  #dropHeld(bytes: number): void {
    let left = bytes;
    for (const exchange of [...this.#exchanges.values()].toSorted((a, b) => b.heldBytes - a.heldBytes)) {
      if (left <= 0) return;
      left -= exchange.heldBytes;
      exchange.cut(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    }
  }

  /** Visitors whose network is gone do not say so. */
  #listen(now: number): void {
    const { bytesRead } = this.#socket;
    if (bytesRead !== this.#bytesRead) {
      this.#bytesRead = bytesRead;
      this.#heardAt = now;
      this.#pingedAt = NEVER;
    } else if (now - this.#pingedAt > PING_ANSWER_MS) {
      this.#session.destroy();
    } else if (this.#pingedAt === NEVER && now - this.#heardAt > QUIET_MS && !this.#session.destroyed) {
      this.#pingedAt = now;
      this.#session.ping(() => undefined);
    }
  }

  #onStream(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    const exchange = new H2Exchange(stream, this);
    if (!this.#isDraining) this.#deadline = NEVER;
    this.#exchanges.set(stream, exchange);
    // The close says the same.
    stream.on('error', ignore);
    stream.on('close', () => this.#onStreamClose(stream, exchange));
    exchange.begin(raw, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0);
  }

  #onStreamClose(stream: ServerHttp2Stream, exchange: H2Exchange): void {
    this.#exchanges.delete(stream);
    exchange.closed();
    if (this.#exchanges.size > 0) return;
    if (this.#isDraining) {
      if (!this.#session.destroyed) this.#session.close();
    } else {
      const { ticker, timeouts } = this.parts;
      this.#deadline = ticker.deadline(timeouts.keepAliveIdleMs);
    }
  }

  #onClose(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.parts.ticker.remove(this);
    for (const exchange of this.#exchanges.values()) exchange.closed();
    this.#exchanges.clear();
    this.parts.counters.visitorsOpen -= 1;
    this.#onGone();
  }
}

function ignore(): void {}

function sessionOptions(parts: DoorParts): Parameters<typeof performServerHandshake>[1] {
  const { maxFields, maxHeadBytes } = parts.headLimits;
  const options = {
    settings: {
      enableConnectProtocol: true,
      maxConcurrentStreams: MAX_STREAMS,
      initialWindowSize: FIRST_WINDOW_BYTES,
      // Counted with 32 bytes more per field; the head's own limits come first and are answered 431.
      maxHeaderListSize: maxHeadBytes + 32 * (maxFields + 8) + 1_024,
    },
    maxHeaderListPairs: maxFields + 64,
    maxSessionMemory: MEBIBYTES_PER_SESSION,
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: MAX_STREAMS,
    maxOutstandingPings: 10,
    maxOutstandingSettings: 10,
    maxSettings: 32,
    // Beyond this the visitor is asked to leave (CVE-2023-44487).
    streamResetBurst: 1_000,
    streamResetRate: 33,
    // What an origin repeats is passed on as it is.
    strictSingleValueFields: false,
  };
  return options;
}
