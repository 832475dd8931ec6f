/**
 * What the agent takes from a relay as a request. The relay is authenticated, not trusted with the origin: it could
 * write a head that two servers read differently, or name another host in the target.
 */
import { type ExchangeRequest, type Fields, fieldsOfLines } from '@porthole/protocol';
import { anyCase, LINE_PATTERN, TOKEN_PATTERN } from '@porthole/protocol/http1';

/** A method other than CONNECT and TRACE, a path or `*`, scheme, authority, address, flags (RFC 9110 section 5). */
const START = String.raw`^(?!CONNECT\0|TRACE\0)(${TOKEN_PATTERN})\0(\/[\x21\x22\x24-\x7e\x80-\xff]*|\*)\0(https?)\0([\w.:[\]-]*)\0([\w.:%-]*)\0([a-z]*)\0`;
/** Fields that framing depends on, or that have to be named in `Connection`. */
const SPECIAL = ['connection', 'content-length', 'te', 'transfer-encoding'].map(anyCase).join('|');

const REQUEST_BLOCK = new RegExp(`${START}(?:${LINE_PATTERN})*$`);
const PLAIN_BLOCK = new RegExp(`${START}(?:(?!(?:${SPECIAL}):)${LINE_PATTERN})*$`);

export class SoundRequest implements ExchangeRequest {
  readonly method: string;
  readonly target: string;
  readonly scheme: string;
  readonly authority: string;
  readonly visitorAddress: string;
  readonly bodiless: boolean;
  readonly upgrade: boolean;
  /** The fields as HTTP/1.1 writes them, one a line. */
  readonly lines: string;
  /** No body, no upgrade, and no field that says anything about framing or the connection. */
  readonly isPlain: boolean;
  #fields: Fields | undefined;

  constructor(block: string, parts: RegExpExecArray, hasPlainFields: boolean) {
    const flags = parts[6] as string;
    this.method = parts[1] as string;
    this.target = parts[2] as string;
    this.scheme = parts[3] as string;
    this.authority = parts[4] as string;
    this.visitorAddress = parts[5] as string;
    this.bodiless = flags.includes('n');
    this.upgrade = flags.includes('u');
    this.isPlain = hasPlainFields && this.bodiless && !this.upgrade;
    // Six parts and a NUL behind each.
    let start = 6;
    for (let i = 1; i <= 6; i++) start += (parts[i] as string).length;
    this.lines = block.slice(start);
  }

  get fields(): Fields {
    this.#fields ??= fieldsOfLines(this.lines);
    return this.#fields;
  }
}

/** Undefined for a block that no relay makes of a visitor's request. */
export function soundRequest(block: string): SoundRequest | undefined {
  const plain = PLAIN_BLOCK.exec(block);
  if (plain !== null) return new SoundRequest(block, plain, true);
  const parts = REQUEST_BLOCK.exec(block);
  return parts === null ? undefined : new SoundRequest(block, parts, false);
}
