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
  readonly #byAddress = new Map<string, Entry>();

  constructor(make: (name: string, ca: string) => tls.Server) {
    this.#make = make;
  }

  /** `address`: what makes the tunnel unlike any other. `name`: whose certificate is shown. */
  serverFor(address: string, name: string, ca: string): tls.Server {
    const now = performance.now();
    const standing = this.#byAddress.get(address);
    if (standing !== undefined && standing.ca === ca && now - standing.madeAt < LIFE_MS) return standing.server;
    this.#byAddress.delete(address);
    const server = this.#make(name, ca);
    this.#byAddress.set(address, { ca, server, madeAt: now });
    const [oldest] = this.#byAddress.keys();
    if (this.#byAddress.size > MAX_SERVERS && oldest !== undefined) this.#byAddress.delete(oldest);
    return server;
  }
}
