/**
 * One request and its response: finds the target, waits for it when it is away, opens the stream, sends the body up
 * and the answer down. Knows nothing of how bytes become requests (the connection does) nor of response framing.
 * One state machine in one file: each event's meaning depends on how far both directions have come.
 */
import {
  decodeFields,
  encodeFields,
  type ErrorCode,
  type ExchangeRequest,
  type ExchangeResponse,
  type Fields,
  PortholeError,
  type RequestHead,
  type Stream,
  type StreamSink,
} from '@porthole/protocol';
import type { Resolution } from '../routing/registry.ts';
import type { AnswerWriter } from './answer-writer.ts';
import { countAnswer } from './counters.ts';
import type { EdgeParts } from './edge-parts.ts';
import { isSoundFields } from './response-writer.ts';
import { WaitingVisitor } from './waiting.ts';

/** What an exchange wants of the connection it came on, or of the part of it that is its own. */
export interface ExchangeOwner {
  readonly parts: EdgeParts;
  /** No request is to follow on this connection. */
  readonly isLast: boolean;
  /** The connection is in the middle of reading: `settle` will be called when it is done. */
  readonly isReading: boolean;
  pauseReading(): void;
  resumeReading(): void;
  /** Something came from the target: it is alive. */
  targetMoved(): void;
  answerOwn(code: ErrorCode, keepAlive: boolean): void;
  answerWriter(): AnswerWriter;
  /** An interim head. */
  interim(response: ExchangeResponse): void;
  exchangeOver(keepAlive: boolean): void;
  /** Breaks off so that the visitor cannot take what he has for the whole. `code`: why the stream ended. */
  breakOff(code: ErrorCode): void;
  /**
   * The target has agreed (101): from here on bytes pass between visitor and stream through the pipe returned. Throws
   * ORIGIN_BAD_RESPONSE when it has not agreed to what was asked.
   */
  leaveHttp(stream: Stream, response: ExchangeResponse): StreamSink;
}

/** Where the answer stands. */
type Answer =
  /** Nothing final has been written. */
  | 'awaited'
  | 'writing'
  /** Complete, while the request still comes in. */
  | 'written'
  /** The relay's own answer is to be given as soon as the connection has done reading. */
  | 'failed'
  | 'over';

/** Interim heads of one exchange and their bytes: no credit holds them back when the visitor does not read. */
const MAX_INTERIM = 64;
const MAX_INTERIM_BYTES = 131_072;
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);
/** Of a body so much is kept until the answer begins, for a second try. */
const KEPT_BODY_BYTES = 65_536;
/** Who tries again may meet somebody else. */
const WORTH_A_SECOND_TRY: ReadonlySet<ErrorCode> = new Set(['SESSION_LOST', 'GOING_AWAY', 'STREAM_REFUSED']);

/** Most requests have no body to keep. */
const NOTHING_YET: Buffer[] = [];

export class Exchange implements StreamSink {
  readonly #owner: ExchangeOwner;
  readonly #head: RequestHead;
  readonly #request: ExchangeRequest;
  #answer: Answer = 'awaited';
  #failure: ErrorCode = 'INTERNAL';
  #stream: Stream | undefined;
  #waiting: WaitingVisitor | undefined;
  #writer: AnswerWriter | undefined;
  #pipe: StreamSink | undefined;
  /** The body so far, while nothing is answered: what one read brought before there was a stream, or little enough. */
  #kept: Buffer[] | undefined = NOTHING_YET;
  #bodyBytes = 0;
  #trailers: Fields | undefined;
  #requestDone = false;
  /** How the first stream ended, once there was or will be a second. */
  #lostBy: ErrorCode | undefined;
  #continued = false;
  #interims = 0;
  #interimBytes = 0;
  #uncredited = 0;

  constructor(owner: ExchangeOwner, head: RequestHead, request: ExchangeRequest) {
    this.#owner = owner;
    this.#head = head;
    this.#request = request;
  }

  get isRequestDone(): boolean {
    return this.#requestDone;
  }

  /** Body bytes may be needed again, for a second try. */
  get keepsBody(): boolean {
    return this.#kept !== undefined;
  }

  /** Nothing of an answer has been written yet, apart from interim ones. */
  get isUnanswered(): boolean {
    return this.#answer === 'awaited' || this.#answer === 'failed';
  }

  /** What is awaited now is the target's to give. */
  get awaitsTarget(): boolean {
    return this.#requestDone && this.#waiting === undefined;
  }

