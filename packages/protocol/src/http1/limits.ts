/** Limits on heads, and the error codes each direction answers a broken message with. */
import { PortholeError, type ErrorCode } from '../errors.ts';

export interface HeadLimits {
  /** Bytes of a head or of a trailer section, its last empty line included. Default 65,536. */
  readonly maxHeadBytes: number;
  /** Field lines in a head or in a trailer section. Default 200. */
  readonly maxFields: number;
  /** Bytes of the request target as sent. Default 16,384. */
  readonly maxTargetBytes: number;
}

export const DEFAULT_HEAD_LIMITS: HeadLimits = { maxHeadBytes: 65_536, maxFields: 200, maxTargetBytes: 16_384 };

export interface ResponseLimits {
  /** Bytes of a head or of a trailer section, its last empty line included. Default 65,536. */
  readonly maxHeadBytes: number;
  /** Field lines in a head or in a trailer section. Default 200. */
  readonly maxFields: number;
  /** Interim (1xx) responses before the final one. Default 32. */
  readonly maxInterim: number;
  /** Accept what sloppy servers send: bare LF, folded lines, space before a colon, repeated equal lengths. Default false. */
  readonly lenient: boolean;
}

export const DEFAULT_RESPONSE_LIMITS: ResponseLimits = {
  maxHeadBytes: 65_536,
  maxFields: 200,
  maxInterim: 32,
  lenient: false,
};

/** What the shared parts of both readers need to know about the direction they work for. */
export interface Grammar {
  readonly maxHeadBytes: number;
  readonly maxFields: number;
  readonly lenient: boolean;
  readonly malformed: ErrorCode;
  readonly headTooLarge: ErrorCode;
  readonly tooManyFields: ErrorCode;
  /** The first line alone is larger than the whole head may be. */
  readonly firstLineTooLong: ErrorCode;
  readonly codingNotSupported: ErrorCode;
}

export function requestGrammar(limits: HeadLimits): Grammar {
  return {
    maxHeadBytes: limits.maxHeadBytes,
    maxFields: limits.maxFields,
    lenient: false,
    malformed: 'BAD_REQUEST',
    headTooLarge: 'HEAD_TOO_LARGE',
    tooManyFields: 'TOO_MANY_FIELDS',
    firstLineTooLong: 'TARGET_TOO_LONG',
    codingNotSupported: 'CODING_NOT_SUPPORTED',
  };
}

export function responseGrammar(limits: ResponseLimits): Grammar {
  return {
    maxHeadBytes: limits.maxHeadBytes,
    maxFields: limits.maxFields,
    lenient: limits.lenient,
    malformed: 'ORIGIN_BAD_RESPONSE',
    headTooLarge: 'ORIGIN_HEAD_TOO_LARGE',
    tooManyFields: 'ORIGIN_HEAD_TOO_LARGE',
    firstLineTooLong: 'ORIGIN_HEAD_TOO_LARGE',
    codingNotSupported: 'ORIGIN_BAD_RESPONSE',
  };
}

/** For people and logs; never holds a visitor's bytes. */
export function malformed(grammar: Grammar, detail: string): PortholeError {
  return new PortholeError(grammar.malformed, detail);
}
