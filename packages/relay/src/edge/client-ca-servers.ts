/**
 * TLS servers for tunnels whose visitors must show certificates. Each name has one of its own, with session tickets of
 * its own: a session begun with the certificates of one tunnel must not be resumed at another.
 */
import type * as tls from 'node:tls';

interface Entry {
  readonly ca: string;
  readonly server: tls.Server;
  readonly madeAt: number;
}

const MAX_SERVERS = 1_000;
/** Then made anew, with whatever certificate the relay shows by then. */
const LIFE_MS = 60_000;

export class ClientCaServers {
  readonly #make: (name: string, ca: string) => tls.Server;
  /** In order of making. */
  readonly #byName = new Map<string, Entry>();

  constructor(make: (name: string, ca: string) => tls.Server) {
    this.#make = make;
  }

  serverFor(name: string, ca: string): tls.Server {
    const now = performance.now();
    const standing = this.#byName.get(name);
    if (standing !== undefined && standing.ca === ca && now - standing.madeAt < LIFE_MS) return standing.server;
    this.#byName.delete(name);
    const server = this.#make(name, ca);
    this.#byName.set(name, { ca, server, madeAt: now });
    const [oldest] = this.#byName.keys();
    if (this.#byName.size > MAX_SERVERS && oldest !== undefined) this.#byName.delete(oldest);
    return server;
  }
}
