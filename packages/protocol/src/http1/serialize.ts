/** Heads and chunk framing as text, one char a byte: write them as latin1. Fields are taken as they are, in order. */
import { NO_BODY } from './framing.ts';
import type { BodyFraming, Fields } from './message.ts';

/** What a request says about the connection besides its own fields. */
export interface RequestConnection {
  /** The fields hold `Upgrade`, and `Connection: upgrade` is to go with it. Default false. */
  readonly upgrade?: boolean;
  /** False: this is the last request of the connection. Default true. */
  readonly keepAlive?: boolean;
}

/**
 * A request head for an origin, always HTTP/1.1. `chunked` framing adds Transfer-Encoding; a length is expected among
 * the fields. `Connection` is made here and must not be among them.
 */
export function requestHeadText(
  method: string,
  target: string,
  fields: Fields,
  framing: BodyFraming = NO_BODY,
  connection?: RequestConnection,
): string {
  let text = `${method} ${target} HTTP/1.1\r\n`;
  let options = connection?.upgrade === true ? 'upgrade' : '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    // RFC 9110 section 10.1.4: TE is named in Connection by whoever sends it.
    if (name.length === 2 && name.toLowerCase() === 'te') options = options === '' ? 'TE' : `${options}, TE`;
    text += `${name}: ${fields[i + 1]}\r\n`;
  }
  if (framing.kind === 'chunked') text += 'Transfer-Encoding: chunked\r\n';
  if (connection?.keepAlive === false) options = options === '' ? 'close' : `${options}, close`;
  return options === '' ? `${text}\r\n` : `${text}Connection: ${options}\r\n\r\n`;
}

/** Whom a response goes to. */
export interface ResponseConnection {
  /** The visitor may send another request on the connection afterwards. `close` framing overrules it. */
  readonly keepAlive: boolean;
  /** The visitor's minor version: 0 gets no chunked body (see `responseFraming`), and is told when the connection stays. */
  readonly minor: 0 | 1;
}

const KEPT_ALIVE: ResponseConnection = { keepAlive: true, minor: 1 };

/**
 * A response head for a visitor. Status 101 gets `Connection: upgrade`, other interim ones no connection fields.
 * `chunked` framing adds Transfer-Encoding for HTTP/1.1 and falls back to `Connection: close` for HTTP/1.0.
 * Without `framing` and `connection`, status 101 apart, nothing is added.
 */
export function responseHeadText(
  status: number,
  reason: string,
  fields: Fields,
  framing: BodyFraming = NO_BODY,
  connection: ResponseConnection = KEPT_ALIVE,
): string {
  let text = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
  if (status < 200) return status === 101 ? `${text}Connection: upgrade\r\n\r\n` : `${text}\r\n`;
  if (framing.kind === 'chunked' && connection.minor === 1) text += 'Transfer-Encoding: chunked\r\n';
  if (!mayStayOpen(framing, connection)) return `${text}Connection: close\r\n\r\n`;
  return connection.minor === 1 ? `${text}\r\n` : `${text}Connection: keep-alive\r\n\r\n`;
}

/** Whether the visitor's connection stays open after a response written with `responseHeadText`. */
export function mayStayOpen(framing: BodyFraming, connection: ResponseConnection): boolean {
  if (framing.kind === 'close' || (framing.kind === 'chunked' && connection.minor === 0)) return false;
  return connection.keepAlive;
}

/** The line before a chunk of `size` bytes, at least 1; the chunk itself is followed by `CHUNK_END`. */
export function chunkHead(size: number): string {
  return `${size.toString(16)}\r\n`;
}

export const CHUNK_END = '\r\n';

/** The end of a chunked body, without trailers. */
export const LAST_CHUNK = '0\r\n\r\n';

/** The end of a chunked body with a trailer section. */
export function lastChunk(trailers: Fields): string {
  if (trailers.length === 0) return LAST_CHUNK;
  let text = '0\r\n';
  for (let i = 0; i < trailers.length; i += 2) text += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
  return `${text}\r\n`;
}
