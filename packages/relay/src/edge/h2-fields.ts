/** Fields as they stand in HTTP/2 (RFC 9113 section 8.2): lower case, none that speaks about a connection. */
import type { OutgoingHttpHeaders } from 'node:http2';
import type { Fields } from '@porthole/protocol';

const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'http2-settings',
]);

/** Repeated fields become lists, in their order. `status` undefined: trailers. */
export function h2Headers(status: number | undefined, fields: Fields): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = Object.create(null);
  if (status !== undefined) headers[':status'] = status;
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    if (CONNECTION_FIELDS.has(name)) continue;
    const value = fields[i + 1] as string;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else headers[name] = [String(before), value];
  }
  return headers;
}
