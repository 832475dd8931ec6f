/** Decides how a request is framed towards an origin, from the parts the relay has parsed, and writes its head. */
import { PortholeError, type ExchangeRequest, type Fields } from '@porthole/protocol';
import { requestHeadText, type RequestConnection } from '@porthole/protocol/http1';
import type { HostRewriting } from './host-rewriting.ts';
import { type RequestRest, SoundRequest } from './sound-request.ts';

export type RequestFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' };

export interface RequestStart {
  /** Latin1, up to and including the empty line. */
  readonly head: string;
  readonly framing: RequestFraming;
}

const NONE: RequestFraming = { kind: 'none' };
const CHUNKED: RequestFraming = { kind: 'chunked' };
const UPGRADING: RequestConnection = { upgrade: true };

/**
 * The framing is decided here and nowhere else: what the other side says about it is checked, never copied
 * (RFC 9112 section 6). Throws PROTOCOL_ERROR when the parts contradict each other.
 */
export function requestStart(request: ExchangeRequest, fields: Fields): RequestStart {
  const framing = framingOf(request, fields);
  const head = requestHeadText(
    request.method,
    request.target,
    fields,
    framing,
    request.upgrade ? UPGRADING : undefined,
  );
  return { head, framing };
}

/** Makes the heads of one origin's requests. What is the same of many is made once. */
export class RequestStarts {
  readonly #rewriting: HostRewriting | undefined;
  /** What stands behind the target in the heads of plain requests. */
  readonly #tails = new WeakMap<RequestRest, string>();
  #lastRequest: SoundRequest | undefined;
  #lastStart: RequestStart | undefined;

  constructor(rewriting: HostRewriting | undefined) {
    this.#rewriting = rewriting;
  }

  /** As `requestStart`, with the Host as the tunnel's mode wants it. */
  of(request: ExchangeRequest): RequestStart {
    if (request instanceof SoundRequest && request.rest.isPlain) return this.#ofPlain(request);
    return requestStart(request, this.#rewriting?.requestFields(request) ?? request.fields);
  }

  #ofPlain(request: SoundRequest): RequestStart {
    if (request === this.#lastRequest && this.#lastStart !== undefined) return this.#lastStart;
    const tail = this.#tails.get(request.rest) ?? this.#makeTail(request.rest);
    this.#lastStart = { head: `${request.method} ${request.target}${tail}`, framing: NONE };
    this.#lastRequest = request;
    return this.#lastStart;
  }

  #makeTail(rest: RequestRest): string {
    const tail = ` HTTP/1.1\r\n${this.#rewriting?.requestLines(rest.lines, rest) ?? rest.lines}\r\n`;
    this.#tails.set(rest, tail);
    return tail;
  }
}

function framingOf(request: ExchangeRequest, fields: Fields): RequestFraming {
  const length = statedLength(fields);
  if (request.bodiless || request.upgrade) {
    if (length !== undefined && length !== 0)
      throw new PortholeError('PROTOCOL_ERROR', 'a request without body that has a length');
    return NONE;
  }
  return length === undefined ? CHUNKED : { kind: 'length', length };
}

function statedLength(fields: Fields): number | undefined {
  let length: number | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name.length !== 14 && name.length !== 17 && name.length !== 10) continue;
    const lower = name.toLowerCase();
    if (lower === 'connection' || lower === 'transfer-encoding')
      throw new PortholeError('PROTOCOL_ERROR', `${lower} in a request that was forwarded`);
    if (lower !== 'content-length') continue;
    if (length !== undefined) throw new PortholeError('PROTOCOL_ERROR', 'a request with two lengths');
    length = parseLength(fields[i + 1] as string);
  }
  return length;
}

function parseLength(text: string): number {
  const length = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(length))
    throw new PortholeError('PROTOCOL_ERROR', 'a length that is no number');
  return length;
}

const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE', 'PROPFIND', 'REPORT', 'SEARCH']);

/** Whether it can be sent a second time although the first may have reached the origin (RFC 9110 section 9.2.2). */
export function isReplayable(request: ExchangeRequest): boolean {
  if (!request.bodiless || request.upgrade) return false;
  // Most are this one, and looking up a string that was just cut out of another costs more than comparing it.
  return request.method === 'GET' || IDEMPOTENT.has(request.method);
}
