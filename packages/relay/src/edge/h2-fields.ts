/** Fields of answers as they stand in HTTP/2. */
import type { OutgoingHttpHeaders } from 'node:http2';
import type { Fields } from '@porthole/protocol';
import { H2_CONNECTION_FIELDS, h2Headers } from '@porthole/protocol/node';

const NOT_IN_ANSWERS: ReadonlySet<string> = new Set([...H2_CONNECTION_FIELDS, 'te']);

/** For `respond`, which takes a flat list, as it stands on the wire: that costs half of what an object does. */
export function h2ResponseHeaders(status: number, fields: Fields): readonly string[] {
  const list = [':status', String(status)];
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    if (!NOT_IN_ANSWERS.has(name)) list.push(name, fields[i + 1] as string);
  }
  return list;
}

/** For those that take objects. `status` undefined: trailers. */
export function h2AnswerHeaders(status: number | undefined, fields: Fields): OutgoingHttpHeaders {
  const headers = h2Headers(fields, NOT_IN_ANSWERS);
  if (status !== undefined) headers[':status'] = status;
  return headers;
}
