/**
 * Heads inside frames: latin1 text whose parts are separated by NUL, a byte that no valid field can hold
 * (RFC 9110 section 5.5). No lengths, no JSON: one native call writes or reads a whole head. The fields of requests and
 * responses are the lines that HTTP/1.1 writes, so that an end that speaks it need not take them apart.
 *
 *   request   method NUL target NUL scheme NUL authority NUL visitor-address NUL flags NUL { name ": " value CR LF }
 *   response  status NUL reason NUL { name ": " value CR LF }
 *   trailers  name NUL value { NUL name NUL value }
 *   raw       visitor-address NUL visitor-port NUL local-address NUL local-port
 */
import { type ErrorCode, PortholeError } from './errors.ts';
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
  /** What `encodeRequest` makes of it, where that is at hand. */
  readonly block?: string;
}

/** A request but for method and target. `lines`: its fields as HTTP/1.1 writes them. */
type RequestRest = Pick<ExchangeRequest, 'scheme' | 'authority' | 'visitorAddress' | 'bodiless' | 'upgrade'> & {
  readonly lines: string;
};

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
  if (request.block !== undefined) return request.block;
  const { method, target, scheme, authority, visitorAddress, bodiless, upgrade } = request;
  const lines = fieldLines(request.fields);
  return requestBlock(
    method,
    target,
    requestBlockTail({ scheme, authority, visitorAddress, bodiless, upgrade, lines }),
  );
}

export function requestBlock(method: string, target: string, tail: string): string {
  return `${method}\0${target}\0${tail}`;
}

/** What stands behind the target in a request's block; requests that differ in nothing else share it. */
export function requestBlockTail(request: RequestRest): string {
  const flags = (request.bodiless ? 'n' : '') + (request.upgrade ? 'u' : '');
  return `${request.scheme}\0${request.authority}\0${request.visitorAddress}\0${flags}\0${request.lines}`;
}

export function decodeRequest(block: string): ExchangeRequest {
  const parts = block.split('\0');
  if (parts.length !== 7) throw malformed('request');
  const lines = parts.pop() as string;
  refuseLineBreaks(parts);
  const flags = parts[5] as string;
  return {
    method: parts[0] as string,
    target: parts[1] as string,
    scheme: parts[2] as string,
    authority: parts[3] as string,
    visitorAddress: parts[4] as string,
    bodiless: flags.includes('n'),
    upgrade: flags.includes('u'),
    fields: fieldsOfLines(lines),
  };
}

/** Throws ORIGIN_BAD_RESPONSE of a line break in a field, which would make two of it. */
export function encodeResponse(response: ExchangeResponse): string {
  refuseLineBreaks(response.fields, 'ORIGIN_BAD_RESPONSE');
  return encodeResponseLines(response.status, response.reason, fieldLines(response.fields));
}

/** As `encodeResponse`, of fields that are lines already. */
export function encodeResponseLines(status: number, reason: string, lines: string): string {
  return `${status}\0${reason}\0${lines}`;
}

export function decodeResponse(block: string): ExchangeResponse {
  const parts = block.split('\0');
  const status = Number(parts[0]);
  if (parts.length !== 3 || !(status >= 100 && status <= 999)) throw malformed('response');
  const lines = parts.pop() as string;
  refuseLineBreaks(parts);
  return { status, reason: parts[1] as string, fields: fieldsOfLines(lines) };
}

/** Each field as `name: value CR LF`. */
export function fieldLines(fields: Fields): string {
  let text = '';
  for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}: ${fields[i + 1]}\r\n`;
  return text;
}

/** What `fieldLines` was made of. Throws PROTOCOL_ERROR when it is not lines of that form. */
export function fieldsOfLines(lines: string): Fields {
  const fields: Fields = [];
  for (let at = 0; at < lines.length; ) {
    const colon = lines.indexOf(': ', at);
    const end = lines.indexOf('\r\n', at);
    if (colon === -1 || colon > end) throw malformed('field');
    const name = lines.slice(at, colon);
    const value = lines.slice(colon + 2, end);
    refuseLineBreaks([name, value]);
    fields.push(name, value);
    at = end + 2;
  }
  return fields;
}

export function encodeFields(fields: Fields): string {
  return fields.join('\0');
}

export function decodeFields(block: string): Fields {
  if (block === '') return [];
  const parts = block.split('\0');
  refuseLineBreaks(parts);
  if (parts.length % 2 !== 0) throw malformed('fields');
  return parts;
}

export function encodeRaw(opening: RawOpening): string {
  return `${opening.visitorAddress}\0${opening.visitorPort}\0${opening.localAddress}\0${opening.localPort}`;
}

export function decodeRaw(block: string): RawOpening {
  const parts = block.split('\0');
  refuseLineBreaks(parts);
  if (parts.length !== 4) throw malformed('raw');
  return {
    visitorAddress: parts[0] as string,
    visitorPort: Number(parts[1]),
    localAddress: parts[2] as string,
    localPort: Number(parts[3]),
  };
}

/** The other end is authenticated, not trusted: a line break in a part would let it write lines of its own. */
function refuseLineBreaks(parts: readonly string[], code: ErrorCode = 'PROTOCOL_ERROR'): void {
  for (const part of parts)
    if (part.includes('\n') || part.includes('\r')) throw new PortholeError(code, 'line break in a head');
}

function malformed(what: string): PortholeError {
  return new PortholeError('PROTOCOL_ERROR', `malformed ${what} block`);
}
