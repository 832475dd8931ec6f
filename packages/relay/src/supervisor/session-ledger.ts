/**
 * Counts the sessions of all workers. Those of a worker that is on its way out are not counted: its agents are about to
 * come back to another, and must find room there.
 */
import type { PlaceReply, PlaceRequest } from '../routing/registrar-link.ts';
import { PlaceCount } from '../routing/session-places.ts';

export class SessionLedger {
  readonly #count = new PlaceCount();
  /** Identities of the places that a worker's sessions have taken. */
  readonly #workers = new Map<string, Map<string, number>>();

  enter(node: string): void {
    this.#workers.set(node, new Map());
  }

  take(node: string, request: PlaceRequest): PlaceReply {
    const taken = this.#workers.get(node);
    if (taken === undefined) return { ok: false, code: 'GOING_AWAY', detail: 'this process is on its way out' };
    const reply = this.#count.take(request);
    if (reply.ok) taken.set(request.identity, (taken.get(request.identity) ?? 0) + 1);
    return reply;
  }

  leave(node: string, identity: string): void {
    const taken = this.#workers.get(node);
    const own = taken?.get(identity);
    if (taken === undefined || own === undefined) return;
    if (own === 1) taken.delete(identity);
    else taken.set(identity, own - 1);
    this.#count.leave(identity);
  }

  /** The worker takes no more sessions, or has ended. Idempotent. */
  retire(node: string): void {
    for (const [identity, own] of this.#workers.get(node) ?? [])
      for (let place = 0; place < own; place += 1) this.#count.leave(identity);
    this.#workers.delete(node);
  }
}
