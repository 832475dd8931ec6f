/** Makes a `RequestHead` of the bytes of a whole head, or refuses it. */
import { PortholeError } from '../errors.ts';
import { endOfHost } from './authority.ts';
import { FieldNotes, readFieldLines, type HeadBlock } from './field-lines.ts';
import { hasOption, NO_BODY, statedFraming, staysOpen } from './framing.ts';
import type { Grammar } from './limits.ts';
import type { BodyFraming, RequestHead } from './message.ts';
import { plainRequest } from './plain-request.ts';
import { readRequestLine, type RequestLine } from './request-line.ts';

/** `end` is the index just past the empty line. */
export function parseRequestHead(
  bytes: Buffer,
  from: number,
  end: number,
  grammar: Grammar,
  maxTargetBytes: number,
): RequestHead {
  const text = bytes.toString('latin1', from, end);
  return (
    plainRequest(text, bytes, from, grammar.maxFields, maxTargetBytes) ??
    readRequestHead(bytes, from, end, text, grammar, maxTargetBytes)
  );
}

/** Line by line. `text` is that of the bytes. */
export function readRequestHead(
  bytes: Buffer,
  from: number,
  end: number,
  text: string,
  grammar: Grammar,
  maxTargetBytes: number,
): RequestHead {
  const line = readRequestLine(bytes, from, text, maxTargetBytes);
  refuseMethod(line.method);
  const notes = new FieldNotes();
  const block: HeadBlock = { bytes, text, base: from, end: end - 2 };
  const fields = readFieldLines(block, line.end, grammar, notes);
  const { minor } = line;
  const place =
    line.target.charCodeAt(0) === SLASH ? originForm(line.target, minor, block, notes) : otherForm(line, block, notes);
  const body = statedFraming(notes, minor, grammar) ?? NO_BODY;
  return {
    method: line.method,
    target: place.target,
    host: place.host,
    authority: place.authority,
    minor,
    fields,
    body,
    keepAlive: staysOpen(notes.connection, minor),
    upgrade: notes.upgrade === undefined ? undefined : wantedUpgrade(notes, minor, body),
    expectsContinue: notes.expect !== undefined && expectsContinue(notes.expect, minor, body),
  };
}

/** Refuses what cannot be passed through a tunnel as one request and one response. */
export function refuseMethod(method: string): void {
  if (method === 'CONNECT' || method === 'TRACE') throw new PortholeError('METHOD_NOT_SUPPORTED');
}

const SLASH = 0x2f;

interface Place {
  readonly target: string;
  readonly host: string;
  readonly authority: string;
}

function originForm(target: string, minor: 0 | 1, block: HeadBlock, notes: FieldNotes): Place {
  const hostEnd = checkedHostEnd(minor, block, notes);
  if (hostEnd === -1) throw refused('no Host');
  const { text, base } = block;
  const authority = text.slice(notes.hostFrom - base, notes.hostTo - base);
  return { target, host: text.slice(notes.hostFrom - base, hostEnd - base).toLowerCase(), authority };
}

/** Where the host in the one Host field ends; -1 when there is none and, with HTTP/1.0, need not be (RFC 9112 section 3.2). */
function checkedHostEnd(minor: 0 | 1, block: HeadBlock, notes: FieldNotes): number {
  if (notes.hosts === 0) {
    if (minor === 1) throw refused('no Host');
    return -1;
  }
  if (notes.hosts > 1) throw refused('more than one Host');
  const end = endOfHost(block.bytes, notes.hostFrom, notes.hostTo);
  if (end === -1) throw refused('Host is not one host name or address with an optional port');
  return end;
}

/** Asterisk-form (OPTIONS only) and absolute-form, whose authority replaces the Host field's (RFC 9112 section 3.2.2). */
function otherForm(line: RequestLine, block: HeadBlock, notes: FieldNotes): Place {
  const { target, minor } = line;
  if (target === '*') {
    if (line.method !== 'OPTIONS') throw refused('the target * is for OPTIONS');
    return originForm(target, minor, block, notes);
  }
  const parts = /^https?:\/\/([^/?]*)(.*)$/is.exec(target);
  if (parts === null) throw refused('the target is neither a path nor an http or https URL');
  checkedHostEnd(minor, block, notes);
  const authority = parts[1] as string;
  const bytes = Buffer.from(authority, 'latin1');
  const hostEnd = endOfHost(bytes, 0, bytes.length);
  if (hostEnd === -1)
    throw refused('the authority in the target is not one host name or address with an optional port');
  return {
    target: reduced(parts[2] as string, line.method),
    host: authority.slice(0, hostEnd).toLowerCase(),
    authority,
  };
}

/** Path and query byte for byte; an empty path is `/`, or `*` for OPTIONS (RFC 9112 section 3.2.4). */
function reduced(pathAndQuery: string, method: string): string {
  if (pathAndQuery.startsWith('/')) return pathAndQuery;
  return pathAndQuery === '' && method === 'OPTIONS' ? '*' : `/${pathAndQuery}`;
}

/**
 * RFC 9110 section 7.8: only with `Connection: upgrade`, never in HTTP/1.0. Offers of h2c are passed over: both ends
 * of the tunnel speak HTTP/1 and could not tell what follows.
 */
function wantedUpgrade(notes: FieldNotes, minor: 0 | 1, body: BodyFraming): string | undefined {
  if (minor === 0 || notes.connection === undefined || !hasOption(notes.connection, 'upgrade')) return undefined;
  const upgrade = notes.upgrade ?? '';
  const wanted = /h2c|,/i.test(upgrade) ? withoutH2c(upgrade) : upgrade;
  if (wanted === '') return undefined;
  const isBodiless = body.kind === 'none' || (body.kind === 'length' && body.length === 0);
  if (!isBodiless) throw refused('an upgrade with a body');
  return wanted;
}

function withoutH2c(upgrade: string): string {
  const offers = upgrade.split(',').map((offer) => offer.trim());
  return offers.filter((offer) => offer !== '' && offer.toLowerCase() !== 'h2c').join(', ');
}

/** RFC 9110 section 10.1.1: one expectation exists; HTTP/1.0 and a request without body cannot mean it. */
function expectsContinue(expect: string, minor: 0 | 1, body: BodyFraming): boolean {
  if (minor === 0) return false;
  if (expect.toLowerCase() !== '100-continue') throw new PortholeError('EXPECTATION_FAILED');
  return body.kind === 'chunked' || (body.kind === 'length' && body.length > 0);
}

function refused(detail: string): PortholeError {
  return new PortholeError('BAD_REQUEST', detail);
}
