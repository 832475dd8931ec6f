/** The error class, and the looking up of rows in the table. */
import { type ErrorCode, type ErrorRow, ERRORS } from './error-table.ts';

export { type ErrorCode, type ErrorRow, ERRORS } from './error-table.ts';

const byWire = new Map<number, ErrorCode>();
for (const code of Object.keys(ERRORS) as ErrorCode[]) byWire.set(ERRORS[code].wire, code);

/** The code of a wire number; a number this release does not know reads as `INTERNAL`. */
export function codeOfWire(wire: number): ErrorCode {
  return byWire.get(wire) ?? 'INTERNAL';
}

export function errorRow(code: ErrorCode): ErrorRow {
  return ERRORS[code];
}

/** The one error class of Porthole. Compare `code`; `detail` says what is particular to this occurrence. */
export class PortholeError extends Error {
  override readonly name = 'PortholeError';
  readonly code: ErrorCode;
  /** What is particular to this occurrence, for people; may be empty. */
  readonly detail: string;

  constructor(code: ErrorCode, detail = '', options?: { cause?: unknown }) {
    super(detail === '' ? ERRORS[code].message : `${ERRORS[code].message} (${detail})`, options);
    this.code = code;
    this.detail = detail;
  }

  /** What to do about it, one sentence. */
  get hint(): string {
    return ERRORS[this.code].hint;
  }
}
