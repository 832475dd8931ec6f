/** Decides how the end of a body is known (RFC 9112 section 6.3) and whether a connection stays open (section 9.3). */
import { PortholeError } from '../errors.ts';
import type { FieldNotes } from './field-lines.ts';
import { malformed, type Grammar } from './limits.ts';
import type { BodyFraming, Fields } from './message.ts';
import { isToken } from './octets.ts';

export const NO_BODY: BodyFraming = { kind: 'none' };
export const CHUNKED_BODY: BodyFraming = { kind: 'chunked' };
export const CLOSE_BODY: BodyFraming = { kind: 'close' };

/** Framing that the fields state, or undefined when they state none. Anything two readers could differ on is refused. */
export function statedFraming(notes: FieldNotes, minor: 0 | 1, grammar: Grammar): BodyFraming | undefined {
  if (notes.transferEncodings !== 0) return codedFraming(notes, minor, grammar);
  if (notes.contentLengths === 0) return undefined;
  if (notes.contentLengths > 1 && (notes.lengthsDiffer || !grammar.lenient))
    throw malformed(grammar, 'more than one Content-Length');
  const length = lengthOf(notes.contentLength);
  if (length === undefined) throw malformed(grammar, 'Content-Length is not a plain number');
  return { kind: 'length', length };
}

function codedFraming(notes: FieldNotes, minor: 0 | 1, grammar: Grammar): BodyFraming | undefined {
  if (notes.contentLengths !== 0) throw malformed(grammar, 'both Transfer-Encoding and Content-Length');
  if (minor === 0) throw malformed(grammar, 'Transfer-Encoding in HTTP/1.0');
  if (notes.transferEncodings > 1) throw malformed(grammar, 'more than one Transfer-Encoding');
  const value = notes.transferEncoding;
  if (value === 'chunked') return CHUNKED_BODY;
  const codings = value
    .toLowerCase()
    .split(',')
    .map((coding) => coding.replace(/^[ \t]+|[ \t]+$/g, ''));
  const last = codings.pop();
  if (codings.length === 0 && last === 'chunked') return CHUNKED_BODY;
  if (codings.length === 0 && last === 'identity' && grammar.lenient) return undefined;
  const isChunkedLast = last === 'chunked' && codings.every((coding) => isToken(coding) && coding !== 'chunked');
  if (isChunkedLast) throw new PortholeError(grammar.codingNotSupported, 'a transfer coding besides chunked');
  throw malformed(grammar, 'Transfer-Encoding is not exactly chunked');
}

/** Undefined unless it is digits without sign, space, list or leading zero, up to 2^53-1. */
function lengthOf(value: string): number | undefined {
  const length = value.length;
  if (length === 0 || length > 16) return undefined;
  let number = 0;
  for (let i = 0; i < length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    number = number * 10 + digit;
  }
  if (number > Number.MAX_SAFE_INTEGER || (length > 1 && value.charCodeAt(0) === 0x30)) return undefined;
  return number;
}

/** RFC 9112 section 9.3: `close` wins; HTTP/1.0 needs an explicit keep-alive. */
export function staysOpen(connection: string | undefined, minor: 0 | 1): boolean {
  if (connection === undefined) return minor === 1;
  if (hasOption(connection, 'close')) return false;
  return minor === 1 || hasOption(connection, 'keep-alive');
}

/** Whether a comma-separated list holds `option` (lower case), in any case. */
export function hasOption(list: string, option: string): boolean {
  if (list === option) return true;
  if (list.length < option.length) return false;
  const lower = list.toLowerCase();
  if (!lower.includes(option)) return false;
  return lower.split(',').some((part) => part.trim() === option);
}

/** Framing of a request that came in a frame: its fields tell the length, otherwise it is sent on as chunked. */
export function requestFraming(bodiless: boolean, fields: Fields): BodyFraming {
  return lengthField(fields) ?? (bodiless ? NO_BODY : CHUNKED_BODY);
}

/**
 * Framing of a response on its way to a visitor: none by method and status (RFC 9112 section 6.3), else the length its
 * fields tell, else chunked, or until the connection closes for HTTP/1.0. Throws ORIGIN_BAD_RESPONSE for odd lengths.
 */
export function responseFraming(method: string, status: number, fields: Fields, minor: 0 | 1): BodyFraming {
  const length = lengthField(fields);
  if (method === 'HEAD' || isBodiless(status)) return NO_BODY;
  return length ?? (minor === 1 ? CHUNKED_BODY : CLOSE_BODY);
}

/** 1xx, 204 and 304 never have a body. */
export function isBodiless(status: number): boolean {
  return status < 200 || status === 204 || status === 304;
}

function lengthField(fields: Fields): BodyFraming | undefined {
  let stated: BodyFraming | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name.length !== 14 || name.toLowerCase() !== 'content-length') continue;
    const length = lengthOf(fields[i + 1] as string);
    if (length === undefined || stated !== undefined)
      throw new PortholeError('ORIGIN_BAD_RESPONSE', 'odd or repeated Content-Length');
    stated = { kind: 'length', length };
  }
  return stated;
}
