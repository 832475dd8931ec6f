/**
 * Heads inside frames: latin1 text whose parts are separated by NUL, a byte that no valid field can hold
 * (RFC 9110 section 5.5). No lengths, no JSON: one native call writes or reads a whole head.
 *
 *   request   method NUL target NUL scheme NUL authority NUL visitor-address NUL flags { NUL name NUL value }
 *   response  status NUL reason { NUL name NUL value }
 *   trailers  name NUL value { NUL name NUL value }
 *   raw       visitor-address NUL visitor-port NUL local-address NUL local-port
 */
import { PortholeError } from './errors.ts';
import type { Fields } from './http1/message.ts';

/** An exchange's request as it crosses the wire: hop-by-hop fields removed, forwarding fields set. */
export interface ExchangeRequest {
  readonly method: string;
  readonly target: string;
  /** `http` or `https`: how the visitor came. */
  readonly scheme: string;
  /** Host and port as the visitor wrote them. */
  readonly authority: string;
  readonly visitorAddress: string;
  /** Neither a body nor trailers follow; the stream's request side ends with the head. */
  readonly bodiless: boolean;
  /** The visitor asks to leave HTTP; `fields` holds `Upgrade`. Bytes flow raw after a 101. */
  readonly upgrade: boolean;
  /** `Content-Length` is among them exactly when the length is known; otherwise the body is sent on as chunked. */
  readonly fields: Fields;
}

/** A response (or interim response, status 1xx) as it crosses the wire. No body follows iff the stream ends. */
export interface ExchangeResponse {
  readonly status: number;
  readonly reason: string;
  readonly fields: Fields;
}

/** Who stands behind a raw stream, for logs and the PROXY protocol. */
export interface RawOpening {
  readonly visitorAddress: string;
  readonly visitorPort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

export function encodeRequest(request: ExchangeRequest): string {
  const flags = (request.bodiless ? 'n' : '') + (request.upgrade ? 'u' : '');
  const head = `${request.method}\0${request.target}\0${request.scheme}\0${request.authority}\0${request.visitorAddress}\0${flags}`;
  return request.fields.length === 0 ? head : `${head}\0${request.fields.join('\0')}`;
}

export function decodeRequest(block: string): ExchangeRequest {
  const parts = split(block);
  if (parts.length < 6 || parts.length % 2 !== 0) throw malformed('request');
  const flags = parts[5] as string;
  return {
    method: parts[0] as string,
    target: parts[1] as string,
    scheme: parts[2] as string,
    authority: parts[3] as string,
    visitorAddress: parts[4] as string,
    bodiless: flags.includes('n'),
    upgrade: flags.includes('u'),
    fields: parts.slice(6),
  };
}

export function encodeResponse(response: ExchangeResponse): string {
  const head = `${response.status}\0${response.reason}`;
  return response.fields.length === 0 ? head : `${head}\0${response.fields.join('\0')}`;
}

export function decodeResponse(block: string): ExchangeResponse {
  const parts = split(block);
  const status = Number(parts[0]);
  if (parts.length < 2 || parts.length % 2 !== 0 || !(status >= 100 && status <= 999)) throw malformed('response');
  return { status, reason: parts[1] as string, fields: parts.slice(2) };
}

export function encodeFields(fields: Fields): string {
  return fields.join('\0');
}

export function decodeFields(block: string): Fields {
  if (block === '') return [];
  const parts = split(block);
  if (parts.length % 2 !== 0) throw malformed('fields');
  return parts;
}

export function encodeRaw(opening: RawOpening): string {
  return `${opening.visitorAddress}\0${opening.visitorPort}\0${opening.localAddress}\0${opening.localPort}`;
}

export function decodeRaw(block: string): RawOpening {
  const parts = split(block);
  if (parts.length !== 4) throw malformed('raw');
  return {
    visitorAddress: parts[0] as string,
    visitorPort: Number(parts[1]),
    localAddress: parts[2] as string,
    localPort: Number(parts[3]),
  };
}

/** The other end is authenticated, not trusted: a line break in a part would let it write lines of its own. */
function split(block: string): string[] {
  if (block.includes('\n') || block.includes('\r')) throw new PortholeError('PROTOCOL_ERROR', 'line break in a head');
  return block.split('\0');
}

function malformed(what: string): PortholeError {
  return new PortholeError('PROTOCOL_ERROR', `malformed ${what} block`);
}
