/** What of a head goes on to the next hop (RFC 9110 section 7.6). One pass; a second only where `Connection` nominates fields. */
import { PortholeError } from '../errors.ts';
import { fieldLines } from '../head.ts';
import { mayBeTrailer, nomineesOf, requestTreatment, responseTreatment, TREATMENT } from './field-names.ts';
import type { Fields, RequestHead } from './message.ts';
import { consistsOf, isToken, VALUE } from './octets.ts';
import type { PlainFields } from './plain-request.ts';

export interface RequestForwarding {
  /** Address of the visitor's end of the connection, for X-Forwarded-For. */
  readonly visitorAddress: string;
  /** How the visitor came: `http` or `https`. */
  readonly scheme: string;
  /** The visitor is a proxy whose forwarding fields are believed: they are kept and added to. */
  readonly isTrusted: boolean;
  /** Name of this relay in `Via`, a token. */
  readonly pseudonym: string;
  /** The certificate the visitor has shown in TLS, as `Client-Cert` puts it (RFC 9440); it replaces whatever came in. */
  readonly clientCert?: string | undefined;
  /** The HTTP version the request came in, for `Via`. Default `1.` and the head's minor version. */
  readonly version?: string | undefined;
  /** As many times may a request have passed this relay already. Default 3. */
  readonly maxPasses?: number;
}

const DEFAULT_MAX_PASSES = 3;

/**
 * The fields of a request as they go on: hop-by-hop fields removed, forged forwarding fields removed, X-Forwarded-For,
 * -Host, -Proto and Via added, Host equal to `head.authority`. `Upgrade` stays when `head.upgrade` is set. Throws
 * LOOP_DETECTED.
 */
export function forwardableRequestFields(head: RequestHead, options: RequestForwarding): Fields {
  const { fields } = head;
  const { isTrusted } = options;
  const kept: Fields = [];
  let connection: string | undefined;
  let via: string | undefined;
  let forwardedFor = '';
  let isHostKept = false;
  let isForwardedHostKept = false;
  let isForwardedProtoKept = false;
  let isUpgradeKept = false;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    switch (requestTreatment(name)) {
      case TREATMENT.keep:
        kept.push(name, value);
        break;
      case TREATMENT.host:
        isHostKept = true;
        kept.push(name, head.authority);
        break;
      case TREATMENT.connection:
        connection = connection === undefined ? value : `${connection},${value}`;
        break;
      case TREATMENT.expect:
        // HTTP/1.0 cannot mean it, and what goes on is HTTP/1.1 (RFC 9110 section 10.1.1).
        if (head.minor === 1) kept.push(name, value);
        break;
      case TREATMENT.te:
        if (acceptsTrailers(value)) kept.push(name, 'trailers');
        break;
      case TREATMENT.upgrade:
        if (head.upgrade !== undefined && !isUpgradeKept) kept.push(name, head.upgrade);
        isUpgradeKept = true;
        break;
      case TREATMENT.via:
        via = via === undefined ? value : `${via},${value}`;
        kept.push(name, value);
        break;
      case TREATMENT.forwardedFor:
        if (isTrusted && value !== '') forwardedFor += `${value}, `;
        break;
      case TREATMENT.forwardedHost:
        isForwardedHostKept ||= isTrusted;
        if (isTrusted) kept.push(name, value);
        break;
      case TREATMENT.forwardedProto:
        isForwardedProtoKept ||= isTrusted;
        if (isTrusted) kept.push(name, value);
        break;
      case TREATMENT.forwarding:
        if (isTrusted) kept.push(name, value);
        break;
      case TREATMENT.clientCert:
        if (isTrusted && options.clientCert === undefined) kept.push(name, value);
    }
  }
  if (via !== undefined) refuseLoop(via, options);
  const fitting = connection === undefined ? kept : withoutNominees(kept, connection);
  if (!isHostKept) fitting.push('Host', head.authority);
  fitting.push('X-Forwarded-For', forwardedFor === '' ? options.visitorAddress : forwardedFor + options.visitorAddress);
  if (!isForwardedHostKept) fitting.push('X-Forwarded-Host', head.authority);
  if (!isForwardedProtoKept) fitting.push('X-Forwarded-Proto', options.scheme);
  if (options.clientCert !== undefined) fitting.push('Client-Cert', options.clientCert);
  fitting.push('Via', `${options.version ?? `1.${head.minor}`} ${options.pseudonym}`);
  return fitting;
}

