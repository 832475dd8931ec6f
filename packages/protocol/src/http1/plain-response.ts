/**
 * The usual response in one look: HTTP/1.1, one length, a connection that stays open, and otherwise only fields that go
 * on as they are. One expression over the whole head is several times as fast as reading line by line; whatever does not
 * fit is read that way.
 */
import { fieldsOfLines } from '../head.ts';
import { EXACT_LINE_PATTERN, SHORTEST_LINE, SPECIAL_IN_RESPONSES, VALUE_PATTERN } from './head-patterns.ts';
import type { BodyFraming, Fields, ResponseHead } from './message.ts';

const PLAIN = `((?:(?!${SPECIAL_IN_RESPONSES})${EXACT_LINE_PATTERN})*)`;
const STAYS_OPEN = `(?:connection: keep-alive\r\n(?:keep-alive: (${VALUE_PATTERN})\r\n)?${PLAIN})?`;
const LENGTH = String.raw`(content-length: (0|[1-9]\d{0,14})\r\n)`;

const PLAIN_RESPONSE = new RegExp(
  String.raw`^HTTP\/1\.1 ([2-5]\d\d) (${VALUE_PATTERN})\r\n${PLAIN}${STAYS_OPEN}${LENGTH}${PLAIN}${STAYS_OPEN}\r\n$`,
  'i',
);

export class PlainResponse implements ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly minor = 1;
  readonly body: BodyFraming;
  readonly keepAlive = true;
  /** The fields that go on, one a line. */
  readonly lines: string;
  /** Value of the `Keep-Alive` field. */
  readonly keepAliveValue: string | undefined;
  /** The whole head. */
  readonly text: string;

  constructor(text: string, parts: RegExpExecArray, status: number, length: number) {
    this.text = text;
    this.status = status;
    this.reason = parts[2] as string;
    this.body = { kind: 'length', length };
    this.keepAliveValue = parts[9] ?? parts[4];
    const before = parts[5] === undefined ? (parts[3] as string) : (parts[3] as string) + parts[5];
    const behind = parts[10] === undefined ? (parts[8] as string) : (parts[8] as string) + parts[10];
    this.lines = before + (parts[6] as string) + behind;
  }

  get fields(): Fields {
    return fieldsOfLines(this.text.slice(this.text.indexOf('\r\n') + 2, -2));
  }
}

/** Undefined for a head that has to be read line by line. `text`: all of it; `method`: of the request answered. */
export function plainResponse(text: string, method: string, maxFields: number): PlainResponse | undefined {
  if (method === 'HEAD' || text.length > maxFields * SHORTEST_LINE) return undefined;
  // The names of fields may be written in any case, the protocol's may not.
  if (!text.startsWith('HTTP')) return undefined;
  const parts = PLAIN_RESPONSE.exec(text);
  if (parts === null) return undefined;
  const status = numberOf(parts[1] as string);
  // These never have a body, or what `Upgrade` and `Content-Length` say of them means something else.
  if (status === 204 || status === 304 || status === 426) return undefined;
  return new PlainResponse(text, parts, status, numberOf(parts[7] as string));
}

/** Of digits only. `Number` leaves compiled code for a string that was just cut out of another. */
export function numberOf(digits: string): number {
  let number = 0;
  for (let i = 0; i < digits.length; i++) number = number * 10 + digits.charCodeAt(i) - 0x30;
  return number;
}