  begin(resolution: Resolution): void {
    if (resolution.state === 'ready') {
      this.#open(resolution);
      return;
    }
    if (resolution.state === 'unknown') {
      this.fail(this.#lostBy ?? 'TUNNEL_NOT_FOUND');
      return;
    }
    const { registry, timeouts, counters } = this.#owner.parts;
    const address = { host: this.#head.host };
    this.#waiting = WaitingVisitor.start(registry, address, timeouts.waitMs, counters, (found) => {
      this.#waiting = undefined;
      if (found.state === 'away') this.fail('AGENT_AWAY');
      else this.begin(found);
    });
    if (this.#waiting === undefined) this.fail('WAIT_LIMIT');
    else if (!this.#request.bodiless) this.#readOnlyToNoticeTheEnd();
  }

  /** The relay answers itself, unless an answer is on its way already. */
  fail(code: ErrorCode): void {
    if (this.#answer !== 'awaited') return;
    this.#answer = 'failed';
    this.#failure = code;
    this.#kept = undefined;
    if (!this.#owner.isReading) this.settle();
  }

  /** Gives the relay's own answer, if that is how it stands. Late, so that a body that is here already is read first. */
  settle(): void {
    if (this.#answer !== 'failed') return;
    this.#answer = 'over';
    const keepAlive = this.#requestDone && this.#head.keepAlive && !this.#owner.isLast;
    this.#owner.answerOwn(this.#failure, keepAlive);
    this.#owner.exchangeOver(keepAlive);
  }

  /** The visitor has gone, or broke the rules in the middle of his body. */
  abandon(code: ErrorCode): void {
    this.#waiting?.cancel();
    this.#answer = 'over';
    this.#stream?.reset(code);
    this.#stream = undefined;
  }

  /** The target has been silent for too long. */
  timedOut(): void {
    if (this.#answer === 'awaited') {
      this.#stream?.reset('CANCELLED');
      this.#stream = undefined;
      this.fail('ORIGIN_TIMEOUT');
    } else {
      this.#truncated();
    }
  }

  // The request, as the connection reads it.

  body(chunk: Buffer): void {
    this.#owner.parts.counters.bytesUpTotal += chunk.length;
    this.#bodyBytes += chunk.length;
    if (this.#kept === NOTHING_YET) this.#kept = [chunk];
    else this.#kept?.push(chunk);
    const stream = this.#stream;
    if (stream !== undefined) {
      this.#keepLittle();
      if (!stream.write(chunk)) this.#owner.pauseReading();
    } else if (this.#answer === 'awaited') {
      this.#owner.pauseReading();
    }
  }

  bodyTrailers(fields: Fields): void {
    this.#trailers = fields;
    this.#stream?.sendTrailers(encodeFields(fields));
  }

  complete(): void {
    this.#requestDone = true;
    if (this.#stream !== undefined && !this.#request.bodiless) this.#stream.end();
    if (this.#waiting !== undefined) this.#readOnlyToNoticeTheEnd();
    if (this.#answer === 'written') this.#finish();
  }

  /** All but `pendingBytes` (framing among them) of what was written is out: the target may send as much again. */
  credit(pendingBytes: number): void {
    const bytes = this.#uncredited - pendingBytes;
    if (bytes <= 0) return;
    this.#uncredited = pendingBytes;
    this.#stream?.consumed(bytes);
  }

  // The answer, as the stream brings it.

  onHead(block: string): void {
    if (this.#answer === 'over') return;
    this.#kept = undefined;
    this.#owner.targetMoved();
    const response = this.#owner.parts.heads.read(block);
    if (response === undefined) {
      this.#nonsense();
      return;
    }
    try {
      if (response.status === 101) this.#switchProtocols(response);
      else if (response.status < 200) this.#interim(response, block.length);
      else this.#final(response);
    } catch (error) {
      if (!(error instanceof PortholeError)) this.#owner.parts.reportBug(error);
      this.#nonsense();
    }
  }

  onData(chunk: Buffer): void {
    if (this.#pipe !== undefined) {
      this.#pipe.onData(chunk);
      return;
    }
    if (this.#answer === 'over') return;
    this.#owner.targetMoved();
    this.#owner.parts.counters.bytesDownTotal += chunk.length;
    this.#uncredited += chunk.length;
    if (this.#answer !== 'writing' || this.#writer?.data(chunk) !== true) this.#nonsense();
  }

  onTrailers(block: string): void {
    if (this.#pipe !== undefined) {
      this.#pipe.onTrailers(block);
    } else if (this.#answer === 'writing') {
      if (isSoundFields(block)) this.#writer?.trailers(decodeFields(block));
      else this.#nonsense();
    }
  }

  onEnd(): void {
    if (this.#pipe !== undefined) {
      this.#pipe.onEnd();
    } else if (this.#answer === 'awaited') {
      this.#drop('PROTOCOL_ERROR');
      this.fail('ORIGIN_CLOSED');
    } else if (this.#answer === 'writing') {
      if (this.#writer?.end() === true) this.#written();
      else this.#truncated();
    }
  }

  onReset(code: ErrorCode, detail: string): void {
    if (this.#pipe !== undefined) {
      this.#pipe.onReset(code, detail);
      return;
    }
    this.#stream = undefined;
    if (this.#answer === 'awaited') this.#lost(code, this.#mayRepeat(code));
    else if (this.#answer === 'writing') this.#truncated(code);
    else if (this.#answer === 'written') this.#finish();
  }

  onWritable(): void {
    if (this.#pipe !== undefined) this.#pipe.onWritable();
    else this.#owner.resumeReading();
  }

  #open(resolution: Resolution & { state: 'ready' }): void {
    let stream: Stream;
    try {
      stream = resolution.target.openExchange(this.#request, this);
    } catch (error) {
      // Nothing went out, so that any method may be tried again.
      if (!(error instanceof PortholeError)) this.#owner.parts.reportBug(error);
      this.#lost(error instanceof PortholeError ? error.code : 'INTERNAL', true);
      return;
    }
    this.#stream = stream;
    let hasRoom = true;
    for (const chunk of this.#kept ?? NOTHING_YET) hasRoom = stream.write(chunk);
    this.#keepLittle();
    try {
      if (this.#trailers !== undefined) stream.sendTrailers(encodeFields(this.#trailers));
    } catch (error) {
      if (!(error instanceof PortholeError)) throw error;
      stream.reset('CANCELLED');
      this.#stream = undefined;
      this.fail(error.code);
      return;
    }
    if (this.#requestDone && !this.#request.bodiless) stream.end();
    if (hasRoom && !this.#request.bodiless) this.#owner.resumeReading();
  }

  /** The stream is no more and nothing was answered. */
  #lost(code: ErrorCode, mayRepeat: boolean): void {
    if (!WORTH_A_SECOND_TRY.has(code) || !mayRepeat || this.#lostBy !== undefined) {
      this.fail(code);
      return;
    }
    this.#lostBy = code;
    const { registry, counters } = this.#owner.parts;
    const resolution = registry.resolveHost(this.#head.host);
    if (resolution.state !== 'unknown') counters.retriedTotal += 1;
    this.begin(resolution);
  }

  /** Only while the whole request is still here to be sent again, and nothing can have come of it (RFC 9110 section 9.2.2). */
  #mayRepeat(code: ErrorCode): boolean {
    if (this.#kept === undefined) return false;
    return code === 'STREAM_REFUSED' || (this.#bodyBytes === 0 && IDEMPOTENT.has(this.#request.method));
  }

  /** While it waits. When nothing more of this request can come, reading on shows whether the visitor is still there. */
  #readOnlyToNoticeTheEnd(): void {
    if (this.#requestDone) this.#owner.resumeReading();
    else this.#owner.pauseReading();
  }

  #keepLittle(): void {
    if (this.#bodyBytes > KEPT_BODY_BYTES) this.#kept = undefined;
  }

  #interim(response: ExchangeResponse, bytes: number): void {
    this.#interims += 1;
    this.#interimBytes += bytes;
    const isTooMuch = this.#interims > MAX_INTERIM || this.#interimBytes > MAX_INTERIM_BYTES;
    if (this.#answer !== 'awaited' || isTooMuch) throw new PortholeError('ORIGIN_BAD_RESPONSE');
    if (response.status === 100) this.#continued = true;
    // RFC 9110 section 15.2: a 1.0 visitor does not know interim responses.
    if (this.#head.minor === 1) this.#owner.interim(response);
  }

  #final(response: ExchangeResponse): void {
    if (this.#answer !== 'awaited') throw new PortholeError('ORIGIN_BAD_RESPONSE');
    const head = this.#head;
    const writer = this.#owner.answerWriter();
    writer.head(response, head, head.keepAlive && !this.#owner.isLast && this.#mayGoOn(response.status));
    this.#writer = writer;
    this.#answer = 'writing';
    countAnswer(this.#owner.parts.counters, response.status);
    // Refused: the request side, kept open for an upgrade, is over.
    if (this.#request.upgrade) this.#stream?.end();
  }

  /**
   * After an early refusal, or without the 100 he waits for, the visitor may or may not send the rest of his body:
   * the connection cannot be used again (RFC 9110 section 10.1.1).
   */
  #mayGoOn(status: number): boolean {
    if (this.#requestDone) return true;
    return status < 300 && (this.#continued || !this.#head.expectsContinue);
  }

  #switchProtocols(response: ExchangeResponse): void {
    const stream = this.#stream;
    if (!this.#request.upgrade || this.#answer !== 'awaited' || stream === undefined)
      throw new PortholeError('ORIGIN_BAD_RESPONSE');
    this.#pipe = this.#owner.leaveHttp(stream, response);
    this.#answer = 'over';
    countAnswer(this.#owner.parts.counters, 101);
  }

  #written(): void {
    this.#answer = 'written';
    if (this.#requestDone || this.#writer?.keepAlive !== true) this.#finish();
  }

  #finish(): void {
    this.#answer = 'over';
    this.#drop('NO_ERROR');
    this.#owner.exchangeOver(this.#requestDone && this.#writer?.keepAlive === true);
  }

  /** The rest of the request has nobody to go to. */
  #drop(code: ErrorCode): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if (!this.#requestDone) stream?.reset(code);
  }

  #truncated(code: ErrorCode = 'ORIGIN_TRUNCATED'): void {
    this.abandon('CANCELLED');
    this.#owner.parts.counters.truncatedTotal += 1;
    this.#owner.breakOff(code);
  }

  /** The other end broke the rules of a response; nothing of it may be taken for one. */
  #nonsense(): void {
    this.#stream?.reset('PROTOCOL_ERROR');
    this.#stream = undefined;
    if (this.#answer === 'awaited') this.fail('ORIGIN_BAD_RESPONSE');
    else this.#truncated();
  }
}
