/** Turns the head of a sloppy origin into a strict one, where the agent was told to accept it. Off the fast path. */
import type { Grammar } from './limits.ts';

interface Section {
  readonly bytes: Buffer;
  /** Bytes of the section, its empty line included. */
  readonly length: number;
}

/**
 * Bare LF becomes CRLF, folded lines are joined with a space (RFC 9112 section 5.2), space before a colon is removed
 * (section 5.1). Returns `section` itself where the grammar is strict. `section.bytes` may be longer than `length`.
 */
export function withStrictLines(section: Section, grammar: Grammar): Section {
  if (!grammar.lenient) return section;
  const text = section.bytes.toString('latin1', 0, section.length);
  const strict = text
    .replace(/\r?\n/g, '\r\n')
    .replace(/\r\n[ \t]+/g, ' ')
    .replace(/(\r\n|^)([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]+:/g, '$1$2:');
  const bytes = Buffer.from(strict, 'latin1');
  return { bytes, length: bytes.length };
}
