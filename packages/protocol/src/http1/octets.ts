/** Which bytes may stand where (RFC 9110 section 5.6.2, RFC 9112). Tables of 256 so that the readers' loops only index. */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;

/** A table of 256 entries, 1 for each byte that `includes` accepts. */
function tableOf(includes: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (includes(byte) ? 1 : 0));
}

function isAlphanumeric(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}

/** tchar of RFC 9110 section 5.6.2. */
export const TOKEN = tableOf((byte) => isAlphanumeric(byte) || "!#$%&'*+-.^_`|~".includes(String.fromCharCode(byte)));

/** Bytes of a field value and of a reason phrase: HTAB, SP, VCHAR, obs-text. */
export const VALUE = tableOf((byte) => byte === HTAB || (byte >= SP && byte !== 0x7f));

/** Bytes of a request target. Wider than RFC 3986, as visitors are; but no space, no control, no fragment. */
export const TARGET = tableOf((byte) => byte > SP && byte !== 0x7f && byte !== 0x23);

/** Bytes of a host name; anything else (percent signs, raw UTF-8, commas) has no business in one we route by. */
export const HOST_NAME = tableOf((byte) => isAlphanumeric(byte) || byte === 0x2d || byte === 0x5f);

/** Value of a hexadecimal digit, 255 for any other byte. */
export const HEX_DIGIT = Uint8Array.from({ length: 256 }, (_, byte) => {
  const value = Number.parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(value) ? 255 : value;
});

/** Whether the bytes from `at` spell `lower` in any case. They must be token bytes; `lower` holds letters, digits, `-`. */
export function spells(bytes: Uint8Array, at: number, lower: string): boolean {
  for (let i = 0; i < lower.length; i++) {
    if (((bytes[at + i] as number) | 0x20) !== lower.charCodeAt(i)) return false;
  }
  return true;
}

/** Whether every char of `text` is in `table`; false for chars past 255. */
export function consistsOf(table: Uint8Array, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (table[text.charCodeAt(i)] !== 1) return false;
  return true;
}

export function isToken(text: string): boolean {
  return text.length > 0 && consistsOf(TOKEN, text);
}
