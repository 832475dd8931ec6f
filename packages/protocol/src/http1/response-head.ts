/** Makes a `ResponseHead` of the bytes of a whole head, or refuses it. */
import { FieldNotes, readFieldLines, type HeadBlock } from './field-lines.ts';
import { CLOSE_BODY, isBodiless, NO_BODY, statedFraming, staysOpen } from './framing.ts';
import { malformed, type Grammar } from './limits.ts';
import type { Fields, ResponseHead } from './message.ts';
import { CR, LF, SP, VALUE } from './octets.ts';
import { plainResponse } from './plain-response.ts';

interface StatusLine {
  readonly status: number;
  readonly reason: string;
  readonly minor: 0 | 1;
  /** Index just past the line. */
  readonly end: number;
}

/** `text` is that of the bytes, `end` the index just past the empty line, `method` that of the request answered. */
export function parseResponseHead(
  text: string,
  bytes: Buffer,
  from: number,
  end: number,
  grammar: Grammar,
  method: string,
): ResponseHead {
  const plain = plainResponse(text, method, grammar.maxFields);
  if (plain !== undefined) return plain;
  const line = readStatusLine(bytes, from, text, grammar);
  const notes = new FieldNotes();
  const block: HeadBlock = { bytes, text, base: from, end: end - 2 };
  const fields = readFieldLines(block, line.end, grammar, notes);
  const { status, reason, minor } = line;
  // Read even where no body can follow, so that nonsense is never passed on.
  const stated = statedFraming(notes, minor, grammar);
  const body = method === 'HEAD' || isBodiless(status) ? NO_BODY : (stated ?? CLOSE_BODY);
  const keepAlive = body.kind !== 'close' && staysOpen(notes.connection, minor);
  return { status, reason, minor, fields: notes.contentLengths > 1 ? withOneLength(fields) : fields, body, keepAlive };
}

/** `HTTP-version SP status-code SP [ reason ]`; the second space may be missing with the reason, as many servers do. */
function readStatusLine(bytes: Buffer, from: number, text: string, grammar: Grammar): StatusLine {
  const minor = minorVersion(bytes, from);
  if (minor === undefined) throw malformed(grammar, 'not an HTTP/1.1 status line');
  let status = 0;
  for (let i = from + 9; i < from + 12; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) throw malformed(grammar, 'the status is not three digits');
    status = status * 10 + digit;
  }
  if (status < 100) throw malformed(grammar, 'the status is below 100');
  let at = from + 12;
  if (bytes[at] === SP) at++;
  else if (bytes[at] !== CR) throw malformed(grammar, 'the status is not three digits');
  const reasonFrom = at;
  while (VALUE[bytes[at] as number] === 1) at++;
  if (bytes[at] !== CR || bytes[at + 1] !== LF)
    throw malformed(grammar, 'the status line has a control character or a bare line end');
  return { status, reason: text.slice(reasonFrom - from, at - from), minor, end: at + 2 };
}

/** Of `HTTP/1.0 ` or `HTTP/1.1 ` at `at`; undefined for anything else. */
function minorVersion(bytes: Buffer, at: number): 0 | 1 | undefined {
  const fits =
    bytes[at] === 0x48 &&
    bytes[at + 1] === 0x54 &&
    bytes[at + 2] === 0x54 &&
    bytes[at + 3] === 0x50 &&
    bytes[at + 4] === 0x2f &&
    bytes[at + 5] === 0x31 &&
    bytes[at + 6] === 0x2e &&
    bytes[at + 8] === SP;
  if (!fits) return undefined;
  if (bytes[at + 7] === 0x31) return 1;
  return bytes[at + 7] === 0x30 ? 0 : undefined;
}

/** Lenient only: of equal Content-Length lines the first is passed on. */
function withOneLength(fields: Fields): Fields {
  const kept: Fields = [];
  let hasLength = false;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const isLength = name.toLowerCase() === 'content-length';
    if (!isLength || !hasLength) kept.push(name, fields[i + 1] as string);
    hasLength ||= isLength;
  }
  return kept;
}
