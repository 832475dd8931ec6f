/**
 * An origin behind a user name and a password (RFC 7617). The gate's credential never reaches the origin, and an
 * application with an `Authorization` of its own still works: visitors then send the gate's in `Porthole-Authorization`.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import {
  encodeResponse,
  PortholeError,
  type ExchangeRequest,
  type Origin,
  type RawOpening,
  type Stream,
  type StreamSink,
} from '@porthole/agent';
import { deafBody } from './deaf-body.ts';

const OWN_FIELD = 'porthole-authorization';
const TEXT = 'A user name and a password are needed here.\n';

export class GuardedOrigin implements Origin {
  readonly #inner: Origin;
  readonly #expected: Buffer;

  /** `credential` is `user:password`. Throws USAGE when there is no colon in it. */
  constructor(inner: Origin, credential: string) {
    if (!credential.includes(':')) throw new PortholeError('USAGE', 'basic auth wants user:password');
    this.#inner = inner;
    this.#expected = digest(Buffer.from(credential, 'utf8'));
  }

  openExchange(request: ExchangeRequest, stream: Stream): StreamSink {
    // A browser sends no credentials with the question that precedes a cross-origin request (Fetch, CORS protocol).
    if (isPreflight(request)) return this.#inner.openExchange(request, stream);
    const fields = this.#withoutCredential(request.fields);
    if (fields !== undefined) return this.#inner.openExchange({ ...request, fields }, stream);
    const body = Buffer.from(TEXT);
    const head = [
      'WWW-Authenticate',
      'Basic realm="porthole", charset="UTF-8"',
      'Content-Type',
      'text/plain; charset=utf-8',
      'Content-Length',
      String(body.length),
      'Cache-Control',
      'no-store',
    ];
    stream.sendHead(encodeResponse({ status: 401, reason: 'Unauthorized', fields: head }));
    if (request.method !== 'HEAD') stream.write(body);
    stream.end();
    return deafBody(stream);
  }

  openRaw(opening: RawOpening, stream: Stream): StreamSink {
    return this.#inner.openRaw(opening, stream);
  }

  close(): void {
    this.#inner.close();
  }

  /** The fields without the one that opened the gate; undefined when none did. */
  #withoutCredential(fields: readonly string[]): string[] | undefined {
    const at = this.#find(fields, OWN_FIELD) ?? this.#find(fields, 'authorization');
    return at === undefined ? undefined : fields.toSpliced(at, 2);
  }

  #find(fields: readonly string[], name: string): number | undefined {
    for (let at = 0; at + 1 < fields.length; at += 2) {
      if (fields[at]?.toLowerCase() === name && this.#opens(fields[at + 1] ?? '')) return at;
    }
    return undefined;
  }

  #opens(value: string): boolean {
    const match = /^basic +([a-z0-9+/=_-]+) *$/i.exec(value);
    // Digests have one length, so that comparing them tells nothing about the credential's.
    return match !== null && timingSafeEqual(digest(Buffer.from(match[1] ?? '', 'base64')), this.#expected);
  }
}

function isPreflight(request: ExchangeRequest): boolean {
  if (request.method !== 'OPTIONS') return false;
  const names = new Set(request.fields.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()));
  return names.has('origin') && names.has('access-control-request-method');
}

function digest(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
