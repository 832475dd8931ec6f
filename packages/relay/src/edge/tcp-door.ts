/**
 * Visitors on ports of the pool: each port's connections go to the port's target, bytes both ways; those of ports on
 * which HTTP is spoken are handed on. Owns the listening sockets.
 */
import * as net from 'node:net';
import { PortholeError } from '@porthole/protocol';
import type { ListenHandle, PortSource, PublicPorts } from '../routing/public-ports.ts';
import type { EdgeParts } from './edge-parts.ts';
import { listen } from '../config/listening.ts';
import { OpenConnections } from './open-connections.ts';
import type { ProxyArrivals } from './proxy-arrivals.ts';
import { TcpVisitor } from './tcp-visitor.ts';
import { plainAddress } from './trusted-addresses.ts';

export interface TcpDoorParts extends EdgeParts {
  /** Takes the visitors of ports on which HTTP is spoken. Nothing read of them yet. */
  readonly acceptHttp?: (socket: net.Socket, port: number) => void;
  /** Takes PROXY protocol headers off; absent: nobody sends any. */
  readonly arrivals?: ProxyArrivals | undefined;
}

export class TcpDoor implements PublicPorts {
  readonly #host: string | undefined;
  readonly #parts: TcpDoorParts;
  readonly #servers = new Map<number, net.Server>();
  readonly #visitors = new OpenConnections<TcpVisitor>();
  readonly #source: PortSource | undefined;
  #draining = false;

  /** `host`: the address to listen on; undefined for all. `source`: who owns the ports, when it is not this door. */
  constructor(host: string | undefined, parts: TcpDoorParts, source?: PortSource) {
    this.#host = host;
    this.#parts = parts;
    this.#source = source;
  }

  /** Ports that are open already and belong to somebody else are listened on from now on. */
  start(): void {
    this.#source?.deliver((port, handle) => this.#adopt(port, handle));
  }

  open(port: number): Promise<void> {
    if (this.#servers.has(port)) return Promise.resolve();
    if (this.#draining) return Promise.reject(new PortholeError('RELAY_DRAINING'));
    if (this.#source !== undefined) return this.#source.acquire(port);
    return this.#listen(port, { port, ...(this.#host === undefined ? {} : { host: this.#host }) });
  }

  close(port: number): void {
    this.#servers.get(port)?.close();
    this.#servers.delete(port);
  }

  /** Takes no new visitors; resolves when the last has left, or cuts those who are left at the deadline. */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    for (const port of this.#servers.keys()) this.close(port);
    await this.#visitors.untilClosed(deadlineMs);
  }

  #adopt(port: number, handle: ListenHandle): void {
    if (this.#draining || this.#servers.has(port)) handle.close();
    else this.#listen(port, handle).catch((error: unknown) => this.#parts.reportBug(error));
  }

  async #listen(port: number, on: ListenHandle | net.ListenOptions): Promise<void> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true });
    this.#servers.set(port, server);
    server.on('connection', (socket) => this.#arrive(socket, port));
    try {
      await listen(server, on, `port ${port}`, this.#parts.acceptFailed);
    } catch (cause) {
      this.#servers.delete(port);
      throw cause instanceof PortholeError ? cause : new PortholeError('ADDRESS_IN_USE', `port ${port}`, { cause });
    }
  }

  #arrive(socket: net.Socket, port: number): void {
    const { arrivals } = this.#parts;
    if (arrivals === undefined) this.#visit(socket, port);
    else arrivals.take(socket, () => this.#visit(socket, port));
  }

  #visit(socket: net.Socket, port: number): void {
    const { limits, counters, registry, acceptHttp } = this.#parts;
    // Asked each time: whoever holds the port may have changed his mind.
    if (acceptHttp !== undefined && registry.portTraits(port)?.raw === false) {
      acceptHttp(socket, port);
      return;
    }
    const address = plainAddress(socket.remoteAddress);
    if (!limits.enter(address)) {
      counters.visitorsRefusedTotal += 1;
      socket.on('error', () => undefined).resetAndDestroy();
      return;
    }
    const visitor = new TcpVisitor(socket, { port }, address, this.#parts, () => {
      this.#visitors.delete(visitor);
      limits.leave(address);
    });
    this.#visitors.add(visitor);
    visitor.start();
  }
}
