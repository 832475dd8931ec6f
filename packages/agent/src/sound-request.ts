/**
 * What the agent takes from a relay as a request. The relay is authenticated, not trusted with the origin: it could
 * write a head that two servers read differently, or name another host in the target.
 */
import { type ExchangeRequest, type Fields, fieldsOfLines } from '@porthole/protocol';
import { anyCase, LINE_PATTERN, TOKEN_PATTERN } from '@porthole/protocol/http1';

/** A method other than CONNECT and TRACE, and a path or `*`, a NUL behind each (RFC 9110 section 5). */
const LINE = String.raw`(?!CONNECT\0|TRACE\0)(${TOKEN_PATTERN})\0(\/[\x21\x22\x24-\x7e\x80-\xff]*|\*)\0`;
/** Scheme, authority, address, flags. */
const REST = String.raw`(https?)\0([\w.:[\]-]*)\0([\w.:%-]*)\0([a-z]*)\0`;
/** Fields that framing depends on, or that have to be named in `Connection`. */
const SPECIAL = ['connection', 'content-length', 'te', 'transfer-encoding'].map(anyCase).join('|');

const REQUEST_LINE = new RegExp(`^${LINE}$`);
const REQUEST_REST = new RegExp(`^${REST}(?:${LINE_PATTERN})*$`);
const PLAIN_REST = new RegExp(`^${REST}(?:(?!(?:${SPECIAL}):)${LINE_PATTERN})*$`);

/** All of a request but method and target; requests that follow each other often have it in common. */
export class RequestRest {
  readonly scheme: string;
  readonly authority: string;
  readonly visitorAddress: string;
  readonly bodiless: boolean;
  readonly upgrade: boolean;
  /** The fields as HTTP/1.1 writes them, one a line. */
  readonly lines: string;
  /** No body, no upgrade, and no field that says anything about framing or the connection. */
  readonly isPlain: boolean;

  constructor(text: string, parts: RegExpExecArray, hasPlainFields: boolean) {
    const flags = parts[4] as string;
    this.scheme = parts[1] as string;
    this.authority = parts[2] as string;
    this.visitorAddress = parts[3] as string;
    this.bodiless = flags.includes('n');
    this.upgrade = flags.includes('u');
    this.isPlain = hasPlainFields && this.bodiless && !this.upgrade;
    // Four parts and a NUL behind each.
    let start = 4;
    for (let i = 1; i <= 4; i++) start += (parts[i] as string).length;
    this.lines = text.slice(start);
  }
}

/** Its properties are its own, so that whoever copies it copies all of it. */
export class SoundRequest implements ExchangeRequest {
  readonly method: string;
  readonly target: string;
  readonly scheme: string;
  readonly authority: string;
  readonly visitorAddress: string;
  readonly bodiless: boolean;
  readonly upgrade: boolean;
  readonly rest: RequestRest;

  constructor(method: string, target: string, rest: RequestRest) {
    this.method = method;
    this.target = target;
    this.scheme = rest.scheme;
    this.authority = rest.authority;
    this.visitorAddress = rest.visitorAddress;
    this.bodiless = rest.bodiless;
    this.upgrade = rest.upgrade;
    this.rest = rest;
  }

  /** Made anew each time: the request may be remembered, and whoever is given the fields may change them. */
  get fields(): Fields {
    return fieldsOfLines(this.rest.lines);
  }
}

/** What is remembered: so many, none of a longer block, all of which it would keep. */
const MAX_REMEMBERED = 256;
const MAX_REMEMBERED_LENGTH = 4_096;

/** Reads the requests of a session. A visitor who asks again mostly says the same with another target: that is read once. */
export class SoundRequests {
  readonly #rests = new Map<string, RequestRest>();
  #lastBlock = '';
  #last: SoundRequest | undefined;

  /** Undefined for a block that no relay makes of a visitor's request. */
  read(block: string): SoundRequest | undefined {
    if (block === this.#lastBlock) return this.#last;
    const request = this.#read(block);
    if (block.length <= MAX_REMEMBERED_LENGTH) {
      this.#lastBlock = block;
      this.#last = request;
    }
    return request;
  }

  #read(block: string): SoundRequest | undefined {
    const restAt = block.indexOf('\0', block.indexOf('\0') + 1) + 1;
    const line = REQUEST_LINE.exec(block.slice(0, restAt));
    if (line === null) return undefined;
    const text = block.slice(restAt);
    const rest = this.#rests.get(text) ?? this.#readRest(text, block.length <= MAX_REMEMBERED_LENGTH);
    return rest === undefined ? undefined : new SoundRequest(line[1] as string, line[2] as string, rest);
  }

  #readRest(text: string, isToRemember: boolean): RequestRest | undefined {
    const plain = PLAIN_REST.exec(text);
    const parts = plain ?? REQUEST_REST.exec(text);
    if (parts === null) return undefined;
    const rest = new RequestRest(text, parts, plain !== null);
    if (!isToRemember) return rest;
    if (this.#rests.size >= MAX_REMEMBERED) this.#rests.clear();
    this.#rests.set(text, rest);
    return rest;
  }
}
