/** The public ports of TCP tunnels that are bound here, so that they stay open whichever worker comes or goes. */
import { PortholeError } from '@porthole/protocol';
import { type BoundSocket, bindSocket } from './bound-socket.ts';

export class PortHandles {
  readonly #host: string | undefined;
  /** Bounded by the ports the relay offers. */
  readonly #open = new Map<number, BoundSocket>();

  constructor(host: string | undefined) {
    this.#host = host;
  }

  get open(): Iterable<readonly [number, BoundSocket]> {
    return this.#open;
  }

  /** Rejects with ADDRESS_IN_USE. */
  async bind(port: number): Promise<BoundSocket> {
    const standing = this.#open.get(port);
    if (standing !== undefined) return standing;
    const bound = await bindSocket(port, this.#host);
    const other = this.#open.get(port);
    if (other !== undefined) {
      bound.close();
      return other;
    }
    if (bound.handle === undefined) throw new PortholeError('INTERNAL', 'a port without a handle');
    this.#open.set(port, bound);
    return bound;
  }

  close(port: number): void {
    this.#open.get(port)?.close();
    this.#open.delete(port);
  }

  closeAll(): void {
    for (const port of this.#open.keys()) this.close(port);
  }
}
