/**
 * The relay's own answers to visitors: status and sentence from the error table, a stable code in `Porthole-Error`,
 * and what to do about it. Never anything internal: no addresses, names or stacks.
 */
import { STATUS_CODES } from 'node:http';
import { ERRORS, type ErrorCode, type ErrorRow, type Fields } from '@porthole/protocol';

/** What the shape of an answer depends on. */
export interface AnswerFor {
  /** The request's `Accept` field, if a request could be read. */
  readonly accept: string;
  readonly method: string;
  readonly minor: 0 | 1;
  readonly keepAlive: boolean;
}

/** For a request that could not be read at all. */
export const UNREADABLE: AnswerFor = { accept: '', method: '', minor: 1, keepAlive: false };

const DEFAULT_STATUS = 502;
const RETRY_AFTER_SECONDS = 5;

/** A whole answer as latin1 text. `detail` is shown: give only what the visitor may know, such as a limit's size. */
export function ownAnswer(code: ErrorCode, to: AnswerFor, detail = ''): string {
  return assemble(ownAnswerParts(code, to.accept, detail), to);
}

/** What the relay's own address says: it has no tunnel, and this is what it is. */
export function ownAddressAnswer(to: AnswerFor): string {
  return assemble(ownAddressParts(to.accept), to);
}

/** An answer that is not framed yet. */
export interface OwnAnswer {
  readonly status: number;
  readonly fields: Fields;
  /** UTF-8 bytes as latin1 text. */
  readonly body: string;
}

export function ownAnswerParts(code: ErrorCode, accept: string, detail = ''): OwnAnswer {
  const row: ErrorRow = ERRORS[code];
  const status = row.status ?? DEFAULT_STATUS;
  const message = detail === '' ? row.message : `${row.message} (${detail})`;
  return partsOf(accept, { code, status, message, hint: row.hint });
}

export function ownAddressParts(accept: string): OwnAnswer {
  return partsOf(accept, {
    code: 'TUNNEL_NOT_FOUND',
    status: 404,
    message: 'This is a Porthole relay. It gives local services public addresses; none is served at this one.',
    hint: 'Open the address of a tunnel, or get one of your own with `porthole http <port> --relay URL`.',
  });
}

interface Page {
  readonly code: ErrorCode;
  readonly status: number;
  readonly message: string;
  readonly hint: string;
}

interface Body {
  readonly type: string;
  /** UTF-8 bytes as latin1 text. */
  readonly text: string;
}

function partsOf(accept: string, page: Page): OwnAnswer {
  const { type, text } = pageIn(accept, page);
  const fields = ['Date', new Date().toUTCString(), 'Content-Type', type, 'Content-Length', String(text.length)];
  fields.push('Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff', 'Porthole-Error', page.code);
  if (page.status === 503) fields.push('Retry-After', String(RETRY_AFTER_SECONDS));
  return { status: page.status, fields, body: text };
}

function assemble({ status, fields, body }: OwnAnswer, to: AnswerFor): string {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n`;
  for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`;
  if (!to.keepAlive) head += 'Connection: close\r\n';
  else if (to.minor === 0) head += 'Connection: keep-alive\r\n';
  // RFC 9110 section 9.3.2: a HEAD's answer has the length of the body it does not have.
  return to.method === 'HEAD' ? `${head}\r\n` : `${head}\r\n${body}`;
}

function pageIn(accept: string, page: Page): Body {
  if (accept.includes('text/html')) return { type: 'text/html; charset=utf-8', text: latin1(html(page)) };
  if (/application\/(?:[\w.-]+\+)?json/.test(accept)) {
    const { code, status, message, hint } = page;
    return {
      type: 'application/json',
      text: latin1(`${JSON.stringify({ error: { code, status, message, hint } })}\n`),
    };
  }
  return { type: 'text/plain; charset=utf-8', text: latin1(`${page.code}: ${page.message} ${page.hint}\n`) };
}

function html({ code, status, message, hint }: Page): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>${status} ${escape(STATUS_CODES[status] ?? 'Error')}</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1.5rem}h1{font-size:1.35rem}code{font-size:.85rem;opacity:.7}</style>
</head><body><h1>${escape(message)}</h1><p>${escape(hint)}</p><code>${status} ${escape(code)}</code></body></html>
`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
}

function latin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
