/**
 * The usual request in one look: HTTP/1.1, a path, one Host, no body, nothing to be taken out but `Connection:
 * keep-alive`. One expression over the whole head is several times as fast as reading line by line; whatever does not
 * fit is read that way, and refused there if need be.
 */
import { fieldsOfLines } from '../head.ts';
import { endOfHost } from './authority.ts';
import { NO_BODY } from './framing.ts';
import { anyCase, EXACT_LINE_PATTERN, SHORTEST_LINE, TOKEN_PATTERN } from './head-patterns.ts';
import type { Fields, RequestHead } from './message.ts';

/** Fields that are taken out or added to, or that routing, framing and the connection depend on; beginnings of their names. */
const SPECIAL = [
  'client[-_]cert',
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'keep-alive',
  'porthole',
  'proxy',
  'te:',
  'transfer-encoding',
  'upgrade',
  'via',
  'x[-_]forwarded',
  'x[-_]real[-_]ip',
];
const PLAIN = `((?:(?!${SPECIAL.map(anyCase).join('|')})${EXACT_LINE_PATTERN})*)`;
const LINE = String.raw`(?!CONNECT |TRACE )(${TOKEN_PATTERN}) (\/[\x21\x22\x24-\x7e\x80-\xff]*) HTTP\/1\.1\r\n`;
const PLAIN_REQUEST = new RegExp(
  String.raw`^${LINE}${PLAIN}${anyCase('host')}: ([\w.:[\]-]+)\r\n${PLAIN}(?:${anyCase('connection')}: ${anyCase('keep-alive')}\r\n${PLAIN})?\r\n$`,
);
const PLAIN_LINE = new RegExp(`^${LINE}$`);
/** Of a request line behind the target. */
const VERSION_LENGTH = ' HTTP/1.1\r\n'.length;
const HOST_LENGTH = 'Host: '.length;

/** All of a plain request but its first line. Requests that follow each other often have it in common. */
export interface PlainFields {
  readonly host: string;
  readonly authority: string;
  /** The fields that go on, Host among them, one a line. */
  readonly lines: string;
  /** All lines as they came, without the empty one. */
  readonly text: string;
}

export class PlainRequest implements RequestHead {
  readonly method: string;
  readonly target: string;
  readonly common: PlainFields;
  readonly minor = 1;
  readonly body = NO_BODY;
  readonly keepAlive = true;
  readonly upgrade = undefined;
  readonly expectsContinue = false;

  constructor(method: string, target: string, common: PlainFields) {
    this.method = method;
    this.target = target;
    this.common = common;
  }

  get host(): string {
    return this.common.host;
  }

  get authority(): string {
    return this.common.authority;
  }

  get fields(): Fields {
    return fieldsOfLines(this.common.text);
  }
}

/** Undefined for a head that has to be read line by line. `text`: all of it, whose first char is `bytes[from]`. */
export function plainRequest(
  text: string,
  bytes: Buffer,
  from: number,
  maxFields: number,
  maxTargetBytes: number,
): PlainRequest | undefined {
  if (text.length > maxFields * SHORTEST_LINE) return undefined;
  const parts = PLAIN_REQUEST.exec(text);
  if (parts === null) return undefined;
  const target = parts[2] as string;
  if (target.length > maxTargetBytes) return undefined;
  const authority = parts[4] as string;
  const linesStart = (parts[1] as string).length + 1 + target.length + VERSION_LENGTH;
  const hostFrom = from + linesStart + (parts[3] as string).length + HOST_LENGTH;
  const hostEnd = endOfHost(bytes, hostFrom, hostFrom + authority.length);
  if (hostEnd === -1) return undefined;
  const host = hostEnd - hostFrom === authority.length ? authority : authority.slice(0, hostEnd - hostFrom);
  return new PlainRequest(parts[1] as string, target, {
    host: host.toLowerCase(),
    authority,
    lines: keptLines(text, parts, linesStart),
    text: text.slice(linesStart, -2),
  });
}

/** Without the `Connection` line, if there is one. */
function keptLines(text: string, parts: RegExpExecArray, linesStart: number): string {
  const last = parts[6];
  if (last === undefined) return text.slice(linesStart, -2);
  const hostEnd = linesStart + (parts[3] as string).length + HOST_LENGTH + (parts[4] as string).length + 2;
  return text.slice(linesStart, hostEnd + (parts[5] as string).length) + last;
}

/** A request with fields that a plain one had before it. Undefined when `line`, CR LF included, is not plain. */
export function requestAfter(line: string, common: PlainFields, maxTargetBytes: number): PlainRequest | undefined {
  const parts = PLAIN_LINE.exec(line);
  if (parts === null) return undefined;
  const target = parts[2] as string;
  return target.length > maxTargetBytes ? undefined : new PlainRequest(parts[1] as string, target, common);
}
