/** One exchange at an origin: from the relay's stream to a connection and back, with all the ways it can end early. */
import {
  decodeFields,
  encodeFields,
  encodeResponse,
  encodeResponseLines,
  MAX_BLOCK_BYTES,
  PortholeError,
  type ExchangeRequest,
  type Fields,
  type ResponseHead,
  type Stream,
  type StreamSink,
} from '@porthole/protocol';
import {
  forwardableResponseFields,
  forwardableResponseLines,
  forwardableTrailers,
  PlainResponse,
  requireValidFields,
} from '@porthole/protocol/http1';
import type { TurnQueue } from '@porthole/protocol/node';
import type { HostRewriting } from './host-rewriting.ts';
import type { ConnectionUser, OriginConnection } from './origin-connection.ts';
import type { OriginPool } from './origin-pool.ts';
import type { OnOriginFailed } from './origin-failures.ts';
import type { Opening } from './origin-socket.ts';
import { isReplayable, type RequestStarts } from './request-head.ts';
import { RequestWriter } from './request-writer.ts';

export interface ExchangeSurroundings {
  readonly pool: OriginPool;
  readonly turns: TurnQueue;
  readonly starts: RequestStarts;
  readonly rewriting: HostRewriting | undefined;
  readonly onFailed: OnOriginFailed | undefined;
}

export class HttpExchange implements StreamSink, ConnectionUser {
  readonly #request: ExchangeRequest;
  readonly #stream: Stream;
  readonly #around: ExchangeSurroundings;
  readonly #writer: RequestWriter;
  #connection: OriginConnection | undefined;
  #opening: Opening | undefined;
  #retried = false;
  #over = false;
  #responseEnded = false;
  #mayReuse = false;
  #raw = false;
  #rawEnded = false;
  #endSeen = false;
  #trailers: Fields = [];

  /** Throws PROTOCOL_ERROR when the request contradicts itself. */
  constructor(request: ExchangeRequest, stream: Stream, around: ExchangeSurroundings) {
    this.#request = request;
    this.#stream = stream;
    this.#around = around;
    this.#writer = new RequestWriter(around.starts.of(request), stream, around.turns, () => this.#requestSent());
  }

  start(): void {
    const idle = this.#around.pool.take(isReplayable(this.#request));
    if (idle === undefined) this.#open();
    else this.#attach(idle);
  }

  onHead(): void {
    this.#abort(new PortholeError('PROTOCOL_ERROR', 'a second head on a stream'));
  }

  onData(chunk: Buffer): void {
    if (this.#over) this.#stream.consumed(chunk.length);
    else this.#guarded(() => this.#writer.write(chunk));
  }

  onTrailers(block: string): void {
    if (this.#over) return;
    this.#guarded(() => {
      const fields = decodeFields(block);
      requireValidFields(fields, 'PROTOCOL_ERROR');
      this.#trailers = forwardableTrailers(fields);
    });
  }

