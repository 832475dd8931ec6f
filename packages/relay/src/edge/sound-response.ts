/**
 * What the relay takes from an agent as a response's head: only what a reader could have found, names that are tokens
 * and values without control characters (RFC 9110 section 5). The other end is authenticated, not trusted: it must not
 * write lines of its own. One pass of one expression is several times as fast as looking at each part.
 */
import { type ExchangeResponse, type Fields, fieldsOfLines } from '@porthole/protocol';
import { LINE_PATTERN, numberOf, SPECIAL_IN_RESPONSES, VALUE_PATTERN } from '@porthole/protocol/http1';

const START = String.raw`^([1-9]\d\d)\0(${VALUE_PATTERN})\0`;
const PLAIN_FIELDS = `(?:(?!${SPECIAL_IN_RESPONSES})${LINE_PATTERN})*`;

const RESPONSE_BLOCK = new RegExp(`${START}(?:${LINE_PATTERN})*$`);
/** With one length, and otherwise fields only that go on as they are. */
const PLAIN_BLOCK = new RegExp(`${START}${PLAIN_FIELDS}content-length: (0|[1-9]\\d{0,14})\r\n${PLAIN_FIELDS}$`, 'i');

export class SoundResponse implements ExchangeResponse {
  readonly status: number;
  readonly reason: string;
  /** The fields as HTTP/1.1 writes them, one a line. */
  readonly lines: string;
  /** What the only `Content-Length` says, when all fields may go on as they are; otherwise undefined. */
  readonly plainLength: number | undefined;
  #fields: Fields | undefined;

  constructor(block: string, parts: RegExpExecArray) {
    const reason = parts[2] as string;
    const length = parts[3];
    this.status = numberOf(parts[1] as string);
    this.reason = reason;
    this.lines = block.slice(5 + reason.length);
    this.plainLength = length === undefined ? undefined : numberOf(length);
  }

  get fields(): Fields {
    this.#fields ??= fieldsOfLines(this.lines);
    return this.#fields;
  }
}

/** Undefined for a block that no agent makes of an origin's response. */
export function soundResponse(block: string): SoundResponse | undefined {
  const parts = PLAIN_BLOCK.exec(block) ?? RESPONSE_BLOCK.exec(block);
  return parts === null ? undefined : new SoundResponse(block, parts);
}
