/** A second chunked decoder, written to be obviously right: one regular expression, whole text at once. */

export interface NaiveBody {
  readonly content: string;
  readonly trailers: string[];
  /** What stands behind the body. */
  readonly rest: string;
}

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const QUOTED = '"(?:[\\t !\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t -\\x7e\\x80-\\xff])*"';
const SIZE_LINE = new RegExp(`^([0-9A-Fa-f]{1,16})((?:;${TOKEN}(?:=(?:${TOKEN}|${QUOTED}))?)*)\\r\\n`);
const TRAILER_LINE = new RegExp(`^(${TOKEN}):([\\t \\x21-\\x7e\\x80-\\xff]*)\\r\\n`);

/** Undefined unless `text` begins with a whole, well-formed chunked body. Limits are not checked. */
export function decodeChunked(text: string): NaiveBody | undefined {
  let rest = text;
  let content = '';
  for (;;) {
    const line = SIZE_LINE.exec(rest);
    if (line === null) return undefined;
    const size = Number.parseInt(line[1] as string, 16);
    rest = rest.slice(line[0].length);
    if (size === 0) break;
    if (rest.length < size + 2 || rest.slice(size, size + 2) !== '\r\n') return undefined;
    content += rest.slice(0, size);
    rest = rest.slice(size + 2);
  }
  const trailers: string[] = [];
  for (;;) {
    if (rest.startsWith('\r\n')) return { content, trailers, rest: rest.slice(2) };
    const line = TRAILER_LINE.exec(rest);
    if (line === null) return undefined;
    trailers.push(line[1] as string, (line[2] as string).replace(/^[ \t]+|[ \t]+$/g, ''));
    rest = rest.slice(line[0].length);
  }
}