  onEnd(): void {
    this.#endSeen = true;
    if (!this.#over) this.#guarded(() => this.#writer.end(this.#trailers));
  }

  /** The visitor has gone: nobody waits for what the origin is doing. */
  onReset(): void {
    this.#finish()?.destroy();
  }

  onWritable(): void {
    this.#connection?.resume();
  }

  onResponseHead(head: ResponseHead): void {
    const { status } = head;
    if (status === 101) return this.#upgraded(head);
    if (status < 200) return this.#sendHead(head);
    this.#mayReuse = head.keepAlive;
    const hint = keepAliveOf(head);
    if (hint !== undefined) this.#around.pool.noteKeepAlive(hint);
    this.#sendHead(head);
  }

  onResponseBytes(chunk: Buffer): void {
    if (this.#over) return;
    if (!this.#stream.write(chunk)) this.#connection?.pause();
  }

  onResponseTrailers(fields: Fields): void {
    const allowed = forwardableTrailers(fields);
    if (allowed.length > 0) this.#stream.sendTrailers(encodeFields(allowed));
  }

  onResponseEnd(): void {
    if (this.#over || this.#raw || this.#responseEnded) return;
    this.#responseEnded = true;
    this.#stream.end();
    if (this.#writer.finished) this.#finish()?.[this.#mayReuse ? 'release' : 'destroy']();
    // An origin that keeps the connection open after an early answer is still reading, as it would without a tunnel.
    else if (!this.#mayReuse) this.#restUnwanted();
  }

  onRawEnd(): void {
    if (this.#over) return;
    this.#rawEnded = true;
    this.#stream.end();
    if (this.#writer.finished) this.#finish()?.letGo();
  }

  onDrain(): void {
    this.#writer.onDrain();
  }

  onLost(reason: PortholeError): void {
    const answered = this.#connection?.answered === true;
    const reused = this.#connection?.reused === true;
    this.#connection = undefined;
    if (this.#over) return;
    if (this.#responseEnded) return this.#restUnwanted();
    if (!answered && reused && !this.#retried && (!this.#writer.sent || isReplayable(this.#request)))
      return this.#retry();
    this.#abort(reason);
  }

  #open(): void {
    this.#opening = this.#around.pool.open((outcome) => {
      this.#opening = undefined;
      if (outcome instanceof PortholeError) this.#abort(outcome);
      else this.#attach(outcome);
    });
  }

  #attach(connection: OriginConnection): void {
    this.#connection = connection;
    connection.begin(this, this.#request.method, this.#request.upgrade);
    this.#writer.attach(connection.socket);
  }

  /** The origin closed an idle connection while the request was on its way (RFC 9112 section 9.3.1). */
  #retry(): void {
    this.#retried = true;
    this.#writer.detach();
    this.#open();
  }

  #sendHead(head: ResponseHead): void {
    if (this.#over) return;
    const connection = this.#connection;
    const block = connection?.passedOnHead === head ? connection.passedOnBlock : this.#responseBlock(head);
    if (block.length > MAX_BLOCK_BYTES)
      throw new PortholeError('ORIGIN_HEAD_TOO_LARGE', `more than ${MAX_BLOCK_BYTES} bytes`);
    this.#stream.sendHead(block);
  }

  #responseBlock(head: ResponseHead): string {
    const { status, reason } = head;
    const { rewriting } = this.#around;
    if (head instanceof PlainResponse && rewriting?.isToMapBack(head.lines) !== true) {
      const block = encodeResponseLines(status, reason, head.lines);
      this.#connection?.passedOn(head, block);
      return block;
    }
    if (rewriting === undefined)
      return encodeResponseLines(status, reason, forwardableResponseLines(status, head.fields));
    const kept = forwardableResponseFields(status, head.fields);
    rewriting.mapBack(kept, this.#request);
    return encodeResponse({ status, reason, fields: kept });
  }

  #upgraded(head: ResponseHead): void {
    this.#raw = true;
    this.#connection?.becomeRaw();
    this.#writer.becomeRaw();
    this.#sendHead(head);
    if (this.#endSeen) this.#writer.end([]);
  }

  #requestSent(): void {
    if (this.#over) return;
    if (this.#raw) {
      if (this.#rawEnded) this.#finish()?.letGo();
    } else if (this.#responseEnded) this.#finish()?.[this.#mayReuse ? 'release' : 'destroy']();
  }

  /**
   * The response is complete and the origin has stopped reading. What the visitor still sends is thrown away: a reset
   * would throw away what waits of the response, too.
   */
  #restUnwanted(): void {
    this.#finish()?.destroy();
  }

  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#abort(
        error instanceof PortholeError ? error : new PortholeError('INTERNAL', 'sending a request', { cause: error }),
      );
    }
  }

  #abort(reason: PortholeError): void {
    if (this.#over) return;
    this.#finish()?.destroy();
    this.#stream.reset(reason.code, reason.detail);
    // How an upgraded connection ends is between the two who talk over it.
    if (!this.#raw) this.#around.onFailed?.(reason);
  }

  /** Lets go of everything; returns the connection for the caller to release or destroy. */
  #finish(): OriginConnection | undefined {
    const connection = this.#connection;
    this.#over = true;
    this.#connection = undefined;
    this.#opening?.cancel();
    this.#opening = undefined;
    this.#writer.drop();
    return connection;
  }
}

/** Value of the last `Keep-Alive` field. */
function keepAliveOf(head: ResponseHead): string | undefined {
  if (head instanceof PlainResponse) return head.keepAliveValue;
  const { fields } = head;
  for (let i = fields.length - 2; i >= 0; i -= 2) {
    const name = fields[i] as string;
    if (name.length === 10 && name.toLowerCase() === 'keep-alive') return fields[i + 1];
  }
  return undefined;
}
