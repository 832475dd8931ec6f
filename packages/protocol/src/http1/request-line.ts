/** Reads `method SP request-target SP HTTP-version CRLF` (RFC 9112 section 3). */
import { PortholeError } from '../errors.ts';
import { CR, LF, SP, TARGET, TOKEN } from './octets.ts';

export interface RequestLine {
  readonly method: string;
  /** The target as sent, whatever its form. */
  readonly target: string;
  readonly minor: 0 | 1;
  /** Index just past the line. */
  readonly end: number;
}

/** ` HTTP/1.1` and its line end. */
const VERSION_BYTES = 11;

/** The line from `from`; `text[0]` is the char of that byte. An LF is certain to follow somewhere. */
export function readRequestLine(bytes: Buffer, from: number, text: string, maxTargetBytes: number): RequestLine {
  let at = from;
  while (TOKEN[bytes[at] as number] === 1) at++;
  const methodTo = at;
  if (bytes[at] !== SP || methodTo === from)
    throw refused('the request line does not begin with a method and one space');
  at++;
  while (TARGET[bytes[at] as number] === 1) at++;
  const targetTo = at;
  if (targetTo === methodTo + 1) throw refused('no request target');
  const minor = minorVersion(bytes, at);
  if (minor === undefined) throw badVersion(bytes, at);
  if (targetTo - methodTo - 1 > maxTargetBytes)
    throw new PortholeError('TARGET_TOO_LONG', `more than ${maxTargetBytes} bytes`);
  const method = isGet(bytes, from, methodTo) ? 'GET' : text.slice(0, methodTo - from);
  return { method, target: text.slice(methodTo + 1 - from, targetTo - from), minor, end: at + VERSION_BYTES };
}

function isGet(bytes: Buffer, from: number, to: number): boolean {
  return to - from === 3 && bytes[from] === 0x47 && bytes[from + 1] === 0x45 && bytes[from + 2] === 0x54;
}

/** Of ` HTTP/1.0\r\n` or ` HTTP/1.1\r\n` at `at`; undefined for anything else. */
function minorVersion(bytes: Buffer, at: number): 0 | 1 | undefined {
  const fits =
    bytes[at] === SP &&
    bytes[at + 1] === 0x48 &&
    bytes[at + 2] === 0x54 &&
    bytes[at + 3] === 0x54 &&
    bytes[at + 4] === 0x50 &&
    bytes[at + 5] === 0x2f &&
    bytes[at + 6] === 0x31 &&
    bytes[at + 7] === 0x2e &&
    bytes[at + 9] === CR &&
    bytes[at + 10] === LF;
  if (!fits) return undefined;
  if (bytes[at + 8] === 0x31) return 1;
  return bytes[at + 8] === 0x30 ? 0 : undefined;
}

function badVersion(bytes: Buffer, at: number): PortholeError {
  const rest = bytes.toString('latin1', at, at + VERSION_BYTES);
  if (/^ HTTP\/\d\.\d\r\n$/.test(rest)) return new PortholeError('HTTP_VERSION_NOT_SUPPORTED');
  if (rest.startsWith('\r') || rest.startsWith('\n')) return refused('no HTTP version in the request line');
  return refused('the request line is not method, target and version with one space between them');
}

function refused(detail: string): PortholeError {
  return new PortholeError('BAD_REQUEST', detail);
}
