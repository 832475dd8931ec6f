/** An origin whose exchanges and connections are told of, one by one, as they end. For looking closely only. */
import {
  decodeResponse,
  type ErrorCode,
  type ExchangeRequest,
  type Origin,
  type RawOpening,
  type Stream,
  type StreamSink,
} from '@porthole/agent';
import type { CliEvent } from '../output/events.ts';

type Told = Extract<CliEvent, { event: 'exchange' | 'visit' }>;

const MAX_PATH_LENGTH = 200;

export class TracedOrigin implements Origin {
  readonly #inner: Origin;
  readonly #now: () => number;
  readonly #tell: (event: Told) => void;

  constructor(inner: Origin, now: () => number, tell: (event: Told) => void) {
    this.#inner = inner;
    this.#now = now;
    this.#tell = tell;
  }

  openExchange(request: ExchangeRequest, stream: Stream): StreamSink {
    const { method } = request;
    const path = pathOf(request.target);
    const trace = this.#trace(stream, (ending) => this.#tell({ event: 'exchange', method, path, ...ending }));
    return trace.follow(this.#inner.openExchange(request, trace));
  }

  openRaw(opening: RawOpening, stream: Stream): StreamSink {
    const trace = this.#trace(stream, ({ code, ms }) =>
      this.#tell({ event: 'visit', ...(code === undefined ? {} : { code }), ms }),
    );
    return trace.follow(this.#inner.openRaw(opening, trace));
  }

  close(): void {
    this.#inner.close();
  }

  #trace(stream: Stream, onEnd: (ending: Ending) => void): Trace {
    const startedAt = this.#now();
    return new Trace(stream, (ending) => onEnd({ ...ending, ms: Math.round(this.#now() - startedAt) }));
  }
}

interface Ending {
  readonly status?: number;
  readonly code?: ErrorCode;
  readonly ms: number;
}

/** Passes everything on, and notes how the answer's side ended: whatever comes first of end, reset and the visitor's reset. */
class Trace implements Stream {
  readonly #stream: Stream;
  readonly #onEnd: (ending: Omit<Ending, 'ms'>) => void;
  #status: number | undefined;
  #isOver = false;

  constructor(stream: Stream, onEnd: (ending: Omit<Ending, 'ms'>) => void) {
    this.#stream = stream;
    this.#onEnd = onEnd;
  }

  follow(sink: StreamSink): StreamSink {
    return {
      onHead: (block) => sink.onHead(block),
      onData: (chunk) => sink.onData(chunk),
      onTrailers: (block) => sink.onTrailers(block),
      onEnd: () => sink.onEnd(),
      onReset: (code, detail) => {
        this.#over(code);
        sink.onReset(code, detail);
      },
      onWritable: () => sink.onWritable(),
    };
  }

  sendHead(block: string): void {
    this.#status = decodeResponse(block).status;
    this.#stream.sendHead(block);
  }

  write(chunk: Buffer): boolean {
    return this.#stream.write(chunk);
  }

  sendTrailers(block: string): void {
    this.#stream.sendTrailers(block);
  }

  end(): void {
    this.#over(undefined);
    this.#stream.end();
  }

  reset(code: ErrorCode, detail?: string): void {
    this.#over(code);
    this.#stream.reset(code, detail);
  }

  consumed(bytes: number): void {
    this.#stream.consumed(bytes);
  }

  #over(code: ErrorCode | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const status = this.#status;
    this.#onEnd({ ...(status === undefined ? {} : { status }), ...(code === undefined ? {} : { code }) });
  }
}

/** A query may hold what gives access; it is nobody's but the visitor's and the origin's. */
function pathOf(target: string): string {
  const path = target.split('?', 1)[0] ?? '';
  return path.length <= MAX_PATH_LENGTH ? path : `${path.slice(0, MAX_PATH_LENGTH)}…`;
}
