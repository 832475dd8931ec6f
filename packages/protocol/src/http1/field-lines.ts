/** Reads the field lines of a head or trailer section (RFC 9112 section 5) and notes those that framing depends on. */
import { PortholeError } from '../errors.ts';
import { malformed, type Grammar } from './limits.ts';
import type { Fields } from './message.ts';
import { COLON, CR, HTAB, LF, SP, spells, TOKEN, VALUE } from './octets.ts';

/** What framing, routing and connection handling need from the field lines. One per head. */
export class FieldNotes {
  hosts = 0;
  /** Where the last Host value stands in the bytes. */
  hostFrom = 0;
  hostTo = 0;
  contentLengths = 0;
  contentLength = '';
  lengthsDiffer = false;
  transferEncodings = 0;
  transferEncoding = '';
  /** Values of all Connection lines, joined with commas; undefined when there is none. */
  connection: string | undefined = undefined;
  upgrade: string | undefined = undefined;
  expect: string | undefined = undefined;
}

/** A section of bytes that ends in an empty line, and its text: the char of byte `i` is `text[i - base]`. */
export interface HeadBlock {
  readonly bytes: Buffer;
  readonly text: string;
  readonly base: number;
  /** Index of the CR of the empty line that ends the section. */
  readonly end: number;
}

/** Reads all lines from `at` to the empty line. Syntax comes first: `tooManyFields` is thrown only after all lines are sound. */
export function readFieldLines(block: HeadBlock, at: number, grammar: Grammar, notes: FieldNotes): Fields {
  const { bytes, text, base, end } = block;
  const fields: Fields = [];
  let lines = 0;
  while (at < end) {
    const nameFrom = at;
    while (TOKEN[bytes[at] as number] === 1) at++;
    const nameTo = at;
    if (bytes[at] !== COLON || nameTo === nameFrom) throw badName(grammar, bytes[at], nameTo - nameFrom);
    at++;
    while (bytes[at] === SP || bytes[at] === HTAB) at++;
    const valueFrom = at;
    while (VALUE[bytes[at] as number] === 1) at++;
    if (bytes[at] !== CR || bytes[at + 1] !== LF)
      throw malformed(grammar, 'a field value has a control character or a bare line end');
    let valueTo = at;
    while (valueTo > valueFrom && (bytes[valueTo - 1] === SP || bytes[valueTo - 1] === HTAB)) valueTo--;
    at += 2;
    if (++lines > grammar.maxFields) continue;
    const value = text.slice(valueFrom - base, valueTo - base);
    fields.push(text.slice(nameFrom - base, nameTo - base), value);
    note(notes, bytes, nameFrom, nameTo, valueFrom, valueTo, value);
  }
  if (lines > grammar.maxFields)
    throw new PortholeError(grammar.tooManyFields, `more than ${grammar.maxFields} fields`);
  return fields;
}

function note(
  notes: FieldNotes,
  bytes: Buffer,
  nameFrom: number,
  nameTo: number,
  valueFrom: number,
  valueTo: number,
  value: string,
): void {
  switch (nameTo - nameFrom) {
    case 4:
      if (!spells(bytes, nameFrom, 'host')) return;
      notes.hosts++;
      notes.hostFrom = valueFrom;
      notes.hostTo = valueTo;
      return;
    case 6:
      if (spells(bytes, nameFrom, 'expect')) notes.expect = joined(notes.expect, value);
      return;
    case 7:
      if (spells(bytes, nameFrom, 'upgrade')) notes.upgrade = joined(notes.upgrade, value);
      return;
    case 10:
      if (spells(bytes, nameFrom, 'connection')) notes.connection = joined(notes.connection, value);
      return;
    case 14:
      if (!spells(bytes, nameFrom, 'content-length')) return;
      if (notes.contentLengths++ > 0 && notes.contentLength !== value) notes.lengthsDiffer = true;
      notes.contentLength = value;
      return;
    case 17:
      if (!spells(bytes, nameFrom, 'transfer-encoding')) return;
      notes.transferEncodings++;
      notes.transferEncoding = value;
  }
}

function joined(earlier: string | undefined, value: string): string {
  return earlier === undefined ? value : `${earlier}, ${value}`;
}

function badName(grammar: Grammar, byte: number | undefined, length: number): PortholeError {
  const isBlank = byte === SP || byte === HTAB;
  if (length === 0 && isBlank) return malformed(grammar, 'a folded field line');
  if (isBlank) return malformed(grammar, 'space before the colon of a field');
  return malformed(grammar, 'a field line without a valid name');
}
