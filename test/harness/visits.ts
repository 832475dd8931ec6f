/**
 * Long visits that check themselves: transfers with their sha256, numbered messages over WebSocket, numbered events,
 * numbered lines over TCP. Each fails as soon as something is lost, doubled, out of order or broken off.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { WebSocket } from 'ws';
import { patternBody, patternSha256 } from './random.ts';
import { everythingIsHere } from './stage.ts';
import { within } from './until.ts';
import { connectWire } from './wire.ts';

export interface Transfer {
  readonly status: number;
  readonly sha256: string;
  readonly length: number;
}

export interface TransferOptions {
  readonly deadlineMs?: number;
  /** Called with the bytes so far. */
  readonly progress?: (bytes: number) => void;
}

/** GETs a path and hashes the answer. Rejects when it breaks off. */
export function download(url: string, path: string, options: TransferOptions = {}): Promise<Transfer> {
  const work = (async () => {
    const request = httpRequest(`${url}${path}`, { lookup: everythingIsHere, agent: false });
    request.end();
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    const hash = createHash('sha256');
    let length = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      hash.update(chunk);
      length += chunk.length;
      options.progress?.(length);
    }
    return { status: answer.statusCode ?? 0, sha256: hash.digest('hex'), length };
  })();
  return within(`GET ${path}`, work, options.deadlineMs ?? 60_000);
}

/** POSTs the test body of `size` bytes to the origin's `/hash`, which answers with what it got. */
export function upload(
  url: string,
  size: number,
  options: TransferOptions & { readonly chunked?: boolean } = {},
): Promise<Transfer> {
  const work = (async () => {
    const headers = options.chunked === true ? {} : { 'content-length': String(size) };
    const request = httpRequest(`${url}/hash`, { lookup: everythingIsHere, agent: false, method: 'POST', headers });
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    answered.catch(() => undefined);
    await pipeline(Readable.from(counted(patternBody(size, 128 * 1024), options.progress)), request);
    const [answer] = await answered;
    let text = '';
    for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
    if (answer.statusCode !== 200) return { status: answer.statusCode ?? 0, sha256: '', length: 0 };
    const seen = JSON.parse(text) as { sha256: string; length: number };
    return { status: 200, ...seen };
  })();
  return within(`POST of ${size} bytes`, work, options.deadlineMs ?? 60_000);
}

function* counted(pieces: Iterable<Buffer>, progress?: (bytes: number) => void): Generator<Buffer> {
  let done = 0;
  for (const piece of pieces) {
    yield piece;
    done += piece.length;
    progress?.(done);
  }
}

export function expectWhole(transfer: Transfer, size: number): void {
  if (transfer.status !== 200 || transfer.length !== size || transfer.sha256 !== patternSha256(size)) {
    throw new Error(`a transfer of ${size} bytes arrived as ${JSON.stringify(transfer)}`);
  }
}

/** A visit that goes on until it is stopped, and then says how many numbered messages made it. */
export interface LongVisit {
  /** Messages that have come back in order so far. */
  readonly count: number;
  /** Rejects as soon as something is wrong; resolves when stopped. */
  readonly over: Promise<void>;
  untilCount(count: number, deadlineMs?: number): Promise<void>;
  /** Ends the visit in an orderly way. */
  stop(): Promise<void>;
}

/** A numbered message with so many further bytes. */
export function numbered(number: number, padding = 0): string {
  return padding === 0 ? `${number}` : `${number}:${'x'.repeat(padding)}`;
}

export interface LongVisitOptions {
  /** Messages under way at once. Default 4. */
  readonly ahead?: number;
  /** Bytes added to each message. Default 0. */
  readonly padding?: number;
}

class Visit implements LongVisit {
  count = 0;
  readonly over: Promise<void>;
  readonly #settle: { resolve: () => void; reject: (error: Error) => void };
  readonly #what: string;
  #waiters = new Set<() => void>();
  #end: () => void = () => undefined;
  stopped = false;

  constructor(what: string) {
    this.#what = what;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.over = promise;
    promise.catch(() => undefined);
    this.#settle = { resolve, reject };
  }

