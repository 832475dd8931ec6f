/** Fields as `node:http2` takes them (RFC 9113 section 8.2): lower case, none that speaks about a connection. */
import type { OutgoingHttpHeaders } from 'node:http2';
import type { Fields } from '../http1/message.ts';

/** RFC 9113 section 8.2.2; `te` may stand in requests, with `trailers` only. */
export const H2_CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Repeated fields become lists, in their order. `unwanted`: lower-case names to leave out. Default `H2_CONNECTION_FIELDS`. */
export function h2Headers(fields: Fields, unwanted = H2_CONNECTION_FIELDS): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = Object.create(null);
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    if (unwanted.has(name)) continue;
    const value = fields[i + 1] as string;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else headers[name] = [String(before), value];
  }
  return headers;
}
