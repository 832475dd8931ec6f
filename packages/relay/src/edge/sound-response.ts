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
  readonly #lines: string;
  /** What the only `Content-Length` says, when all fields may go on as they are; otherwise undefined. */
  readonly plainLength: number | undefined;
  #fields: Fields | undefined;
  #isRepeated = false;
  #plainHead: Buffer | undefined;

  constructor(block: string, parts: RegExpExecArray) {
    const reason = parts[2] as string;
    const length = parts[3];
    this.status = numberOf(parts[1] as string);
    this.reason = reason;
    this.#lines = block.slice(5 + reason.length);
    this.plainLength = length === undefined ? undefined : numberOf(length);
  }

  get fields(): Fields {
    this.#fields ??= fieldsOfLines(this.#lines);
    return this.#fields;
  }

  /** The head for HTTP/1.1 when all fields go on as they are and the connection stays open; latin1. */
  plainHead(): string | Buffer {
    if (this.#plainHead !== undefined) return this.#plainHead;
    const text = `${this.plainStart()}\r\n`;
    if (this.#isRepeated) return (this.#plainHead = Buffer.from(text, 'latin1'));
    this.#isRepeated = true;
    return text;
  }

  /** The same without the empty line. */
  plainStart(): string {
    return `HTTP/1.1 ${this.status} ${this.reason}\r\n${this.#lines}`;
  }
}

/** A longer block is not remembered. */
const MAX_REMEMBERED = 4_096;

/** Reads response heads. Many that follow each other are the same: what was made of the last one is made once. */
export class ResponseHeads {
  #block = '';
  #response: SoundResponse | undefined;

  /** As `soundResponse`. */
  read(block: string): SoundResponse | undefined {
    if (block === this.#block) return this.#response;
    const response = soundResponse(block);
    if (block.length <= MAX_REMEMBERED) {
      this.#block = block;
      this.#response = response;
    }
    return response;
  }
}

/** Undefined for a block that no agent makes of an origin's response. */
export function soundResponse(block: string): SoundResponse | undefined {
  const parts = PLAIN_BLOCK.exec(block) ?? RESPONSE_BLOCK.exec(block);
  return parts === null ? undefined : new SoundResponse(block, parts);
}
