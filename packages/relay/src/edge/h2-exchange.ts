/** One HTTP/2 stream of a visitor: feeds its request into an exchange and gives the exchange its way to answer. */
import { constants, type ServerHttp2Stream } from 'node:http2';
import {
  type ErrorCode,
  errorRow,
  type ExchangeResponse,
  type Fields,
  PortholeError,
  type Stream,
  type StreamSink,
} from '@porthole/protocol';
import { forwardableResponseFields } from '@porthole/protocol/http1';
import { countOwnAnswer } from './counters.ts';
import type { DoorParts } from './door-parts.ts';
import { Exchange, type ExchangeOwner } from './exchange.ts';
import { H2Answer } from './h2-answer.ts';
import { h2AnswerHeaders } from './h2-fields.ts';
import { grpcStatusOf } from './h2-grpc-status.ts';
import { type H2RequestHead, h2RequestHead } from './h2-head.ts';
import { H2Pipe } from './h2-pipe.ts';
import { type OwnAnswer, ownAddressParts, ownAnswerParts } from './own-answers.ts';
import { Progress } from './progress.ts';
import { exchangeRequest, valueOf, type VisitorOrigin } from './request-routing.ts';
import { acceptsWebSocket, newWebSocketKey } from './websocket-key.ts';

/** What an exchange needs to know of the connection it is one of. */
export interface H2Surroundings {
  readonly parts: DoorParts;
  readonly from: VisitorOrigin;
  /** Whether this connection is one for that host; undefined: for any. */
  readonly covers: ((host: string) => boolean) | undefined;
  uploadStarted(): void;
  uploadMoved(streamBytes: number): void;
  uploadEnded(): void;
}

export class H2Exchange implements ExchangeOwner {
  readonly parts: DoorParts;
  readonly isLast = false;
  isReading = false;
  readonly #stream: ServerHttp2Stream;
  readonly #around: H2Surroundings;
  #head: H2RequestHead | undefined;
  #exchange: Exchange | undefined;
  #answer: H2Answer | undefined;
  #pipe: H2Pipe | undefined;
  #webSocketKey = '';
  #isGrpc = false;
  #isUploading = false;
  #bodyBytes = 0;
  readonly #progress: Progress;

  constructor(stream: ServerHttp2Stream, around: H2Surroundings) {
    this.parts = around.parts;
    this.#stream = stream;
    this.#around = around;
    this.#progress = new Progress(around.parts.ticker, around.parts.timeouts);
  }

  /** Body bytes that have come and that nobody has taken yet. */
  get heldBytes(): number {
    return this.#isUploading ? this.#stream.readableLength : 0;
  }

  /** `raw`: the header list. `ends`: there is no body. */
  begin(raw: readonly string[], ends: boolean): void {
    this.isReading = true;
    try {
      this.#start(raw, ends);
    } catch (error) {
      const isFault = error instanceof PortholeError;
      if (!isFault) this.parts.reportBug(error);
      const exchange = this.#exchange;
      if (exchange !== undefined) exchange.abandon('CANCELLED');
      this.answerOwn(isFault ? error.code : 'INTERNAL', false, isFault ? error.detail : '');
      this.#forget();
      this.#stream.close();
    }
    this.isReading = false;
    this.#exchange?.settle();
  }

