/** The routes as an HTTP visitor of a port sees them: whatever host his requests name, the port's tunnel answers. */
import type { Address, Claim, ClaimOutcome, PortTraits, Resolution, RouteRegistry, Waiting } from './registry.ts';

export class PortRoutes implements RouteRegistry {
  readonly #routes: RouteRegistry;
  readonly #port: number;

  constructor(routes: RouteRegistry, port: number) {
    this.#routes = routes;
    this.#port = port;
  }

  claim(claim: Claim): ClaimOutcome | Promise<ClaimOutcome> {
    return this.#routes.claim(claim);
  }

  resolveHost(_host: string): Resolution {
    return this.#routes.resolvePort(this.#port);
  }

  resolvePort(port: number): Resolution {
    return this.#routes.resolvePort(port);
  }

  ownerOf(_host: string): string | undefined {
    return undefined;
  }

  isRaw(_host: string): boolean {
    return this.portTraits(this.#port)?.raw === true;
  }

  clientCaOf(_host: string): string | undefined {
    return this.portTraits(this.#port)?.clientCa;
  }

  portTraits(port: number): PortTraits | undefined {
    return this.#routes.portTraits(port);
  }

  wait(_address: Address, timeoutMs: number): Waiting | undefined {
    return this.#routes.wait({ port: this.#port }, timeoutMs);
  }
}
