/**
 * Makes a `RequestHead` of an HTTP/2 header list (RFC 9113 section 8.3), or refuses it. That names are lower-case tokens,
 * values free of controls, pseudo-header fields first and single, and none speaks about a connection has been checked
 * by nghttp2 before.
 */
import { type BodyFraming, type Fields, PortholeError, type RequestHead } from '@porthole/protocol';
import { type HeadLimits, hostOfAuthority } from '@porthole/protocol/http1';

export interface H2RequestHead extends RequestHead {
  /** RFC 8441: the visitor wants the stream to become a WebSocket. */
  readonly isWebSocket: boolean;
}

/** `raw`: name, value, …, pseudo-header fields included. `ends`: the header list ends the request. */
export function h2RequestHead(raw: readonly string[], ends: boolean, limits: HeadLimits): H2RequestHead {
  const list = readList(raw);
  if (list.fields.length / 2 > limits.maxFields)
    throw new PortholeError('TOO_MANY_FIELDS', `more than ${limits.maxFields}`);
  if (list.bytes > limits.maxHeadBytes)
    throw new PortholeError('HEAD_TOO_LARGE', `more than ${limits.maxHeadBytes} bytes`);
  const isWebSocket = list.method === 'CONNECT' && list.protocol !== undefined;
  if (isWebSocket && list.protocol !== 'websocket')
    throw new PortholeError('METHOD_NOT_SUPPORTED', 'the only protocol for an extended CONNECT is websocket');
  if (!isWebSocket) refuseMethod(list.method);
  refuseTarget(list.target, list.method, limits);
  const authority = agreedAuthority(list);
  const host = hostOfAuthority(authority);
  if (host === undefined)
    throw new PortholeError('BAD_REQUEST', 'the authority is not one host name or address with an optional port');
  const body = isWebSocket || ends ? NO_BODY : statedBody(list.contentLength);
  const expectsContinue = list.expect !== undefined && body.kind !== 'none';
  if (expectsContinue && list.expect?.toLowerCase() !== '100-continue') throw new PortholeError('EXPECTATION_FAILED');
  return {
    method: isWebSocket ? 'GET' : list.method,
    target: list.target,
    host,
    authority,
    minor: 1,
    fields: ['Host', authority, ...list.fields],
    body,
    keepAlive: true,
    upgrade: isWebSocket ? 'websocket' : undefined,
    expectsContinue,
    isWebSocket,
  };
}

const NO_BODY: BodyFraming = { kind: 'none' };
const UNTIL_END: BodyFraming = { kind: 'chunked' };
const COLON = 0x3a;

interface HeaderList {
  method: string;
  target: string;
  authority: string;
  protocol: string | undefined;
  host: string | undefined;
  contentLength: string | undefined;
  expect: string | undefined;
  fields: Fields;
  bytes: number;
}

function readList(raw: readonly string[]): HeaderList {
  const fields: Fields = [];
  const list: HeaderList = {
    method: '',
    target: '',
    authority: '',
    protocol: undefined,
    host: undefined,
    contentLength: undefined,
    expect: undefined,
    fields,
    bytes: 0,
  };
  let cookieAt = -1;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    list.bytes += name.length + value.length + 4;
    if (name.charCodeAt(0) === COLON) {
      takePseudo(list, name, value);
      continue;
    }
    switch (name) {
      case 'host':
        if (list.host !== undefined) throw new PortholeError('BAD_REQUEST', 'more than one host');
        list.host = value;
        continue;
      case 'cookie':
        // RFC 9113 section 8.2.3: crumbs are one field for whoever speaks HTTP/1.
        if (cookieAt >= 0) {
          fields[cookieAt] += `; ${value}`;
          continue;
        }
        cookieAt = fields.length + 1;
        break;
      case 'content-length':
        list.contentLength = value;
        break;
      case 'expect':
        list.expect = value;
        break;
    }
    fields.push(name, value);
  }
  return list;
}

function takePseudo(list: HeaderList, name: string, value: string): void {
  if (name === ':method') list.method = value;
  else if (name === ':path') list.target = value;
  else if (name === ':authority') list.authority = value;
  else if (name === ':protocol') list.protocol = value;
}

function refuseMethod(method: string): void {
  if (method === 'CONNECT' || method === 'TRACE') throw new PortholeError('METHOD_NOT_SUPPORTED');
  if (!TOKEN.test(method)) throw new PortholeError('BAD_REQUEST', 'the method is not a token');
}

const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;
/** As in HTTP/1: no space, no control, no fragment. */
const TARGET = /^\/[\x21\x22\x24-\x7e\x80-\xff]*$/;

function refuseTarget(target: string, method: string, limits: HeadLimits): void {
  if (target.length > limits.maxTargetBytes)
    throw new PortholeError('TARGET_TOO_LONG', `more than ${limits.maxTargetBytes} bytes`);
  if (!TARGET.test(target) && !(target === '*' && method === 'OPTIONS'))
    throw new PortholeError('BAD_REQUEST', 'the path does not begin with / or holds what no path may');
}

/** RFC 9113 section 8.3.1: `host` may stand in for the authority and may not differ from it. */
function agreedAuthority({ authority, host }: HeaderList): string {
  if (host === undefined || host === authority) return authority;
  if (authority === '') return host;
  if (host.toLowerCase() !== authority.toLowerCase())
    throw new PortholeError('BAD_REQUEST', ':authority and host differ');
  return authority;
}

function statedBody(contentLength: string | undefined): BodyFraming {
  if (contentLength === undefined) return UNTIL_END;
  if (!/^\d{1,15}$/.test(contentLength)) throw new PortholeError('BAD_REQUEST', 'content-length is not a plain number');
  return { kind: 'length', length: Number(contentLength) };
}
