/** The public HTTP address: visitors of all tunnels, and agents who ask for a carrier. Owns the listening socket. */
import * as net from 'node:net';
import { TLSSocket } from 'node:tls';
import { countOwnAnswer } from './counters.ts';
import type { DoorParts } from './door-parts.ts';
import { H2Door } from './h2-door.ts';
import { BACKLOG, listen } from '../config/listening.ts';
import { OpenConnections } from './open-connections.ts';
import { ownAnswer, UNREADABLE } from './own-answers.ts';
import { KEEP_ALIVE_MS } from './reset-check.ts';
import { plainAddress } from './trusted-addresses.ts';
import { turnAway } from './turn-away.ts';
import { VisitorConnection } from './visitor-connection.ts';
import type { VisitorTls } from './visitor-tls.ts';
import { VisitorReads } from './visitor-reads.ts';

export interface HttpDoorAddress {
  /** Undefined: all addresses. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port?: number;
  /** A socket that listens already, inherited as a file descriptor; instead of host and port. */
  readonly fd?: number;
}

/** Sockets handed to the agents' door still count as the server's, so that its `close` event says nothing here. */
export class HttpDoor {
  readonly #parts: DoorParts;
  readonly #server: net.Server;
  /** Visitors of this address who speak HTTP/2, and those who negotiated it in TLS. */
  readonly h2: H2Door;
  readonly #reads = new VisitorReads();
  readonly #visitors = new OpenConnections<VisitorConnection>();
  #isDraining = false;

  constructor(parts: DoorParts) {
    this.#parts = parts;
    this.h2 = new H2Door(parts);
    this.#server = net.createServer({
      allowHalfOpen: true,
      pauseOnConnect: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    this.#server.on('connection', (accepted) => {
      if (parts.arrivals?.expects(accepted) === true) {
        parts.arrivals.take(accepted, (socket) => this.accept(socket, 'http'));
        return;
      }
      this.accept(this.#reads.adopt(accepted), 'http');
    });
  }

  /** Resolves with the address listened on. Rejects as `listen` does. */
  start(address: HttpDoorAddress): Promise<net.AddressInfo> {
    return listen(this.#server, { ...address, backlog: BACKLOG }, `port ${address.port}`, this.#parts.acceptFailed);
  }

  /**
   * Takes a visitor's connection in, from this door's listener or from one that took TLS off. Nothing read of it yet.
   * `parts`: of a port that has routes of its own.
   */
  accept(socket: net.Socket, scheme: 'http' | 'https', tls?: VisitorTls, parts: DoorParts = this.#parts): void {
    const { limits, trusted } = parts;
    const address = plainAddress(socket.remoteAddress);
    if (this.#isDraining || !limits.enter(address)) {
      this.#turnAway(socket);
      return;
    }
    if (socket instanceof TLSSocket) this.#reads.adoptSecure(socket);
    const visitor = new VisitorConnection(
      socket,
      { address, isTrusted: trusted.has(address), scheme, tls },
      parts,
      () => {
        limits.leave(address);
        this.#visitors.delete(visitor);
      },
      scheme === 'http' && parts.h2c !== false ? this.#takerOfH2(parts) : undefined,
    );
    this.#visitors.add(visitor);
    visitor.start();
  }

  /**
   * Stops listening, lets exchanges under way finish and closes idle connections; what is left after `deadlineMs`
   * (upgraded connections, endless answers) is cut; WebSockets are told to come back (close code 1012) where possible. Resolves when no visitor is left.
   * `keepIdle`: another process listens on the same socket, so nothing is lost by waiting: idle connections are closed
   * with the answer to their next request, because one might be on its way already.
   */
  async drain(deadlineMs: number, keepIdle = false): Promise<void> {
    this.#isDraining = true;
    this.#server.close();
    for (const visitor of this.#visitors) visitor.drain(keepIdle);
    await Promise.all([this.h2.drain(deadlineMs), this.#visitors.untilClosed(deadlineMs)]);
  }

  /** At once. Idempotent. */
  async close(): Promise<void> {
    this.#isDraining = true;
    this.#server.close();
    await Promise.all([this.h2.close(), this.#visitors.untilClosed(0)]);
  }

  readonly #takeH2 = (socket: net.Socket, parts?: DoorParts): void => {
    this.h2.acceptH2(socket, { scheme: 'http', parts });
    // It was paused between two readers; what was put back is taken at the next tick, and must not flow past it.
    setImmediate(() => socket.resume());
  };

  #takerOfH2(parts: DoorParts): (socket: net.Socket) => void {
    return parts === this.#parts ? this.#takeH2 : (socket) => this.#takeH2(socket, parts);
  }

  #turnAway(socket: net.Socket): void {
    const { counters } = this.#parts;
    const code = this.#isDraining ? 'RELAY_DRAINING' : 'VISITOR_LIMIT';
    counters.visitorsRefusedTotal += 1;
    countOwnAnswer(counters, code);
    turnAway(socket, ownAnswer(code, UNREADABLE));
  }
}
