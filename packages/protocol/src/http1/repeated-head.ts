/**
 * What a kept-alive connection asked last. Most requests that follow on it have the same fields and differ in their
 * first line, if at all: comparing bytes costs a fraction of reading them again.
 */
import type { HeadLimits } from './limits.ts';
import { SHORTEST_LINE } from './head-patterns.ts';
import { LF } from './octets.ts';
import { type PlainRequest, requestAfter } from './plain-request.ts';

/** Longer ones are read again; so that what is kept of a connection stays small. */
const MAX_LINE_BYTES = 1_024;
const MAX_FIELDS_BYTES = 4_096;

export class RepeatedHead {
  readonly #maxTargetBytes: number;
  readonly #maxBytes: number;
  #line = '';
  #request: PlainRequest | undefined;
  /** The bytes behind the first line, to the end of the head. */
  #fields: Buffer | undefined;

  constructor({ maxHeadBytes, maxFields, maxTargetBytes }: HeadLimits) {
    this.#maxTargetBytes = maxTargetBytes;
    this.#maxBytes = Math.min(maxHeadBytes, maxFields * SHORTEST_LINE);
  }

  /** What the last `endOf` or `keep` was about. */
  get request(): PlainRequest {
    return this.#request as PlainRequest;
  }

  /** Index just past the head that begins at `at`, which `request` tells then; -1 when it has to be read. */
  endOf(chunk: Buffer, at: number): number {
    const fields = this.#fields;
    if (fields === undefined) return -1;
    const fieldsAt = endOfLine(chunk, at);
    const end = fieldsAt + fields.length;
    if (fieldsAt === -1 || end > chunk.length || end - at > this.#maxBytes) return -1;
    if (chunk.compare(fields, 0, fields.length, fieldsAt, end) !== 0) return -1;
    const line = chunk.toString('latin1', at, fieldsAt);
    if (line === this.#line) return end;
    const request = requestAfter(line, this.request.common, this.#maxTargetBytes);
    if (request === undefined) return -1;
    this.#line = line;
    this.#request = request;
    return end;
  }

  /** `request` was read from `chunk`. */
  keep(request: PlainRequest, chunk: Buffer, at: number, end: number): void {
    const fieldsAt = endOfLine(chunk, at);
    if (fieldsAt === -1 || end - fieldsAt > MAX_FIELDS_BYTES) return;
    this.#line = chunk.toString('latin1', at, fieldsAt);
    this.#request = request;
    this.#fields = Buffer.from(chunk.subarray(fieldsAt, end));
  }
}

function endOfLine(chunk: Buffer, at: number): number {
  const until = Math.min(chunk.length, at + MAX_LINE_BYTES);
  for (let i = at; i < until; i++) if (chunk[i] === LF) return i + 1;
  return -1;
}
