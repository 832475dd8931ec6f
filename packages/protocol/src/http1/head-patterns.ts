/**
 * Parts of the expressions that look at a whole head at once, as text for `RegExp`. Their separators are in none of the
 * classes, so that there is one way to match and no backtracking over more than a line.
 */

/** RFC 9110 section 5.6.2. */
export const TOKEN_PATTERN = String.raw`[\w!#$%&'*+.^\x60|~-]+`;
/** A field value or a reason phrase, as `VALUE` in `octets.ts`. */
export const VALUE_PATTERN = String.raw`[\t\x20-\x7e\x80-\xff]*`;
/** A field line as it crosses the wire. */
export const LINE_PATTERN = String.raw`${TOKEN_PATTERN}: ${VALUE_PATTERN}\r\n`;
/** A field line that is written again exactly as it came: no blank around the value (RFC 9112 section 5). */
export const EXACT_LINE_PATTERN = String.raw`${TOKEN_PATTERN}: (?![\t\x20])${VALUE_PATTERN}(?<![\t\x20])\r\n`;
/** Bytes of the shortest line of `EXACT_LINE_PATTERN`: so that there cannot be too many, a head must be short. */
export const SHORTEST_LINE = 'a: b\r\n'.length;
/** Fields of a response, in lower case, that `forwardableResponseFields` takes out or that framing depends on. */
export const SPECIAL_IN_RESPONSES =
  'alt-svc:|connection:|content-length:|keep-alive:|p(?:roxy|orthole)|te:|transfer-encoding:|upgrade:';

/** Matches `name` in any case, in an expression that tells cases apart. */
export function anyCase(name: string): string {
  return name.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);
}
