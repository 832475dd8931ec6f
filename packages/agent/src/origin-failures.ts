/** Why exchanges and connections came to nothing at the origin, told to who runs the agent: visitors get the code only. */
import type { ErrorCode, PortholeError } from '@porthole/protocol';
import { RepeatFold } from './repeat-fold.ts';

/** Called for each exchange or connection that fails; whoever is called throws nothing. */
export type OnOriginFailed = (reason: PortholeError) => void;

export interface OriginFailure {
  /** `detail` names what was tried, for example each address with what it met; `hint` says what to do. */
  readonly reason: PortholeError;
  /** How often it has happened since it was told last, this time included. */
  readonly times: number;
}

const TELL_EVERY_MS = 10_000;
/** What an origin cannot help: the relay's mistakes, and who was asked to stop. */
const NOT_ITS_OWN: ReadonlySet<ErrorCode> = new Set(['PROTOCOL_ERROR', 'CANCELLED', 'NO_ERROR']);

/** An origin that fails under load is told at once, then at most every ten seconds for each code and detail. */
export class OriginFailures {
  readonly #tell: (failure: OriginFailure) => void;
  readonly #fold: RepeatFold;

  constructor(tell: (failure: OriginFailure) => void, now?: () => number) {
    this.#tell = tell;
    this.#fold = new RepeatFold({ firstMs: TELL_EVERY_MS, growth: 1, capMs: TELL_EVERY_MS }, now);
  }

  readonly note: OnOriginFailed = (reason) => {
    if (NOT_ITS_OWN.has(reason.code)) return;
    const { isDue, times } = this.#fold.note(reason);
    if (isDue) this.#tell({ reason, times });
  };
}
