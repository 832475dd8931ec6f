/** One exchange at an HTTP/2 origin: from the relay's stream to a stream of a session and back. */
import { constants, type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2';
import {
  decodeFields,
  encodeFields,
  encodeResponse,
  MAX_BLOCK_BYTES,
  PortholeError,
  type ErrorCode,
  type ExchangeRequest,
  type Fields,
  type Stream,
  type StreamSink,
} from '@porthole/protocol';
import { forwardableResponseFields, forwardableTrailers, requireValidFields } from '@porthole/protocol/http1';
import { h2Headers } from '@porthole/protocol/node';
import type { HostRewriting } from './host-rewriting.ts';
import type { H2Sessions } from './h2-sessions.ts';
import type { OnOriginFailed } from './origin-failures.ts';
import type { Opening } from './origin-socket.ts';

export interface H2Surroundings {
  readonly sessions: H2Sessions;
  readonly rewriting: HostRewriting | undefined;
  readonly secure: boolean;
  readonly onFailed: OnOriginFailed | undefined;
  /** The origin turned out to speak something else: who takes the exchange then, if anybody. */
  insteadOf(request: ExchangeRequest, stream: Stream): StreamSink | undefined;
}

export class H2Exchange implements StreamSink {
  readonly #request: ExchangeRequest;
  readonly #stream: Stream;
  readonly #around: H2Surroundings;
  readonly #written = (): void => this.#credit();
  #origin: ClientHttp2Stream | undefined;
  #opening: Opening | undefined;
  #instead: StreamSink | undefined;
  /** What came before there was a stream; no more than the relay had credit for. */
  #held: Buffer[] = [];
  #trailers: Fields = [];
  #trailerBlock: string | undefined;
  #ended: boolean;
  #uncredited = 0;
  #sent = false;
  #answered = false;
  #answerEnded = false;
  #retried = false;
  #over = false;

  constructor(request: ExchangeRequest, stream: Stream, around: H2Surroundings) {
    this.#request = request;
    this.#stream = stream;
    this.#around = around;
    this.#ended = request.bodiless;
  }

  start(): void {
    this.#opening = this.#around.sessions.take((outcome) => {
      if (this.#over) return;
      if (outcome === 'not h2') this.#giveAway();
      else if (outcome instanceof PortholeError) this.#abort(outcome.code, outcome.detail);
      else this.#ask(outcome);
    });
  }

  onHead(block: string): void {
    if (this.#instead !== undefined) this.#instead.onHead(block);
    else this.#abort('PROTOCOL_ERROR', 'a second head on a stream');
  }

  onData(chunk: Buffer): void {
    if (this.#instead !== undefined) this.#instead.onData(chunk);
    else if (this.#over) this.#stream.consumed(chunk.length);
    else if (this.#origin === undefined) this.#held.push(chunk);
    else this.#write(this.#origin, chunk);
  }

  onTrailers(block: string): void {
    if (this.#instead !== undefined) {
      this.#instead.onTrailers(block);
      return;
    }
    this.#guarded(() => {
      const fields = decodeFields(block);
      requireValidFields(fields, 'PROTOCOL_ERROR');
      this.#trailerBlock = block;
      this.#trailers = forwardableTrailers(fields);
    });
  }

  onEnd(): void {
    if (this.#instead !== undefined) {
      this.#instead.onEnd();
      return;
    }
    if (this.#ended) return;
    this.#ended = true;
    this.#origin?.end();
  }

  /** The visitor has gone: nobody waits for what the origin is doing. */
  onReset(code: ErrorCode, detail: string): void {
    if (this.#instead !== undefined) this.#instead.onReset(code, detail);
    else this.#finish()?.close(code === 'NO_ERROR' ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_CANCEL);
  }

  onWritable(): void {
    if (this.#instead !== undefined) this.#instead.onWritable();
    else this.#origin?.resume();
  }

  #ask(session: ClientHttp2Session): void {
    const { bodiless } = this.#request;
    let origin: ClientHttp2Stream;
    try {
      // Node asks for trailers before it ends the stream, so that a body that broke off never gets END_STREAM.
      origin = session.request(this.#headers(), { endStream: bodiless, waitForTrailers: !bodiless });
    } catch (error) {
      this.#abort('INTERNAL', error instanceof Error ? error.message : '');
      return;
    }
    this.#origin = origin;
    this.#around.sessions.enter(session);
    origin.on('headers', (_headers, _flags, raw: string[]) => this.#guarded(() => this.#sendHead(raw)));
    origin.on('response', (_headers, flags, raw: string[]) =>
      this.#guarded(() => this.#onResponse(origin, flags, raw)),
    );
    origin.on('trailers', (_headers: unknown, _flags: unknown, raw: string[]) =>
      this.#guarded(() => this.#onAnswerTrailers(raw)),
    );
    origin.on('data', (chunk: Buffer) => {
      if (!this.#over && !this.#stream.write(chunk)) origin.pause();
    });
    origin.on('end', () => this.#onAnswerEnd(origin));
    origin.on('error', ignore);
    origin.on('close', () => this.#onClose(origin, session));
    if (bodiless) return;
    origin.on('wantTrailers', () => {
      if (origin.closed || origin.destroyed || this.#over) return;
      this.#guarded(() => origin.sendTrailers(h2Headers(this.#trailers)));
    });
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) this.#write(origin, chunk);
    if (this.#ended) origin.end();
  }

  #headers(): OutgoingHttpHeaders {
    const { method, target } = this.#request;
    const fields = this.#around.rewriting?.requestFields(this.#request) ?? this.#request.fields;
    const headers = h2Headers(fields);
    const host = headers['host'];
    delete headers['host'];
    return {
      ':method': method,
      ':scheme': this.#around.secure ? 'https' : 'http',
      ':authority': typeof host === 'string' ? host : this.#request.authority,
      ':path': target,
      ...headers,
    };
  }

  #write(origin: ClientHttp2Stream, chunk: Buffer): void {
    this.#sent = true;
    this.#uncredited += chunk.length;
    origin.write(chunk, this.#written);
  }

  #credit(): void {
    const pending = this.#origin?.writableLength ?? 0;
    const bytes = this.#uncredited - pending;
    if (bytes <= 0) return;
    this.#uncredited = pending;
    this.#stream.consumed(bytes);
  }

  #onResponse(origin: ClientHttp2Stream, flags: number, raw: readonly string[]): void {
    if (this.#over) return;
    this.#answered = true;
    this.#sendHead(raw);
    // With the head, so that both travel in one frame: gRPC tells "trailers only" by it.
    if ((flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0) this.#onAnswerEnd(origin);
  }

  #sendHead(raw: readonly string[]): void {
    if (this.#over) return;
    const status = Number(raw[raw.indexOf(':status') + 1]);
    const fields = forwardableResponseFields(status, withoutPseudo(raw));
    this.#around.rewriting?.mapBack(fields, this.#request);
    const block = encodeResponse({ status, reason: '', fields });
    if (block.length > MAX_BLOCK_BYTES)
      throw new PortholeError('ORIGIN_HEAD_TOO_LARGE', `more than ${MAX_BLOCK_BYTES} bytes`);
    this.#stream.sendHead(block);
  }

  #onAnswerTrailers(raw: readonly string[]): void {
    if (this.#over) return;
    const allowed = forwardableTrailers(withoutPseudo(raw));
    if (allowed.length > 0) this.#stream.sendTrailers(encodeFields(allowed));
  }

  #onAnswerEnd(origin: ClientHttp2Stream): void {
    if (this.#over || this.#answerEnded || !this.#answered) return;
    // Node ends the readable side of a stream that was reset, too.
    if (origin.rstCode !== constants.NGHTTP2_NO_ERROR) return;
    this.#answerEnded = true;
    this.#stream.end();
  }

  #onClose(origin: ClientHttp2Stream, session: ClientHttp2Session): void {
    this.#around.sessions.leave(session);
    if (origin !== this.#origin) return;
    this.#origin = undefined;
    if (this.#over) return;
    if (this.#answerEnded) {
      // What the visitor still sends is not wanted (RFC 9113 section 8.1).
      if (!this.#ended) this.#stream.reset('NO_ERROR');
      this.#over = true;
      return;
    }
    const { rstCode } = origin;
    const isLost = session.destroyed;
    if (!this.#answered && rstCode === constants.NGHTTP2_REFUSED_STREAM && !this.#sent && !this.#retried) {
      // Nothing of it was looked at (RFC 9113 section 8.7).
      this.#retried = true;
      this.start();
      return;
    }
    if (rstCode === constants.NGHTTP2_CANCEL && !isLost) this.#abort('CANCELLED', 'by the local service');
    else
      this.#abort(
        this.#answered ? 'ORIGIN_TRUNCATED' : 'ORIGIN_CLOSED',
        isLost ? 'the connection was closed' : `it reset the stream (${rstCode})`,
      );
  }

  #giveAway(): void {
    const instead = this.#around.insteadOf(this.#request, this.#stream);
    if (instead === undefined) {
      this.#abort('ORIGIN_BAD_RESPONSE', 'it does not speak HTTP/2');
      return;
    }
    this.#over = true;
    this.#instead = instead;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) instead.onData(chunk);
    if (this.#trailerBlock !== undefined) instead.onTrailers(this.#trailerBlock);
    if (this.#ended && !this.#request.bodiless) instead.onEnd();
  }

  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (error instanceof PortholeError) this.#abort(error.code, error.detail);
      else this.#abort('INTERNAL', 'passing an exchange on');
    }
  }

  #abort(code: ErrorCode, detail: string): void {
    if (this.#over) return;
    this.#finish()?.close(constants.NGHTTP2_CANCEL);
    this.#stream.reset(code, detail);
    this.#around.onFailed?.(new PortholeError(code, detail));
  }

  #finish(): ClientHttp2Stream | undefined {
    const origin = this.#origin;
    this.#over = true;
    this.#opening?.cancel();
    this.#opening = undefined;
    for (const chunk of this.#held.splice(0)) this.#stream.consumed(chunk.length);
    // It must be read to its end to be forgotten.
    origin?.resume();
    return origin;
  }
}

function ignore(): void {}

function withoutPseudo(raw: readonly string[]): Fields {
  const fields: Fields = [];
  for (let i = 0; i < raw.length; i += 2)
    if (!(raw[i] as string).startsWith(':')) fields.push(raw[i] as string, raw[i + 1] as string);
  return fields;
}
