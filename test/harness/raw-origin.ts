/** Origins whose every byte the test decides: accepted sockets are handed to it, or to a script that answers each request. */
import { createServer } from 'node:net';
import { Listener, type ListenOptions } from './listener.ts';
import { DEFAULT_DEADLINE_MS, within } from './until.ts';
import { Wire } from './wire.ts';

/** A request head as it reached the origin. */
export interface SeenRequest {
  /** The bytes up to and including the empty line, latin1. */
  readonly head: string;
  readonly line: string;
  /** Name, value pairs as they stood, white space around values removed. */
  readonly fields: readonly (readonly [string, string])[];
  /** First value of a field, by any case of its name. */
  field(name: string): string | undefined;
  /** The socket; the body, if any, is still unread. */
  readonly wire: Wire;
  /** 0 for the first request of this socket. */
  readonly index: number;
}

export type Answer = (request: SeenRequest) => void | Promise<void>;

export class RawOrigin extends Listener {
  /** Every request head seen by a scripted origin, in order. */
  readonly requests: SeenRequest[] = [];
  #waiting: Wire[] = [];
  #takers: ((wire: Wire) => void)[] = [];
  #requestTakers: ((request: SeenRequest) => void)[] = [];

  constructor(answer?: Answer) {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    super(server);
    server.on('connection', (socket) => {
      const wire = new Wire(socket);
      if (answer !== undefined) void this.#serve(wire, answer);
      else this.#offer(wire);
    });
  }

  /** The next accepted socket (only without a script). */
  accept(deadlineMs = DEFAULT_DEADLINE_MS): Promise<Wire> {
    const ready = this.#waiting.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    return within('a connection to the origin', new Promise<Wire>((resolve) => this.#takers.push(resolve)), deadlineMs);
  }

  /** The next request from now on (only with a script): ask before you send. */
  nextRequest(deadlineMs = DEFAULT_DEADLINE_MS): Promise<SeenRequest> {
    return within(
      'a request at the origin',
      new Promise<SeenRequest>((resolve) => this.#requestTakers.push(resolve)),
      deadlineMs,
    );
  }

  #offer(wire: Wire): void {
    const taker = this.#takers.shift();
    if (taker !== undefined) taker(wire);
    else this.#waiting.push(wire);
  }

  async #serve(wire: Wire, answer: Answer): Promise<void> {
    for (let index = 0; !wire.closed && !wire.ended; index++) {
      let head: string;
      try {
        head = (await wire.readUntil('\r\n\r\n', 600_000)).toString('latin1');
      } catch {
        return;
      }
      const request = seenRequest(head, wire, index);
      this.requests.push(request);
      for (const taker of this.#requestTakers.splice(0)) taker(request);
      try {
        await answer(request);
      } catch (error) {
        // A visitor who leaves in the middle is no fault of the script; anything else shows up as a missing answer.
        if (!wire.closed) wire.reset();
        if (!wire.closed && wire.error === undefined) throw error;
        return;
      }
    }
    // The visitor has ended his side and the script is done: an origin that kept the other half open would be a stalling one.
    wire.end();
  }
}

export function seenRequest(head: string, wire: Wire, index: number): SeenRequest {
  const lines = head.slice(0, -4).split('\r\n');
  const fields = lines.slice(1).map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  return {
    head,
    line: lines[0] ?? '',
    fields,
    field: (name) => fields.find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1],
    wire,
    index,
  };
}

/** Reads the request's body as its head frames it (Content-Length or chunked), without checking anything else. */
export async function readRequestBody(request: SeenRequest, deadlineMs = DEFAULT_DEADLINE_MS): Promise<Buffer> {
  const length = request.field('content-length');
  if (length !== undefined) return await request.wire.readBytes(Number(length), deadlineMs);
  if (request.field('transfer-encoding')?.toLowerCase() !== 'chunked') return Buffer.alloc(0);
  return (await readChunked(request.wire, deadlineMs)).body;
}

/** Reads a chunked body: its bytes, its chunks, its trailer section. */
export async function readChunked(
  wire: Wire,
  deadlineMs = DEFAULT_DEADLINE_MS,
): Promise<{ body: Buffer; chunks: Buffer[]; trailers: string }> {
  const chunks: Buffer[] = [];
  for (;;) {
    const line = (await wire.readUntil('\r\n', deadlineMs)).toString('latin1');
    const size = Number.parseInt(line, 16);
    if (size === 0) break;
    chunks.push(Buffer.from(await wire.readBytes(size, deadlineMs)));
    await wire.readUntil('\r\n', deadlineMs);
  }
  let trailers = '';
  for (;;) {
    const line = (await wire.readUntil('\r\n', deadlineMs)).toString('latin1');
    if (line === '\r\n') break;
    trailers += line;
  }
  return { body: Buffer.concat(chunks), chunks, trailers };
}

/** An origin that gives out its accepted sockets (no `answer`) or answers every request with the script. */
export function startRawOrigin(answer?: Answer, options: ListenOptions = {}): Promise<RawOrigin> {
  return new RawOrigin(answer).listen(options);
}

/** A fixed answer with a length, for tests in which the answer does not matter. */
export function plainAnswer(body = 'ok', extra = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\nContent-Type: text/plain\r\n${extra}\r\n${body}`;
}
