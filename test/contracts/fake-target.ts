/**
 * A target in memory: records what a door sends, and answers as the test's script says. Like the real ones it calls
 * nothing from within a call into it, and it never sends more body than it has credit for.
 */
import {
  decodeResponse,
  encodeFields,
  encodeResponse,
  type ErrorCode,
  type ExchangeRequest,
  type Fields,
  type RawOpening,
  type Stream,
  type StreamSink,
} from '@porthole/protocol';
import type { Target } from '../../packages/relay/src/routing/target.ts';

export type Script = (stream: FakeStream) => void;

const WINDOW_BYTES = 256 * 1024;

export class FakeTarget implements Target {
  readonly label = 'fake';
  readonly streams: FakeStream[] = [];
  /** Keep no record: for load. */
  forgetful = false;
  script: Script;
  /** Thrown by the next opening, once. */
  refusal: Error | undefined;
  readonly #awaited: ((stream: FakeStream) => void)[] = [];
  #taken = 0;

  constructor(script: Script = () => undefined) {
    this.script = script;
  }

  openExchange(request: ExchangeRequest, sink: StreamSink): Stream {
    return this.#open(new FakeStream(sink, request, undefined));
  }

  openRaw(opening: RawOpening, sink: StreamSink): Stream {
    return this.#open(new FakeStream(sink, undefined, opening));
  }

  /** The next stream that was not handed out yet, now or when it comes. */
  next(): Promise<FakeStream> {
    const stream = this.streams[this.#taken];
    this.#taken += 1;
    if (stream !== undefined) return Promise.resolve(stream);
    return new Promise((resolve) => this.#awaited.push(resolve));
  }

  #open(stream: FakeStream): FakeStream {
    if (this.refusal !== undefined) {
      const refusal = this.refusal;
      this.refusal = undefined;
      throw refusal;
    }
    if (!this.forgetful) {
      this.streams.push(stream);
      this.#awaited.shift()?.(stream);
    }
    this.script(stream);
    return stream;
  }
}

type Waiter = { readonly isMet: () => boolean; readonly resolve: () => void };

export class FakeStream implements Stream {
  readonly request: ExchangeRequest;
  readonly opening: RawOpening;
  readonly sink: StreamSink;
  /** What the door sent. */
  readonly chunks: Buffer[] = [];
  trailers: string | undefined;
  ended = false;
  resetCode: ErrorCode | undefined;
  /** Body bytes accepted before `write` says false; `release` empties the count. */
  highWaterBytes = Number.POSITIVE_INFINITY;
  heldBytes = 0;
  sentBytes = 0;
  consumedBytes = 0;
  /** The most that was ever sent and not given back. */
  maxUncreditedBytes = 0;
  #calls: (() => void)[] = [];
  #over = false;
  #pumping: { left: number; chunk: Buffer; done: () => void } | undefined;
  #waiters: Waiter[] = [];

  constructor(sink: StreamSink, request: ExchangeRequest | undefined, opening: RawOpening | undefined) {
    this.sink = sink;
    this.request = request as ExchangeRequest;
    this.opening = opening as RawOpening;
  }

  get body(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }

  sendHead(): void {
    throw new Error('a door sends its head with the opening');
  }

  write(chunk: Buffer): boolean {
    if (this.ended) throw new Error('write after end');
    this.chunks.push(chunk);
    this.heldBytes += chunk.length;
    this.#changed();
    return this.heldBytes < this.highWaterBytes;
  }

  sendTrailers(block: string): void {
    this.trailers = block;
    this.#changed();
  }

  end(): void {
    this.ended = true;
    this.#changed();
  }

  reset(code: ErrorCode): void {
    if (this.#over) return;
    this.#over = true;
    this.resetCode = code;
    this.#calls = [];
    this.#pumping = undefined;
    this.#changed();
  }

  consumed(bytes: number): void {
    this.consumedBytes += bytes;
    if (this.consumedBytes > this.sentBytes) throw new Error('more given back than was sent');
    if (this.#pumping !== undefined) this.#later(() => this.#pump());
    this.#changed();
  }

  /** Resolves when the test's condition on what the door did is met. */
  until(isMet: () => boolean): Promise<void> {
    if (isMet()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ isMet, resolve }));
  }

  async untilBody(text: string): Promise<void> {
    await this.until(() => this.body === text);
  }

  async untilEnded(): Promise<void> {
    await this.until(() => this.ended);
  }

  async untilReset(): Promise<ErrorCode> {
    await this.until(() => this.resetCode !== undefined);
    return this.resetCode as ErrorCode;
  }

  /** There is room again: the door may go on. */
  release(): void {
    this.heldBytes = 0;
    this.#later(() => this.sink.onWritable());
  }

  head(status: number, fields: Fields = [], reason = 'OK'): this {
    const block = encodeResponse({ status, reason, fields });
    decodeResponse(block);
    return this.#later(() => this.sink.onHead(block));
  }

  data(chunk: string | Buffer): this {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk;
    return this.#later(() => {
      this.sentBytes += bytes.length;
      this.maxUncreditedBytes = Math.max(this.maxUncreditedBytes, this.sentBytes - this.consumedBytes);
      this.sink.onData(bytes);
    });
  }

  /** Sends `total` bytes in pieces, as credit comes. */
  flood(total: number, pieceBytes = 16 * 1024): Promise<void> {
    return new Promise((resolve) => {
      this.#pumping = { left: total, chunk: Buffer.alloc(pieceBytes, 'x'), done: resolve };
      this.#later(() => this.#pump());
    });
  }

  sendFields(fields: Fields): this {
    return this.#later(() => this.sink.onTrailers(encodeFields(fields)));
  }

  finish(): this {
    return this.#later(() => this.sink.onEnd());
  }

  abort(code: ErrorCode, detail = ''): this {
    return this.#later(() => {
      this.#over = true;
      this.sink.onReset(code, detail);
    });
  }

  answer(status: number, fields: Fields, body: string): this {
    this.head(status, fields);
    if (body !== '') this.data(body);
    return this.finish();
  }

  #pump(): void {
    const pumping = this.#pumping;
    if (pumping === undefined) return;
    while (pumping.left > 0 && this.sentBytes - this.consumedBytes < WINDOW_BYTES) {
      const chunk = pumping.chunk.subarray(0, Math.min(pumping.left, pumping.chunk.length));
      pumping.left -= chunk.length;
      this.sentBytes += chunk.length;
      this.maxUncreditedBytes = Math.max(this.maxUncreditedBytes, this.sentBytes - this.consumedBytes);
      this.sink.onData(chunk);
    }
    if (pumping.left > 0) return;
    this.#pumping = undefined;
    pumping.done();
  }

  #later(call: () => void): this {
    this.#calls.push(call);
    if (this.#calls.length === 1) setImmediate(() => this.#run());
    return this;
  }

  #run(): void {
    const calls = this.#calls;
    this.#calls = [];
    for (const call of calls) {
      if (this.resetCode !== undefined) return;
      call();
    }
  }

  #changed(): void {
    if (this.#waiters.length === 0) return;
    const met = this.#waiters.filter((waiter) => waiter.isMet());
    this.#waiters = this.#waiters.filter((waiter) => !met.includes(waiter));
    for (const waiter of met) waiter.resolve();
  }
}
