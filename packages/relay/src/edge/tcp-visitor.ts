/** One raw visitor of a port or, with TLS passed through, of a host: finds its target, waits for it when it is away, then lets bytes flow. */
import type * as net from 'node:net';
import { PortholeError } from '@porthole/protocol';
import type { Address, Resolution } from '../routing/registry.ts';
import type { EdgeParts } from './edge-parts.ts';
import type { OpenConnection } from './open-connections.ts';
import { RawPipe } from './raw-pipe.ts';
import { isResetUnread } from './reset-check.ts';
import type { Ticking } from './ticker.ts';
import { VisitorOutput } from './visitor-output.ts';
import { WaitingVisitor } from './waiting.ts';

export class TcpVisitor implements OpenConnection, Ticking {
  readonly #socket: net.Socket;
  readonly #where: Address;
  readonly #address: string;
  readonly #parts: EdgeParts;
  readonly #onGone: () => void;
  readonly #output: VisitorOutput;
  readonly #pipe: RawPipe;
  #waiting: WaitingVisitor | undefined;

  /** Nothing must have been read of the socket, or all of it put back. */
  constructor(socket: net.Socket, where: Address, address: string, parts: EdgeParts, onGone: () => void) {
    this.#socket = socket;
    this.#where = where;
    this.#address = address;
    this.#parts = parts;
    this.#onGone = onGone;
    this.#output = new VisitorOutput(socket, parts.turns);
    this.#pipe = new RawPipe(socket, this.#output, parts.counters);
  }

  start(): void {
    const { counters, registry, ticker } = this.#parts;
    ticker.add(this);
    counters.visitorsOpen += 1;
    counters.visitorsTotal += 1;
    counters.rawOpen += 1;
    counters.rawTotal += 1;
    const socket = this.#socket;
    const pipe = this.#pipe;
    socket.on('data', (chunk: Buffer) => pipe.visitorData(chunk));
    socket.on('end', () => pipe.visitorEnded());
    socket.on('drain', () => pipe.visitorDrained());
    socket.on('error', () => undefined);
    socket.once('close', () => this.#closed());
    const where = this.#where;
    this.#resolved('host' in where ? registry.resolveHost(where.host) : registry.resolvePort(where.port));
  }

  destroy(): void {
    this.#socket.resetAndDestroy();
  }

  tick(now: number): void {
    this.#output.tick(now);
    if (isResetUnread(this.#socket)) this.#socket.destroy();
  }

  #resolved(resolution: Resolution): void {
    this.#waiting = undefined;
    if (resolution.state === 'ready') this.#open(resolution);
    else if (resolution.state === 'unknown') this.destroy();
    else this.#wait();
  }

  #wait(): void {
    const { registry, counters, timeouts } = this.#parts;
    this.#waiting = WaitingVisitor.start(registry, this.#where, timeouts.waitMs, counters, (resolution) => {
      if (resolution.state === 'away') this.destroy();
      else this.#resolved(resolution);
    });
    if (this.#waiting === undefined) this.destroy();
  }

  #open(resolution: Resolution & { state: 'ready' }): void {
    const socket = this.#socket;
    const opening = {
      visitorAddress: this.#address,
      visitorPort: socket.remotePort ?? 0,
      localAddress: socket.localAddress ?? '',
      localPort: socket.localPort ?? ('port' in this.#where ? this.#where.port : 0),
    };
    try {
      this.#pipe.start(resolution.target.openRaw(opening, this.#pipe));
    } catch (error) {
      if (!(error instanceof PortholeError)) this.#parts.reportBug(error);
      // The target has too much under way; a raw visitor has no other way to be told.
      this.destroy();
    }
  }

  #closed(): void {
    this.#parts.ticker.remove(this);
    this.#waiting?.cancel();
    this.#pipe.visitorClosed();
    this.#parts.counters.visitorsOpen -= 1;
    this.#parts.counters.rawOpen -= 1;
    this.#onGone();
  }
}
