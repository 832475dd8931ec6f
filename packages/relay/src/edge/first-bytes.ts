/** Tells by the first bytes of a plain connection which version of HTTP is spoken: visitors may begin in HTTP/2 without asking (RFC 9113 section 3.3). */

/** What every HTTP/2 connection begins with (RFC 9113 section 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** Enough of it to know: there is no such method. */
const TELLING_BYTES = 4;

export interface Opening {
  /** All that has come so far. */
  readonly bytes: Buffer;
  readonly isH2: boolean;
}

export class FirstBytes {
  #held: Buffer | undefined;

  /** Undefined while there are too few to tell. `chunk` may be overwritten after the call. */
  take(chunk: Buffer): Opening | undefined {
    const bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    const length = Math.min(bytes.length, PREFACE.length);
    const isH2 = bytes.compare(PREFACE, 0, length, 0, length) === 0;
    if (!isH2 || length >= TELLING_BYTES) return { bytes, isH2 };
    this.#held = Buffer.from(bytes);
    return undefined;
  }
}
