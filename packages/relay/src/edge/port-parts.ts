/** What the HTTP door needs for tunnels by port: the same as ever, with the routes of the port. */
import { PortRoutes } from '../routing/port-routes.ts';
import type { DoorParts } from './door-parts.ts';

/** On a port that is a tunnel's, no host means the relay itself. */
const NOBODYS = { has: () => false };

export class PortParts {
  readonly #parts: DoorParts;
  /** Bounded by the ports of the pool. */
  readonly #byPort = new Map<number, DoorParts>();

  constructor(parts: DoorParts) {
    this.#parts = parts;
  }

  of(port: number): DoorParts {
    const standing = this.#byPort.get(port);
    if (standing !== undefined) return standing;
    const registry = new PortRoutes(this.#parts.registry, port);
    const made: DoorParts = { ...this.#parts, registry, ownHosts: NOBODYS, agentUpgrade: undefined };
    this.#byPort.set(port, made);
    return made;
  }
}
