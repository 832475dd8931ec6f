/** Decides the answer to one request for a file: conditions, ranges, fields. Reads no bytes. */
import { evaluateConditions, rangeHolds, type FieldReader } from './conditions.ts';
import type { BodyPart } from './file-body.ts';
import type { FileFacts } from './locate.ts';
import { plainPage, reasonOf } from './pages.ts';
import { parseRange, type ByteRange } from './ranges.ts';

export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly fields: string[];
  /** Empty for an answer without a body. */
  readonly parts: readonly BodyPart[];
}

/** An answer that is all text. */
export function textAnswer(status: number, text: string, contentType: string, extra: readonly string[] = []): Answer {
  const length = String(Buffer.byteLength(text));
  const fields = [
    'Content-Type',
    contentType,
    'Content-Length',
    length,
    'Cache-Control',
    'no-store',
    'X-Content-Type-Options',
    'nosniff',
    ...extra,
  ];
  return { status, reason: reasonOf(status), fields, parts: [text] };
}

export function plainAnswer(status: number, extra: readonly string[] = []): Answer {
  return textAnswer(status, plainPage(status), 'text/plain; charset=utf-8', extra);
}

export function fileAnswer(
  field: FieldReader,
  method: string,
  file: FileFacts,
  contentType: string,
  boundary: string,
): Answer {
  const validators = ['ETag', file.tag, 'Last-Modified', new Date(file.modifiedMs).toUTCString()];
  switch (evaluateConditions(field, file)) {
    case 'failed':
      return plainAnswer(412, validators);
    case 'not-modified':
      return { status: 304, reason: reasonOf(304), fields: validators, parts: [] };
    case 'proceed':
  }
  validators.push('Accept-Ranges', 'bytes');
  // Range is defined for GET only (RFC 9110 section 14.2).
  const wanted = method === 'GET' && rangeHolds(field, file) ? field('range') : undefined;
  const range = parseRange(wanted, file.size);
  if (range.kind === 'unsatisfiable') return plainAnswer(416, [...validators, 'Content-Range', `bytes */${file.size}`]);
  if (range.kind === 'whole') return whole(file, contentType, validators);
  const [only] = range.ranges;
  return range.ranges.length === 1 && only !== undefined
    ? single(only, file, contentType, validators)
    : multiple(range.ranges, file, contentType, validators, boundary);
}

function whole(file: FileFacts, contentType: string, validators: readonly string[]): Answer {
  const fields = ['Content-Type', contentType, 'Content-Length', String(file.size), ...validators];
  return {
    status: 200,
    reason: reasonOf(200),
    fields,
    parts: file.size === 0 ? [] : [{ first: 0, last: file.size - 1 }],
  };
}

function single(range: ByteRange, file: FileFacts, contentType: string, validators: readonly string[]): Answer {
  const length = String(range.last - range.first + 1);
  const fields = [
    'Content-Type',
    contentType,
    'Content-Length',
    length,
    'Content-Range',
    contentRange(range, file),
    ...validators,
  ];
  return { status: 206, reason: reasonOf(206), fields, parts: [range] };
}

/** RFC 9110 section 14.6: each part says which bytes it is. */
function multiple(
  ranges: readonly ByteRange[],
  file: FileFacts,
  contentType: string,
  validators: readonly string[],
  boundary: string,
): Answer {
  const parts: BodyPart[] = [];
  let length = 0;
  for (const [index, range] of ranges.entries()) {
    const head = `${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${contentType}\r\nContent-Range: ${contentRange(range, file)}\r\n\r\n`;
    parts.push(head, range);
    length += Buffer.byteLength(head) + range.last - range.first + 1;
  }
  const tail = `\r\n--${boundary}--\r\n`;
  parts.push(tail);
  const fields = [
    'Content-Type',
    `multipart/byteranges; boundary=${boundary}`,
    'Content-Length',
    String(length + tail.length),
    ...validators,
  ];
  return { status: 206, reason: reasonOf(206), fields, parts };
}

function contentRange(range: ByteRange, file: FileFacts): string {
  return `bytes ${range.first}-${range.last}/${file.size}`;
}
