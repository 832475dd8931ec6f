/**
 * How much a visitor may send on a stream before it has been taken (RFC 9113 section 5.2). Small at first, since Node
 * keeps in memory what comes for a stream that waits; larger while few uploads are under way and keep moving, since a
 * small window makes a long path slow.
 */

export const FIRST_WINDOW_BYTES = 256 * 1024;
const MAX_WINDOW_BYTES = 4 * 1024 * 1024;
/** Windows of all uploads together may grow to this. */
const ROOM_BYTES = 16 * 1024 * 1024;
/** For the connection: more than any stream's, so that one that waits does not stop the others. */
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
/** What a session may make the relay hold for streams that wait. */
export const MAX_HELD_BYTES = 64 * 1024 * 1024;

export class H2Windows {
  readonly #announce: (windowBytes: number) => void;
  #uploads = 0;
  #window = FIRST_WINDOW_BYTES;

  /** `announce` tells the visitor, for streams that are open and those to come. */
  constructor(announce: (windowBytes: number) => void) {
    this.#announce = announce;
  }

  started(): void {
    this.#uploads += 1;
    let window = this.#window;
    while (window > FIRST_WINDOW_BYTES && window * this.#uploads > ROOM_BYTES) window /= 4;
    this.#set(window);
  }

  /** A stream has delivered `streamBytes` in all: it has filled windows and is still being read. */
  moved(streamBytes: number): void {
    const next = this.#window * 4;
    if (next > MAX_WINDOW_BYTES || streamBytes < this.#window * 2 || next * this.#uploads > ROOM_BYTES) return;
    this.#set(next);
  }

  ended(): void {
    this.#uploads -= 1;
  }

  #set(window: number): void {
    if (window === this.#window) return;
    this.#window = window;
    this.#announce(window);
  }
}
