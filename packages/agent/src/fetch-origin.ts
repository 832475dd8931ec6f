/** A fetch handler of this process as an origin: a `Request` in, a `Response` out, bodies streamed both ways. */
import {
  encodeResponse,
  type ErrorCode,
  type ExchangeRequest,
  type Fields,
  type RawOpening,
  type Stream,
  type StreamSink,
} from '@porthole/protocol';
import { forwardableResponseFields } from '@porthole/protocol/http1';
import { deafSink } from './deaf-sink.ts';
import type { Origin } from './origin.ts';

/** Called once per exchange. `request.signal` is aborted when the visitor goes away. */
export type FetchHandler = (request: Request) => Response | Promise<Response>;

export interface FetchOriginOptions {
  readonly fetch: FetchHandler;
  /** Hears what the handler throws; the visitor gets a 500. Default: nobody. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

export class FetchOrigin implements Origin {
  readonly #options: FetchOriginOptions;

  constructor(options: FetchOriginOptions) {
    this.#options = options;
  }

  openExchange(request: ExchangeRequest, stream: Stream): StreamSink {
    const exchange = new FetchExchange(request, stream);
    // Not before this has returned: the handler may answer at once.
    setImmediate(() => void exchange.run(this.#options));
    return exchange;
  }

  openRaw(_opening: RawOpening, stream: Stream): StreamSink {
    stream.reset('NOT_SUPPORTED', 'this tunnel takes HTTP exchanges only');
    return deafSink(stream);
  }

  close(): void {}
}

const BODILESS_METHODS = new Set(['GET', 'HEAD']);
const NULL_BODY_STATUSES = new Set([101, 204, 205, 304]);

class FetchExchange implements StreamSink {
  readonly #request: ExchangeRequest;
  readonly #stream: Stream;
  readonly #abort = new AbortController();
  /** Undefined where a `Request` may have no body; what comes all the same is thrown away. */
  #upload: ReadableStreamDefaultController<Uint8Array> | undefined;
  readonly #body: ReadableStream<Uint8Array> | undefined;
  /** Handed to the handler's stream and not yet read by it. */
  #unread: Buffer[] = [];
  #wanted = false;
  #uploadEnded = false;
  #over = false;
  #headSent = false;
  #owesContinue: boolean;
  #onRoom: (() => void) | undefined;
  /** Of the answer's body. */
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(request: ExchangeRequest, stream: Stream) {
    this.#request = request;
    this.#stream = stream;
    this.#owesContinue = expectsContinue(request.fields);
    this.#body = request.bodiless || BODILESS_METHODS.has(request.method) ? undefined : this.#uploadStream();
  }

  async run({ fetch, onError }: FetchOriginOptions): Promise<void> {
    if (this.#over) return;
    try {
      const response = await fetch(this.#makeRequest());
      if (this.#over) await response.body?.cancel();
      else await this.#answer(response);
    } catch (error) {
      this.#fail();
      if (!this.#abort.signal.aborted) tell(onError, error);
    } finally {
      this.#finish();
    }
  }

  onHead(): void {}

  onData(chunk: Buffer): void {
    if (this.#upload === undefined) {
      this.#stream.consumed(chunk.length);
      return;
    }
    this.#unread.push(chunk);
    this.#pump();
  }

  onTrailers(): void {}

  onEnd(): void {
    this.#uploadEnded = true;
    this.#pump();
  }

  onReset(code: ErrorCode): void {
    this.#over = true;
    const reason = new DOMException(`The visitor has gone (${code}).`, 'AbortError');
    this.#upload?.error(reason);
    this.#upload = undefined;
    this.#unread = [];
    this.#onRoom?.();
    // The handler's stream may have nothing more to say for a long time, and has to be told.
    this.#reader?.cancel(reason).catch(ignore);
    this.#abort.abort(reason);
  }

  onWritable(): void {
    this.#onRoom?.();
    this.#onRoom = undefined;
  }

  #makeRequest(): Request {
    const { method, target, scheme, authority, fields } = this.#request;
    const headers = new Headers();
    for (let i = 0; i < fields.length; i += 2) headers.append(fields[i] as string, fields[i + 1] as string);
    const path = target === '*' ? '/' : target;
    return new Request(`${scheme}://${authority}${path}`, {
      method,
      headers,
      signal: this.#abort.signal,
      redirect: 'manual',
      ...(this.#body === undefined ? {} : { body: this.#body, duplex: 'half' }),
    });
  }

  #uploadStream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#upload = controller;
        },
        pull: () => {
          this.#wanted = true;
          this.#continue();
          this.#pump();
        },
        cancel: () => this.#dropUpload(),
      },
      { highWaterMark: 0 },
    );
  }

