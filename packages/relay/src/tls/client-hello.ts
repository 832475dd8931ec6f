/**
 * Reads a TLS ClientHello from the first bytes of a visitor, however they are cut (RFC 8446 section 4.1.2), and says
 * which name and protocols it asks for. It decides nothing, answers nothing and owns no socket or timer.
 */
import { isAddressLiteral, normalHostName } from '@porthole/acme';

/** Most bytes (record headers included) a ClientHello may take. */
export const MAX_CLIENT_HELLO_BYTES = 65_536;
const MAX_RECORD_BYTES = 16_384;
const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_HEADER_BYTES = 4;

export type ClientHelloFaultKind =
  | 'not_tls'
  | 'not_client_hello'
  | 'empty_record'
  | 'record_too_large'
  | 'too_large'
  | 'malformed'
  | 'duplicate_extension'
  | 'bad_server_name';

export interface ClientHello {
  /** Lower case, without trailing dot. Absent without SNI and for address literals (RFC 6066 forbids those). */
  readonly serverName?: string;
  /** In the order of the visitor; GREASE values (RFC 8701) left out. Other bytes than ASCII are latin1. */
  readonly alpn: readonly string[];
  /** ALPN offers `acme-tls/1` and nothing else: a certificate authority's validation (RFC 8737 section 3). */
  readonly acmeChallenge: boolean;
}

export type ClientHelloResult =
  | { readonly state: 'needMore' }
  | { readonly state: 'fault'; readonly fault: ClientHelloFaultKind }
  | { readonly state: 'done'; readonly hello: ClientHello };

const NEED_MORE: ClientHelloResult = { state: 'needMore' };

/** Feed it chunks until it says `done` or `fault`; later chunks change nothing but are still kept in `bytes()`. */
export class ClientHelloReader {
  #raw: Buffer = Buffer.alloc(0);
  #length = 0;
  #offset = 0;
  #recordRemaining = 0;
  #handshakeSeen = 0;
  #handshakeLength = 0;
  #result: ClientHelloResult = NEED_MORE;

  push(chunk: Uint8Array): ClientHelloResult {
    this.#append(chunk);
    if (this.#result.state === 'needMore') this.#result = this.#scan();
    return this.#result;
  }

  /** Every byte received so far, to be put back with `socket.unshift`. */
  bytes(): Buffer {
    return this.#raw.subarray(0, this.#length);
  }

  // One buffer that doubles: a hello sent byte by byte must not cost an object per byte.
  #append(chunk: Uint8Array): void {
    const wanted = this.#length + chunk.length;
    if (wanted > this.#raw.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(wanted, Math.min(this.#raw.length * 2, MAX_CLIENT_HELLO_BYTES)));
      this.#raw.copy(grown, 0, 0, this.#length);
      this.#raw = grown;
    }
    this.#raw.set(chunk, this.#length);
    this.#length = wanted;
  }