  onStop(end: () => void): void {
    this.#end = end;
  }

  /** Checks that this is the message that had to come next. */
  arrived(text: string, padding: number): void {
    if (text !== numbered(this.count, padding))
      return this.failed(`got ${JSON.stringify(text.slice(0, 60))} instead of ${this.count}`);
    this.count++;
    for (const waiter of this.#waiters) waiter();
  }

  failed(why: string): void {
    if (!this.stopped) this.#settle.reject(new Error(`${this.#what}: ${why}, after ${this.count} messages`));
  }

  closed(why: string): void {
    this.failed(`ended (${why})`);
    this.#settle.resolve();
  }

  async untilCount(count: number, deadlineMs?: number): Promise<void> {
    let look: (() => void) | undefined;
    const reached = new Promise<void>((resolve) => {
      look = () => this.count >= count && resolve();
      this.#waiters.add(look);
      look();
    });
    await within(
      `${this.#what}: message ${count} (at ${this.count})`,
      Promise.race([reached, this.over]),
      deadlineMs,
    ).finally(() => look !== undefined && this.#waiters.delete(look));
    if (this.count < count) throw new Error(`${this.#what}: over before message ${count}`);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.#end();
    await within(`${this.#what} ends`, this.over);
  }
}

/** Sends numbers over a WebSocket, the next one when the echo of the last is there (`ahead` of them under way). */
export async function visitWebSocket(
  url: string,
  { ahead = 4, padding = 0 }: LongVisitOptions = {},
): Promise<LongVisit> {
  const visit = new Visit('WebSocket');
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket`, {
    lookup: everythingIsHere,
    perMessageDeflate: false,
  });
  let sent = 0;
  await within('the WebSocket opens', once(socket, 'open'));
  socket.on('message', (data) => {
    visit.arrived(String(data), padding);
    if (!visit.stopped) socket.send(numbered(sent++, padding));
  });
  socket.on('error', (error) => visit.failed(error.message));
  socket.on('close', (code, reason) => visit.closed(`${code} ${reason.toString()}`));
  visit.onStop(() => socket.close(1000));
  while (sent < ahead) socket.send(numbered(sent++, padding));
  return visit;
}

/** Follows an event stream of the origin; the test publishes `numbered(0)`, `numbered(1)`, … itself. */
export async function visitEvents(url: string, { padding = 0 }: LongVisitOptions = {}): Promise<LongVisit> {
  const visit = new Visit('event stream');
  const request = httpRequest(`${url}/events`, { lookup: everythingIsHere, agent: false });
  request.end();
  const [answer] = (await within('the event stream begins', once(request, 'response'))) as [IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`event stream: status ${answer.statusCode}`);
  let text = '';
  answer.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    for (let at = text.indexOf('\n\n'); at >= 0; at = text.indexOf('\n\n')) {
      visit.arrived(text.slice('data: '.length, at), padding);
      text = text.slice(at + 2);
    }
  });
  answer.on('error', (error) => visit.failed(error.message));
  answer.on('close', () => visit.closed('closed'));
  visit.onStop(() => request.destroy());
  return visit;
}

/** Sends numbered lines to a service that echoes, over plain TCP. */
export async function visitTcp(port: number, { ahead = 4, padding = 0 }: LongVisitOptions = {}): Promise<LongVisit> {
  const visit = new Visit('TCP connection');
  const wire = await connectWire({ host: '127.0.0.1', port });
  let sent = 0;
  wire.socket.on('data', () => {
    for (let at = wire.peek().indexOf(10); at >= 0; at = wire.peek().indexOf(10)) {
      visit.arrived(wire.take(at + 1).toString('latin1', 0, at), padding);
      if (!visit.stopped) wire.socket.write(`${numbered(sent++, padding)}\n`);
    }
  });
  wire.socket.on('close', () => visit.closed(wire.error?.message ?? 'closed'));
  wire.socket.on('end', () => visit.closed('end'));
  visit.onStop(() => wire.socket.destroy());
  while (sent < ahead) wire.socket.write(`${numbered(sent++, padding)}\n`);
  return visit;
}
