/** Takes HTTP/2 visitors in. Has no listening socket: the plain door hands over who speaks it at once, the TLS door who negotiated it. */
import type * as net from 'node:net';
import type { DoorParts } from './door-parts.ts';
import { H2Session } from './h2-session.ts';
import { OpenConnections } from './open-connections.ts';
import { plainAddress } from './trusted-addresses.ts';
import type { VisitorTls } from './visitor-tls.ts';

/** What is known of a connection when it is handed over. */
export interface H2Arrival {
  readonly scheme: 'http' | 'https';
  /** Default: the socket's. Given when something in front said better (PROXY protocol). */
  readonly address?: string;
  /**
   * Whether the connection may be used for this host (lower case, no port): the certificate it was opened with covers
   * it. Others are answered 421, and browsers then open a connection of their own. Default: any host.
   */
  readonly covers?: (host: string) => boolean;
  /** What the handshake said, when TLS ended here. */
  readonly tls?: VisitorTls;
  /** Of a port that has routes of its own; default: the door's. */
  readonly parts?: DoorParts | undefined;
}

export class H2Door {
  readonly #parts: DoorParts;
  readonly #sessions = new OpenConnections<H2Session>();
  #isDraining = false;

  constructor(parts: DoorParts) {
    this.#parts = parts;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** Takes the socket over. What was read of it must have been put back with `unshift`; nothing may listen to it. */
  acceptH2(socket: net.Socket, arrival: H2Arrival): void {
    const { limits, trusted, counters } = this.#parts;
    const address = arrival.address ?? plainAddress(socket.remoteAddress);
    if (this.#isDraining || !limits.enter(address)) {
      // Who speaks HTTP/2 sees the closing before his first stream and may try again (RFC 9113 section 8.7).
      counters.visitorsRefusedTotal += 1;
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    const { scheme, covers, tls, parts = this.#parts } = arrival;
    const from = { address, scheme, isTrusted: trusted.has(address), tls };
    const session: H2Session = new H2Session(socket, from, covers, parts, () => {
      limits.leave(address);
      this.#sessions.delete(session);
    });
    this.#sessions.add(session);
  }

  /** As `HttpDoor.drain`: GOAWAY, streams finish, what is left after `deadlineMs` is cut. */
  async drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true;
    for (const session of this.#sessions) session.drain();
    await this.#sessions.untilClosed(deadlineMs);
  }

  /** At once. Idempotent. */
  async close(): Promise<void> {
    this.#isDraining = true;
    await this.#sessions.untilClosed(0);
  }
}