/** The same of a request whose lines go on as they came; for visitors who are not trusted and have shown no certificate. */
export function forwardableRequestLines({ lines, authority }: PlainFields, options: RequestForwarding): string {
  const { visitorAddress, scheme, pseudonym, version } = options;
  const forwarded = `X-Forwarded-For: ${visitorAddress}\r\nX-Forwarded-Host: ${authority}\r\nX-Forwarded-Proto: ${scheme}\r\n`;
  return `${lines}${forwarded}Via: ${version ?? '1.1'} ${pseudonym}\r\n`;
}

/** Statuses whose `Upgrade` field means something to the visitor: 101, and 426 which must have one. */
const SWITCHING_PROTOCOLS = 101;
const UPGRADE_REQUIRED = 426;

/** The fields of a response (interim ones included) as they go on. Hop-by-hop fields and Alt-Svc removed, nothing added. */
export function forwardableResponseFields(status: number, fields: Fields): Fields {
  const kept: Fields = [];
  let connection: string | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    switch (responseTreatment(name)) {
      case TREATMENT.keep:
        kept.push(name, fields[i + 1] as string);
        break;
      case TREATMENT.connection:
        connection = connection === undefined ? fields[i + 1] : `${connection},${fields[i + 1]}`;
        break;
      case TREATMENT.upgrade:
        if (status === SWITCHING_PROTOCOLS || status === UPGRADE_REQUIRED) kept.push(name, fields[i + 1] as string);
    }
  }
  const fitting = connection === undefined ? kept : withoutNominees(kept, connection);
  // RFC 9110 section 8.6: neither 1xx nor 204 may state a length.
  return status < 200 || status === 204 ? without(fitting, LENGTH_ONLY) : fitting;
}

/** The same as lines, each `name: value CR LF`. */
export function forwardableResponseLines(status: number, fields: Fields): string {
  if (status < 200 || status === 204 || status === UPGRADE_REQUIRED)
    return fieldLines(forwardableResponseFields(status, fields));
  let lines = '';
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const treatment = responseTreatment(name);
    if (treatment === TREATMENT.keep) lines += `${name}: ${fields[i + 1]}\r\n`;
    else if (treatment === TREATMENT.connection && nomineesOf(fields[i + 1] as string) !== undefined)
      return fieldLines(forwardableResponseFields(status, fields));
  }
  return lines;
}

const LENGTH_ONLY: ReadonlySet<string> = new Set(['content-length']);

/** Trailer fields that may go on; those that would change framing, routing, authority or caching may not. */
export function forwardableTrailers(fields: Fields): Fields {
  const kept: Fields = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (mayBeTrailer(name)) kept.push(name, fields[i + 1] as string);
  }
  return kept;
}

/**
 * Throws `code` of a field that could not have come from a reader. For what the other end of a session sent: it is
 * authenticated, not trusted, and must not write lines of its own into a visitor's connection.
 */
export function requireValidFields(fields: Fields, code: 'ORIGIN_BAD_RESPONSE' | 'PROTOCOL_ERROR'): void {
  for (let i = 0; i < fields.length; i += 2) {
    if (!isToken(fields[i] as string)) throw new PortholeError(code, 'a field name is not a token');
    if (!consistsOf(VALUE, fields[i + 1] as string))
      throw new PortholeError(code, 'a field value has a control character');
  }
}

/** How many times `pseudonym` stands in a list of `Via` members (RFC 9110 section 7.6.3). */
export function passesThrough(via: string, pseudonym: string): number {
  if (!via.includes(pseudonym)) return 0;
  return via.split(',').filter((member) => member.trim().split(/[ \t]+/)[1] === pseudonym).length;
}

function refuseLoop(via: string, options: RequestForwarding): void {
  const passes = passesThrough(via, options.pseudonym);
  if (passes >= (options.maxPasses ?? DEFAULT_MAX_PASSES))
    throw new PortholeError('LOOP_DETECTED', `it passed ${passes} times`);
}

function acceptsTrailers(te: string): boolean {
  return (
    te === 'trailers' ||
    te
      .toLowerCase()
      .split(',')
      .some((part) => part.trim() === 'trailers')
  );
}

function withoutNominees(fields: Fields, connection: string): Fields {
  const nominees = nomineesOf(connection);
  return nominees === undefined ? fields : without(fields, nominees);
}

function without(fields: Fields, names: ReadonlySet<string>): Fields {
  const kept: Fields = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!names.has(name.toLowerCase())) kept.push(name, fields[i + 1] as string);
  }
  return kept;
}