  #scan(): ClientHelloResult {
    for (;;) {
      if (this.#recordRemaining === 0) {
        const step = this.#openRecord();
        if (step !== undefined) return step;
      }
      const taken = this.#takeFragment();
      if (typeof taken !== 'boolean') return taken;
      if (taken) return parseClientHello(this.#handshakeBody());
      if (this.#offset > MAX_CLIENT_HELLO_BYTES) return fault('too_large');
      if (this.#offset === this.#length) return NEED_MORE;
    }
  }

  #openRecord(): ClientHelloResult | undefined {
    const header = this.#raw.subarray(this.#offset, this.#length);
    // Judged byte by byte, so that plain HTTP is recognised from its first byte.
    if (header.length > 0 && header[0] !== 22) return fault('not_tls');
    if (header.length > 1 && header[1] !== 3) return fault('not_tls');
    if (header.length < RECORD_HEADER_BYTES)
      return this.#offset + RECORD_HEADER_BYTES > MAX_CLIENT_HELLO_BYTES ? fault('too_large') : NEED_MORE;
    const size = header.readUInt16BE(3);
    if (size === 0) return fault('empty_record');
    if (size > MAX_RECORD_BYTES) return fault('record_too_large');
    this.#recordRemaining = size;
    this.#offset += RECORD_HEADER_BYTES;
    return undefined;
  }

  /** True when the handshake message is complete. */
  #takeFragment(): boolean | ClientHelloResult {
    const count = Math.min(this.#recordRemaining, this.#length - this.#offset);
    for (let i = 0; i < count && this.#handshakeSeen + i < HANDSHAKE_HEADER_BYTES; i++) {
      const byte = this.#raw[this.#offset + i] ?? 0;
      if (this.#handshakeSeen + i > 0) this.#handshakeLength = this.#handshakeLength * 256 + byte;
      else if (byte !== 1) return fault('not_client_hello');
    }
    this.#handshakeSeen += count;
    this.#recordRemaining -= count;
    this.#offset += count;
    if (this.#handshakeSeen < HANDSHAKE_HEADER_BYTES) return false;
    if (this.#handshakeLength > MAX_CLIENT_HELLO_BYTES) return fault('too_large');
    return this.#handshakeSeen >= HANDSHAKE_HEADER_BYTES + this.#handshakeLength;
  }

  /** The message without its header, records joined; only called when all of it is there. */
  #handshakeBody(): Buffer {
    const joined = Buffer.allocUnsafeSlow(HANDSHAKE_HEADER_BYTES + this.#handshakeLength);
    let from = 0;
    let to = 0;
    while (to < joined.length) {
      const size = this.#raw.readUInt16BE(from + 3);
      const start = from + RECORD_HEADER_BYTES;
      to += this.#raw.copy(joined, to, start, Math.min(start + size, this.#length));
      from = start + size;
    }
    return joined.subarray(HANDSHAKE_HEADER_BYTES);
  }
}

/** Reads the body of a ClientHello handshake message. */
function parseClientHello(body: Buffer): ClientHelloResult {
  const cursor = new Cursor(body);
  try {
    cursor.skip(2 + 32);
    if (cursor.vector(1).length > 32) return fault('malformed');
    const suites = cursor.vector(2);
    if (suites.length < 2 || suites.length % 2 !== 0) return fault('malformed');
    if (cursor.vector(1).length < 1) return fault('malformed');
    // A hello without extensions is legal before TLS 1.3.
    const extensions = cursor.atEnd ? Buffer.alloc(0) : cursor.vector(2);
    if (!cursor.atEnd) return fault('malformed');
    return readExtensions(new Cursor(extensions));
  } catch (error) {
    if (error instanceof RangeError) return fault('malformed');
    throw error;
  }
}

const SERVER_NAME_EXTENSION = 0;
const ALPN_EXTENSION = 16;

// encrypted_client_hello (0xfe0d) is deliberately not looked at: nearly every hello has it as GREASE (RFC 9849 section 6.2).
function readExtensions(cursor: Cursor): ClientHelloResult {
  const seen = new Set<number>();
  let name: string | undefined;
  let alpn: string[] = [];
  while (!cursor.atEnd) {
    const type = cursor.uint(2);
    const data = cursor.vector(2);
    if (seen.has(type)) return fault('duplicate_extension');
    seen.add(type);
    if (type === SERVER_NAME_EXTENSION) name = readHostName(new Cursor(data));
    else if (type === ALPN_EXTENSION) alpn = readAlpn(new Cursor(data));
  }
  const acmeChallenge = alpn.length === 1 && alpn[0] === 'acme-tls/1';
  const protocols = alpn.filter((protocol) => !isGrease(protocol));
  if (name === undefined || isAddressLiteral(name)) return { state: 'done', hello: { alpn: protocols, acmeChallenge } };
  const serverName = normalHostName(name);
  if (serverName === undefined) return fault('bad_server_name');
  return { state: 'done', hello: { serverName, alpn: protocols, acmeChallenge } };
}

/** RFC 6066 section 3; host_name is the only type ever defined, and there is one of it. */
function readHostName(cursor: Cursor): string {
  const list = new Cursor(cursor.vector(2));
  if (!cursor.atEnd || list.uint(1) !== 0) throw new RangeError('server_name');
  const name = list.vector(2);
  if (!list.atEnd || name.length === 0) throw new RangeError('server_name');
  return name.toString('latin1');
}

/** RFC 7301 section 3.1. */
function readAlpn(cursor: Cursor): string[] {
  const list = new Cursor(cursor.vector(2));
  const protocols: string[] = [];
  while (!list.atEnd) {
    const protocol = list.vector(1);
    if (protocol.length === 0) throw new RangeError('alpn');
    protocols.push(protocol.toString('latin1'));
  }
  if (!cursor.atEnd || protocols.length === 0) throw new RangeError('alpn');
  return protocols;
}

function isGrease(protocol: string): boolean {
  return protocol.length === 2 && protocol[0] === protocol[1] && (protocol.charCodeAt(0) & 0x0f) === 0x0a;
}

function fault(kind: ClientHelloFaultKind): ClientHelloResult {
  return { state: 'fault', fault: kind };
}

/** Reads numbers and length-prefixed vectors; throws RangeError past the end. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  uint(size: 1 | 2): number {
    const value = this.#bytes.readUIntBE(this.#at, size);
    this.#at += size;
    return value;
  }

  vector(lengthSize: 1 | 2): Buffer {
    const length = this.uint(lengthSize);
    const start = this.#at;
    this.skip(length);
    return this.#bytes.subarray(start, this.#at);
  }

  skip(count: number): void {
    if (this.#at + count > this.#bytes.length) throw new RangeError('past the end');
    this.#at += count;
  }
}

/** A fatal TLS alert as a record of its own, for a visitor whose hello leads nowhere (RFC 8446 section 6). */
export function fatalAlert(
  alert: 'unrecognized_name' | 'handshake_failure' | 'decode_error' | 'internal_error' | 'no_application_protocol',
): Buffer {
  return Buffer.from([21, 3, 1, 0, 2, 2, ALERT_NUMBERS[alert]]);
}

const ALERT_NUMBERS = {
  handshake_failure: 40,
  decode_error: 50,
  internal_error: 80,
  unrecognized_name: 112,
  no_application_protocol: 120,
} as const;