  /** The handler has begun to read: the visitor may begin to send (RFC 9110 section 10.1.1). */
  #continue(): void {
    if (!this.#owesContinue || this.#headSent || this.#over) return;
    this.#owesContinue = false;
    if (this.#unread.length === 0)
      this.#stream.sendHead(encodeResponse({ status: 100, reason: 'Continue', fields: [] }));
  }

  /** One chunk per pull: what the handler has not asked for stays unconsumed, so that the visitor has to wait. */
  #pump(): void {
    const upload = this.#upload;
    if (upload === undefined) return;
    const chunk = this.#wanted ? this.#unread.shift() : undefined;
    if (chunk !== undefined) {
      this.#wanted = false;
      this.#stream.consumed(chunk.length);
      upload.enqueue(chunk);
    }
    if (this.#uploadEnded && this.#unread.length === 0) {
      this.#upload = undefined;
      upload.close();
    }
  }

  #dropUpload(): void {
    this.#upload = undefined;
    for (const chunk of this.#unread) this.#stream.consumed(chunk.length);
    this.#unread = [];
  }

  async #answer(response: Response): Promise<void> {
    const { status, statusText, body } = response;
    const isHead = this.#request.method === 'HEAD';
    const bodiless = isHead || NULL_BODY_STATUSES.has(status) || body === null;
    const fields = responseFields(response, bodiless && !isHead);
    const reason = /^[\t\x20-\x7e\x80-\xff]*$/.test(statusText) ? statusText : '';
    this.#stream.sendHead(encodeResponse({ status, reason, fields }));
    this.#headSent = true;
    if (body !== null) await (bodiless ? body.cancel() : this.#send(body));
    if (!this.#over) this.#stream.end();
  }

  async #send(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    this.#reader = reader;
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#over) return;
      // The handler may go on writing to the memory it has given us.
      if (!this.#stream.write(Buffer.from(value))) await this.#room();
      if (this.#over) return;
    }
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }

  /** What the handler threw is for its owner, never for the visitor. */
  #fail(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#headSent) {
      this.#stream.reset('ORIGIN_TRUNCATED', 'the fetch handler failed in the middle of its answer');
      return;
    }
    const body = Buffer.from('Internal Server Error\n');
    const fields = [
      'content-type',
      'text/plain; charset=utf-8',
      'content-length',
      String(body.length),
      'cache-control',
      'no-store',
    ];
    this.#stream.sendHead(encodeResponse({ status: 500, reason: 'Internal Server Error', fields }));
    if (this.#request.method !== 'HEAD') this.#stream.write(body);
    this.#stream.end();
  }

  #finish(): void {
    if (!this.#over && this.#upload !== undefined) {
      const { aborted } = this.#abort.signal;
      if (!aborted) this.#upload.error(new DOMException('The exchange is over.', 'AbortError'));
    }
    this.#dropUpload();
  }
}

function ignore(): void {}

/** What the owner's own code throws here has nobody else to go to: as if nobody had caught it. */
function tell(onError: FetchOriginOptions['onError'], error: unknown): void {
  try {
    onError?.(error);
  } catch (second) {
    setImmediate(() => {
      throw second;
    });
  }
}

function expectsContinue(fields: Fields): boolean {
  for (let i = 0; i < fields.length; i += 2) if (fields[i]?.toLowerCase() === 'expect') return true;
  return false;
}

/** `isEmpty`: a length of 0 is told where the response has none. */
function responseFields(response: Response, isEmpty: boolean): Fields {
  const fields: Fields = [];
  let hasLength = false;
  for (const [name, value] of response.headers) {
    if (name === 'content-length') hasLength = true;
    fields.push(name, value);
  }
  if (isEmpty && !hasLength && response.status !== 304) fields.push('content-length', '0');
  return forwardableResponseFields(response.status, fields);
}
