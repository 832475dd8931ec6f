/** Stands in for a session's stream at an origin: notes every call, can be full, and lets a test wait for what it wants to see. */
import {
  decodeFields,
  decodeResponse,
  type ErrorCode,
  type ExchangeRequest,
  type Stream,
  type StreamSink,
} from '@porthole/protocol';
import { within } from './until.ts';

export class FakeStream implements Stream {
  /** The calls as text, in order: `head 200 OK name: value`, `data abc` (pieces joined), `trailers a: b`, `end`, `reset CODE`. */
  readonly calls: string[] = [];
  readonly bodyPieces: Buffer[] = [];
  /** Set by the test once the origin has returned it. */
  sink!: StreamSink;
  consumedBytes = 0;
  bodyBytes = 0;
  resetDetail = '';
  ended = false;
  /** `write` says false while set. */
  full = false;
  #waiting = new Set<() => void>();

  sendHead(block: string): void {
    const head = decodeResponse(block);
    const fields = [];
    for (let i = 0; i < head.fields.length; i += 2) fields.push(`${head.fields[i]}: ${head.fields[i + 1]}`);
    this.#note(['head', `${head.status}`, head.reason, ...fields].join(' | '));
  }

  write(chunk: Buffer): boolean {
    this.bodyPieces.push(chunk);
    this.bodyBytes += chunk.length;
    const last = this.calls.length - 1;
    if (this.calls[last]?.startsWith('data ') === true) {
      if (this.bodyBytes < 100_000) this.calls[last] += chunk.toString('latin1');
      this.#wake();
    } else this.#note(`data ${chunk.toString('latin1')}`);
    return !this.full;
  }

  sendTrailers(block: string): void {
    const fields = decodeFields(block);
    this.#note(`trailers ${fields.map((text, i) => (i % 2 === 0 ? `${text}: ` : text)).join('')}`);
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#note('end');
  }

  reset(code: ErrorCode, detail = ''): void {
    this.resetDetail = detail;
    this.#note(`reset ${code}`);
  }

  consumed(bytes: number): void {
    this.consumedBytes += bytes;
    this.#wake();
  }

  get body(): Buffer {
    return Buffer.concat(this.bodyPieces);
  }

  /** Whether `end` or `reset` was called. */
  get over(): boolean {
    return this.ended || this.calls.some((call) => call.startsWith('reset'));
  }

  /** Waits until the calls satisfy `isSo`; looks after each call. */
  until(what: string, isSo: () => boolean, deadlineMs?: number): Promise<void> {
    const met = new Promise<void>((resolve) => {
      const look = (): void => {
        if (!isSo()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
    return within(`${what}; so far: ${JSON.stringify(this.calls)}`, met, deadlineMs);
  }

  untilOver(): Promise<void> {
    return this.until('the end of the stream', () => this.over);
  }

  #note(call: string): void {
    this.calls.push(call);
    this.#wake();
  }

  #wake(): void {
    for (const look of [...this.#waiting]) look();
  }
}

/** A GET without a body as the relay would send it; anything else by `overrides`. */
export function exchangeRequest(overrides: Partial<ExchangeRequest> = {}): ExchangeRequest {
  return {
    method: 'GET',
    target: '/',
    scheme: 'https',
    authority: 'app.test',
    visitorAddress: '192.0.2.1',
    bodiless: true,
    upgrade: false,
    fields: ['Host', 'app.test'],
    ...overrides,
  };
}
