/** What becomes of a visitor's connection once TLS has ended here: HTTP is spoken with him, or bytes go on as they are. */
import type { TLSSocket } from 'node:tls';
import { type Origin, type RawOpening, VisitorServer } from '@porthole/agent';
import { serveSocket } from './socket-stream.ts';

export interface Inside {
  serve(socket: TLSSocket, opening: RawOpening): void;
  /** Lets go of what is kept for the target. Visitors under way are not touched. */
  close(): void;
}

/** Requests get their forwarding fields and pass whatever stands before the target, as with the relay. */
export class HttpInside implements Inside {
  readonly #visitors: VisitorServer;

  constructor(origin: Origin) {
    this.#visitors = new VisitorServer(origin);
  }

  serve(socket: TLSSocket, { visitorAddress }: RawOpening): void {
    this.#visitors.serve(socket, visitorAddress);
  }

  close(): void {
    this.#visitors.close();
  }
}

export class RawInside implements Inside {
  readonly #origin: Origin;

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  serve(socket: TLSSocket, opening: RawOpening): void {
    serveSocket(socket, this.#origin, opening);
  }

  close(): void {
    this.#origin.close();
  }
}
