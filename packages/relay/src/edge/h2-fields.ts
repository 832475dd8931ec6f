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

/** Since 24.7 Node takes a flat list, as it stands on the wire, which costs half of what an object does. */
const TAKES_LISTS = takesLists(process.versions.node);

/** For `respond`. */
export function h2ResponseHeaders(status: number, fields: Fields): OutgoingHttpHeaders | readonly string[] {
  if (!TAKES_LISTS) return h2Headers(status, fields);
  const list = [':status', String(status)];
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    if (!CONNECTION_FIELDS.has(name)) list.push(name, fields[i + 1] as string);
  }
  return list;
}

function takesLists(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 7);
}

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
