/** One request of a visitor whose TLS ended here: the origin's end of it is a stream like that of a session. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  decodeFields,
  decodeResponse,
  encodeFields,
  type ErrorCode,
  errorRow,
  type ExchangeResponse,
  type Stream,
  type StreamSink,
} from '@porthole/protocol';
import { forwardableResponseFields, forwardableTrailers, responseHeadText } from '@porthole/protocol/http1';

/** So much of a body may be on its way to the origin before reading stops. */
const HIGH_BYTES = 256 * 1024;

export class VisitorExchange implements Stream {
  protected readonly incoming: IncomingMessage;
  protected readonly response: ServerResponse;
  protected sink: StreamSink | undefined;
  protected isOver = false;
  #given = 0;
  #continued = false;

  constructor(incoming: IncomingMessage, response: ServerResponse) {
    this.incoming = incoming;
    this.response = response;
    response.sendDate = false;
  }

  /** `sink` takes the request's body; what the origin has said before is on its way already. */
  start(sink: StreamSink, bodiless: boolean): void {
    const { incoming, response } = this;
    this.sink = sink;
    response.on('drain', () => this.tell((to) => to.onWritable()));
    response.on('close', () => this.visitorLeft());
    response.on('error', () => undefined);
    incoming.on('error', () => undefined);
    if (bodiless) {
      incoming.resume();
      return;
    }
    incoming.on('data', (chunk: Buffer) => this.give(chunk));
    incoming.on('end', () => this.#ended());
  }

  sendHead(block: string): void {
    const head = decodeResponse(block);
    if (head.status < 200) this.interim(head);
    else this.final(head);
  }

  write(chunk: Buffer): boolean {
    return this.isOver || this.response.write(chunk);
  }

  sendTrailers(block: string): void {
    const fields = forwardableTrailers(decodeFields(block));
    const pairs: [string, string][] = [];
    for (let i = 0; i < fields.length; i += 2) pairs.push([fields[i] ?? '', fields[i + 1] ?? '']);
    this.response.addTrailers(pairs);
    this.end();
  }

  end(): void {
    if (this.isOver) return;
    this.response.end();
  }

  /** Nothing answered yet: the visitor is told why. Otherwise he must not take what he has for the whole. */
  reset(code: ErrorCode): void {
    if (this.isOver) return;
    this.isOver = true;
    const { response } = this;
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const row: { readonly status?: number; readonly message: string; readonly hint: string } = errorRow(code);
    const text = Buffer.from(`${row.message} ${row.hint}\n`);
    response.shouldKeepAlive = false;
    response.writeHead(row.status ?? 502, {
      'content-type': 'text/plain; charset=utf-8',
      'content-length': text.length,
      'cache-control': 'no-store',
      'porthole-error': code,
    });
    response.end(this.incoming.method === 'HEAD' ? undefined : text);
    // What he still sends is read off, or the close would take the answer with it.
    this.incoming.resume();
  }

  consumed(bytes: number): void {
    this.#given -= bytes;
    if (this.#given <= HIGH_BYTES && !this.isOver) this.readOn();
  }

  protected give(chunk: Buffer): void {
    this.#given += chunk.length;
    if (this.#given > HIGH_BYTES) this.readNoMore();
    this.tell((to) => to.onData(chunk));
  }

  protected readOn(): void {
    this.incoming.resume();
  }

  protected readNoMore(): void {
    this.incoming.pause();
  }

  protected tell(what: (to: StreamSink) => void): void {
    if (!this.isOver && this.sink !== undefined) what(this.sink);
  }

  protected visitorLeft(): void {
    // An answer before the end of the request: the rest of that has nobody to go to.
    const isWhole = this.response.writableFinished && this.incoming.complete;
    if (!isWhole) this.tell((to) => to.onReset('CANCELLED', 'the visitor has left'));
    this.isOver = true;
  }

  protected final({ status, reason, fields }: ExchangeResponse): void {
    const { response, incoming } = this;
    // Without the 100 he waits for, the visitor may or may not send his body (RFC 9110 section 10.1.1).
    if (!this.#continued && !incoming.complete && incoming.headers.expect !== undefined)
      response.shouldKeepAlive = false;
    response.writeHead(status, reason, forwardableResponseFields(status, fields));
    response.flushHeaders();
  }

  /** HTTP/1.0 does not know them (RFC 9110 section 15.2), and before an earlier answer has gone they have no place. */
  protected interim(head: ExchangeResponse): void {
    if (head.status === 101 || this.incoming.httpVersionMinor === 0) return;
    if (head.status === 100) this.#continued = true;
    this.response.socket?.write(interimText(head), 'latin1');
  }

  #ended(): void {
    const trailers = forwardableTrailers(this.incoming.rawTrailers);
    if (trailers.length > 0) this.tell((to) => to.onTrailers(encodeFields(trailers)));
    this.tell((to) => to.onEnd());
  }
}

/** A request to leave HTTP (RFC 9110 section 7.8): after the origin's 101 bytes flow as they are. */
export class UpgradingExchange extends VisitorExchange {
  readonly #socket: Duplex;
  #early: Buffer;
  #isRaw = false;

  constructor(incoming: IncomingMessage, response: ServerResponse, socket: Duplex, early: Buffer) {
    super(incoming, response);
    this.#socket = socket;
    this.#early = early;
    socket.on('error', () => undefined);
    socket.once('close', () => this.visitorLeft());
    socket.on('drain', () => this.tell((to) => to.onWritable()));
  }

  override start(sink: StreamSink): void {
    this.sink = sink;
  }

  override write(chunk: Buffer): boolean {
    return this.#isRaw ? this.isOver || this.#socket.write(chunk) : super.write(chunk);
  }

  override end(): void {
    if (!this.#isRaw) super.end();
    else if (!this.isOver) this.#socket.end();
  }

  override reset(code: ErrorCode): void {
    if (!this.#isRaw) {
      this.#refuse();
      super.reset(code);
      return;
    }
    this.isOver = true;
    this.#socket.destroy();
  }

  protected override readOn(): void {
    this.#socket.resume();
  }

  protected override readNoMore(): void {
    this.#socket.pause();
  }

  protected override visitorLeft(): void {
    const isWhole = this.#isRaw ? this.#socket.readableEnded && this.#socket.writableFinished : undefined;
    if (isWhole === undefined) super.visitorLeft();
    else if (!isWhole) this.tell((to) => to.onReset('CANCELLED', 'the visitor has left'));
    this.isOver = true;
  }

  protected override final(head: ExchangeResponse): void {
    this.#refuse();
    super.final(head);
    // Not from within the origin's own call, here and below.
    setImmediate(() => this.tell((to) => to.onEnd()));
  }

  protected override interim(head: ExchangeResponse): void {
    if (this.#isRaw) return;
    const socket = this.#socket;
    socket.write(interimText(head), 'latin1');
    if (head.status !== 101) return;
    this.#isRaw = true;
    const early = this.#early;
    this.#early = Buffer.alloc(0);
    setImmediate(() => {
      if (early.length > 0) this.give(early);
      socket.on('data', (chunk: Buffer) => this.give(chunk));
      socket.on('end', () => this.tell((to) => to.onEnd()));
    });
  }

  /** An ordinary answer after all, and the last one on the connection. */
  #refuse(): void {
    const { response } = this;
    if (response.socket !== null || response.destroyed) return;
    response.shouldKeepAlive = false;
    // Node's types say less of the socket of its own connection than it is.
    response.assignSocket(this.#socket as Socket);
    response.on('finish', () => this.#socket.end());
  }
}

function interimText({ status, reason, fields }: ExchangeResponse): string {
  return responseHeadText(status, reason, forwardableResponseFields(status, fields));
}
