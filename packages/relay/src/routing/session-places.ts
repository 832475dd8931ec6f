/**
 * How many sessions agents may have, in all and of one identity: whoever opens one takes a place first. With several
 * processes the places are counted where all of them are known.
 */
import type { ErrorCode } from '@porthole/protocol';
import type { PlaceReply, PlaceRequest, SessionLimits } from './registrar-link.ts';

export type TakenPlace =
  /** `leave` gives it back; idempotent. */
  { readonly ok: true; leave(): void } | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

export interface SessionPlaces {
  /** RELAY_FULL, SESSION_LIMIT, or GOING_AWAY when there is none. Never rejects. */
  take(identity: string): TakenPlace | Promise<TakenPlace>;
}

/** Bounded by the places there are. */
export class PlaceCount {
  readonly #byIdentity = new Map<string, number>();
  #taken = 0;

  take({ identity, maxSessions, maxSessionsPerUser }: PlaceRequest): PlaceReply {
    const own = this.#byIdentity.get(identity) ?? 0;
    if (own >= maxSessionsPerUser) return { ok: false, code: 'SESSION_LIMIT', detail: `at most ${maxSessionsPerUser}` };
    if (this.#taken >= maxSessions) return { ok: false, code: 'RELAY_FULL', detail: `${maxSessions} sessions` };
    this.#byIdentity.set(identity, own + 1);
    this.#taken += 1;
    return { ok: true };
  }

  leave(identity: string): void {
    const own = this.#byIdentity.get(identity);
    if (own === undefined) return;
    this.#taken -= 1;
    if (own === 1) this.#byIdentity.delete(identity);
    else this.#byIdentity.set(identity, own - 1);
  }
}

/** Of a relay that is one process. */
export class LocalSessionPlaces implements SessionPlaces {
  readonly #count = new PlaceCount();
  readonly #limits: SessionLimits;

  constructor({ maxSessions, maxSessionsPerUser }: SessionLimits) {
    this.#limits = { maxSessions, maxSessionsPerUser };
  }

  take(identity: string): TakenPlace {
    return takenPlace(this.#count.take({ identity, ...this.#limits }), () => this.#count.leave(identity));
  }
}

/** Where the places of several processes are counted. */
export interface PlaceLink {
  /** Never rejects. */
  takePlace(request: PlaceRequest): Promise<PlaceReply>;
  leavePlace(identity: string): void;
}

/** Of one worker among several. */
export class SharedSessionPlaces implements SessionPlaces {
  readonly #link: PlaceLink;
  readonly #limits: SessionLimits;

  constructor(link: PlaceLink, { maxSessions, maxSessionsPerUser }: SessionLimits) {
    this.#link = link;
    this.#limits = { maxSessions, maxSessionsPerUser };
  }

  async take(identity: string): Promise<TakenPlace> {
    const reply = await this.#link.takePlace({ identity, ...this.#limits });
    return takenPlace(reply, () => this.#link.leavePlace(identity));
  }
}

function takenPlace(reply: PlaceReply, giveBack: () => void): TakenPlace {
  if (!reply.ok) return reply;
  let isTaken = true;
  return {
    ok: true,
    leave: () => {
      if (isTaken) giveBack();
      isTaken = false;
    },
  };
}
