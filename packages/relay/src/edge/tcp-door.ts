/** Raw visitors on ports of the pool: each port's connections go to the port's target, bytes both ways. */
import * as net from 'node:net';
import { PortholeError } from '@porthole/protocol';
import type { PublicPorts } from '../routing/public-ports.ts';
import type { EdgeParts } from './edge-parts.ts';
import { TcpVisitor } from './tcp-visitor.ts';
import { plainAddress } from './trusted-addresses.ts';

export class TcpDoor implements PublicPorts {
  readonly #host: string | undefined;
  readonly #parts: EdgeParts;
  readonly #servers = new Map<number, net.Server>();
  readonly #visitors = new Set<TcpVisitor>();
  #whenEmpty: (() => void)[] = [];
  #draining = false;

  /** `host`: the address to listen on; undefined for all. */
  constructor(host: string | undefined, parts: EdgeParts) {
    this.#host = host;
    this.#parts = parts;
  }

  open(port: number): Promise<void> {
    if (this.#servers.has(port)) return Promise.resolve();
    if (this.#draining) return Promise.reject(new PortholeError('RELAY_DRAINING'));
    const server = net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true });
    this.#servers.set(port, server);
    server.on('connection', (socket) => this.#visit(socket, port));
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => {
        this.#servers.delete(port);
        reject(new PortholeError('ADDRESS_IN_USE', `port ${port}`, { cause }));
      });
      server.listen({ port, ...(this.#host === undefined ? {} : { host: this.#host }) }, () => {
        // Running out of file descriptors is reported here; the listener goes on.
        server.removeAllListeners('error').on('error', () => undefined);
        resolve();
      });
    });
  }

  close(port: number): void {
    this.#servers.get(port)?.close();
    this.#servers.delete(port);
  }

  /** Takes no new visitors; resolves when the last has left, or cuts those who are left at the deadline. */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    for (const port of this.#servers.keys()) this.close(port);
    if (this.#visitors.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        for (const visitor of this.#visitors) visitor.destroy();
      }, deadlineMs);
      this.#whenEmpty.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #visit(socket: net.Socket, port: number): void {
    const { limits, counters } = this.#parts;
    const address = plainAddress(socket.remoteAddress);
    if (!limits.enter(address)) {
      counters.visitorsRefusedTotal += 1;
      socket.on('error', () => undefined).resetAndDestroy();
      return;
    }
    const visitor = new TcpVisitor(socket, port, address, this.#parts, () => {
      this.#visitors.delete(visitor);
      limits.leave(address);
      if (this.#visitors.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
    });
    this.#visitors.add(visitor);
    visitor.start();
  }
}
