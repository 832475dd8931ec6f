/** Reads one response head from a socket at the beginning of its life, and gives back what came behind it. */
import type { Socket } from 'node:net';
import { PortholeError } from '@porthole/protocol';

export interface AnsweredHead {
  readonly status: number;
  readonly reason: string;
  /** By lower-case name; the first of several. */
  readonly fields: ReadonlyMap<string, string>;
  /** Bytes that came along behind the head. */
  readonly rest: Buffer;
}

const MAX_HEAD_BYTES = 16_384;

/** Rejects when the socket ends, fails or says something else than HTTP; the socket is destroyed then. It is left paused. */
export function readResponseHead(socket: Socket, signal: AbortSignal): Promise<AnsweredHead> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const settle = (): void => {
      socket.pause();
      socket.off('data', onData);
      socket.off('error', onError);
      socket.off('close', onClose);
      socket.off('end', onClose);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: unknown): void => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf('\r\n\r\n');
      const start = received.toString('latin1', 0, 5);
      if (!'HTTP/'.startsWith(start.slice(0, 5)))
        return fail(new PortholeError('NOT_A_RELAY', 'it does not speak HTTP'));
      if (end < 0) {
        if (received.length > MAX_HEAD_BYTES)
          fail(new PortholeError('NOT_A_RELAY', 'the head of its answer has no end'));
        return;
      }
      const head = parseHead(received.toString('latin1', 0, end));
      if (head === undefined) return fail(new PortholeError('NOT_A_RELAY', 'its answer is not HTTP/1.1'));
      const rest = received.subarray(end + 4);
      settle();
      resolve({ ...head, rest });
    };
    const onError = (error: Error): void => fail(error);
    const onClose = (): void => fail(new Error('closed without an answer'));
    const onAbort = (): void => fail(signal.reason);
    socket.on('data', onData);
    socket.once('error', onError);
    socket.once('end', onClose);
    socket.once('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else socket.resume();
  });
}

function parseHead(text: string): Omit<AnsweredHead, 'rest'> | undefined {
  const [first = '', ...lines] = text.split('\r\n');
  const line = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/.exec(first);
  if (line === null) return undefined;
  const fields = new Map<string, string>();
  for (const each of lines) {
    const colon = each.indexOf(':');
    const name = each.slice(0, colon).toLowerCase();
    if (colon > 0 && !fields.has(name)) fields.set(name, each.slice(colon + 1).trim());
  }
  return { status: Number(line[1]), reason: line[2] ?? '', fields };
}