  /** The stream is closed, in whichever way. */
  closed(): void {
    this.#uploadOver();
    if (this.#pipe !== undefined) {
      this.parts.counters.upgradedOpen -= 1;
      this.#pipe.visitorClosed();
    }
    if (this.#exchange === undefined) return;
    this.parts.counters.abortsTotal += 1;
    this.#exchange.abandon('CANCELLED');
    this.#forget();
  }

  /** The relay stops. True when the visitor of a WebSocket could be told so. */
  goAway(): boolean {
    return this.#pipe?.goAway() === true;
  }

  /** At once; what is not complete must not look as if it were. */
  cut(code: number): void {
    this.#stream.close(code);
  }

  tick(now: number): void {
    if (this.#pipe !== undefined) return;
    const isReadingSlowly = this.#stream.writableLength > 0;
    if (this.#progress.visitorStalls(now, isReadingSlowly || this.#isAwaitedToSend()))
      this.cut(constants.NGHTTP2_CANCEL);
    const exchange = this.#exchange;
    if (exchange === undefined || isReadingSlowly) return;
    if (exchange.awaitsTarget && this.#progress.targetStalls(now)) exchange.timedOut();
  }

  // What the exchange wants.

  pauseReading(): void {
    this.#stream.pause();
  }

  resumeReading(): void {
    if (this.#isUploading && this.#stream.isPaused()) this.#stream.resume();
  }

  targetMoved(): void {
    this.#progress.targetMoved();
  }

  answerOwn(code: ErrorCode, _keepAlive: boolean, detail = ''): void {
    countOwnAnswer(this.parts.counters, code);
    const stream = this.#stream;
    if (stream.destroyed || stream.closed || stream.headersSent) return;
    const { status, fields, body } = this.#ownAnswer(code, detail);
    if (body === '' || this.#head?.method === 'HEAD') {
      stream.respond(h2AnswerHeaders(status, fields), { endStream: true });
    } else {
      stream.respond(h2AnswerHeaders(status, fields));
      stream.end(body, 'latin1');
    }
  }

  answerWriter(): H2Answer {
    this.#answer = new H2Answer(this.#stream, this.parts.turns, (pendingBytes) => {
      this.#progress.visitorMoved();
      this.#exchange?.credit(pendingBytes);
    });
    return this.#answer;
  }

  interim(response: ExchangeResponse): void {
    const { status, fields } = response;
    if (this.#stream.destroyed || this.#stream.closed || this.#stream.headersSent) return;
    this.#stream.additionalHeaders(h2AnswerHeaders(status, forwardableResponseFields(status, fields)));
  }

  exchangeOver(keepAlive: boolean): void {
    this.#forget();
    if (keepAlive) return;
    this.#uploadOver();
    if (this.#answer === undefined) this.#stream.close();
    else this.#answer.closeAfter();
  }

  breakOff(code: ErrorCode): void {
    this.#forget();
    this.#stream.close(code === 'CANCELLED' ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_INTERNAL_ERROR);
  }

  leaveHttp(stream: Stream, response: ExchangeResponse): StreamSink {
    if (!acceptsWebSocket(response.fields, this.#webSocketKey))
      throw new PortholeError('ORIGIN_BAD_RESPONSE', 'it accepts another WebSocket than the one asked for');
    const { counters } = this.parts;
    this.#forget();
    counters.upgradedOpen += 1;
    counters.upgradedTotal += 1;
    const fields = without(forwardableResponseFields(200, response.fields), 'sec-websocket-accept');
    // Trailers are waited for, so that a pipe that is cut never gets END_STREAM.
    this.#stream.respond(h2AnswerHeaders(200, fields), { waitForTrailers: true, sendDate: false } as object);
    this.#pipe = new H2Pipe(this.#stream, stream, counters);
    this.#pipe.start();
    return this.#pipe;
  }

  #start(raw: readonly string[], ends: boolean): void {
    const { counters, headLimits, registry, viaName, trusted } = this.parts;
    counters.exchangesOpen += 1;
    counters.exchangesTotal += 1;
    const head = h2RequestHead(raw, ends, headLimits);
    this.#head = head;
    if (head.isWebSocket) this.#askForWebSocket(head.fields);
    else this.#isGrpc = valueOf(head.fields, 'content-type').startsWith('application/grpc');
    if (this.#around.covers?.(head.host) === false) throw new PortholeError('MISDIRECTED');
    const exchange = new Exchange(this, head, exchangeRequest(head, this.#around.from, viaName, trusted));
    this.#exchange = exchange;
    exchange.begin(registry.resolveHost(head.host));
    if (ends || head.isWebSocket) exchange.complete();
    else this.#readBody(exchange);
  }

  #readBody(exchange: Exchange): void {
    const stream = this.#stream;
    this.#isUploading = true;
    this.#around.uploadStarted();
    const mustWait = stream.isPaused();
    stream.on('data', (chunk: Buffer) => {
      this.#progress.visitorMoved();
      this.#bodyBytes += chunk.length;
      this.#around.uploadMoved(this.#bodyBytes);
      exchange.body(chunk);
    });
    stream.on('trailers', (_headers: unknown, _flags: number, raw?: string[]) => {
      if (raw !== undefined) exchange.bodyTrailers(raw.slice());
    });
    stream.on('end', () => {
      // Node ends the readable side of a stream that was reset, too.
      if (stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR) return;
      this.#uploadOver();
      exchange.complete();
    });
    // Listening made it flow.
    if (mustWait) stream.pause();
  }

  #askForWebSocket(fields: Fields): void {
    this.#webSocketKey = newWebSocketKey();
    for (let i = 0; i < fields.length; )
      if (fields[i] === 'sec-websocket-key') fields.splice(i, 2);
      else i += 2;
    fields.push('Upgrade', 'websocket', 'Sec-WebSocket-Key', this.#webSocketKey);
  }

  /** An answer that has begun, and gRPC, may wait for the visitor for as long as they like. */
  #isAwaitedToSend(): boolean {
    const exchange = this.#exchange;
    if (exchange === undefined || exchange.isRequestDone || this.#isGrpc) return false;
    return exchange.isUnanswered && !this.#stream.isPaused();
  }

  #ownAnswer(code: ErrorCode, detail: string): OwnAnswer {
    const head = this.#head;
    const row = errorRow(code);
    if (this.#isGrpc) {
      const message = encodeURIComponent(`${code}: ${row.message} ${row.hint}`).replaceAll('%20', ' ');
      const fields = ['Content-Type', 'application/grpc', 'Grpc-Status', String(grpcStatusOf(code))];
      return { status: 200, fields: [...fields, 'Grpc-Message', message, 'Porthole-Error', code], body: '' };
    }
    const accept = head === undefined ? '' : valueOf(head.fields, 'accept');
    const isOwn = code === 'TUNNEL_NOT_FOUND' && head !== undefined && this.parts.ownHosts.has(head.host);
    return isOwn ? ownAddressParts(accept) : ownAnswerParts(code, accept, detail);
  }

  #uploadOver(): void {
    if (!this.#isUploading) return;
    this.#isUploading = false;
    this.#around.uploadEnded();
  }

  #forget(): void {
    if (this.#isForgotten) return;
    this.#isForgotten = true;
    this.#exchange = undefined;
    this.parts.counters.exchangesOpen -= 1;
  }

  #isForgotten = false;
}

function without(fields: Fields, name: string): Fields {
  const kept: Fields = [];
  for (let i = 0; i < fields.length; i += 2)
    if ((fields[i] as string).toLowerCase() !== name) kept.push(fields[i] as string, fields[i + 1] as string);
  return kept;
}
