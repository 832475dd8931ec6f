/**
 * Views of the beginning of one piece of memory that is filled again and again. Making a view costs as much as parsing
 * a small message in it, so that short ones are made once and handed out whenever that length comes again.
 */

/** Views up to this length are kept: at the most so many. */
const MAX_KEPT_LENGTH = 2_048;

export class Prefixes {
  readonly whole: Buffer;
  readonly #kept: (Buffer | undefined)[] = [];

  constructor(whole: Buffer) {
    this.whole = whole;
  }

  /** The first `length` bytes. The same view may have been given to somebody before. */
  of(length: number): Buffer {
    if (length > MAX_KEPT_LENGTH) return length === this.whole.length ? this.whole : this.whole.subarray(0, length);
    while (this.#kept.length <= length) this.#kept.push(undefined);
    return (this.#kept[length] ??= this.whole.subarray(0, length));
  }
}
