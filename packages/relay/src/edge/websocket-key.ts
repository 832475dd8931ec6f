/** The handshake of RFC 6455 section 4 from the asking side: RFC 8441 leaves it out, HTTP/1 origins want it. */
import { createHash, randomBytes } from 'node:crypto';
import type { Fields } from '@porthole/protocol';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export function newWebSocketKey(): string {
  return randomBytes(16).toString('base64');
}

/** Whether a 101 answers to this very key. */
export function acceptsWebSocket(fields: Fields, key: string): boolean {
  const wanted = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  for (let i = 0; i < fields.length; i += 2)
    if ((fields[i] as string).toLowerCase() === 'sec-websocket-accept') return fields[i + 1] === wanted;
  return false;
}
