/** What a certificate authority says went wrong (RFC 8555 section 6.7, RFC 9457), as an error an operator can read. */
import { type ErrorCode, PortholeError } from '@porthole/protocol';
import { fieldOf } from './json-fields.ts';

const ERROR_PREFIX = 'urn:ietf:params:acme:error:';
const MAX_TEXT_LENGTH = 500;
const MAX_SUBPROBLEMS = 10;
const MAX_RETRY_AFTER_MS = 31 * 24 * 3_600_000;

export interface AcmeErrorOptions {
  /** The last part of the problem's type, for instance `rateLimited`; undefined when the answer had none. */
  readonly problem?: string;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** A PortholeError that keeps what the authority's answer means for a second try. */
export class AcmeError extends PortholeError {
  readonly problem: string | undefined;
  /** How long the authority wants to be left alone. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, detail: string, options: AcmeErrorOptions = {}) {
    super(code, detail, { cause: options.cause });
    this.problem = options.problem;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Delta seconds or a date (RFC 9110 section 10.2.3), in milliseconds from now; undefined when it is neither. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  const ms = /^\d{1,10}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}

/** The error of an answer that is none of success. */
export function errorOfAnswer(status: number, body: unknown, retryAfterMs: number | undefined): AcmeError {
  const problem = problemType(body);
  const code: ErrorCode =
    problem === 'rateLimited' || status === 429
      ? 'ACME_RATE_LIMITED'
      : status >= 500
        ? 'ACME_UNREACHABLE'
        : 'ACME_REFUSED';
  return new AcmeError(code, `${status} ${describeProblem(body)}`.trim(), {
    ...(problem === undefined ? {} : { problem }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** The last part of a problem's type. */
export function problemType(body: unknown): string | undefined {
  const type = fieldOf(body, 'type');
  return typeof type === 'string' && type.startsWith(ERROR_PREFIX)
    ? plainText(type.slice(ERROR_PREFIX.length), 60)
    : undefined;
}

/** One line: type, detail, and the same of each subproblem with the name it is about. */
export function describeProblem(body: unknown): string {
  const own = [problemType(body), text(fieldOf(body, 'detail'))]
    .filter((part) => part !== undefined && part !== '')
    .join(': ');
  const subproblems = fieldOf(body, 'subproblems');
  const parts = Array.isArray(subproblems) ? subproblems.slice(0, MAX_SUBPROBLEMS).map(describeSubproblem) : [];
  return plainText([own, ...parts].filter((part) => part !== '').join('; '), MAX_TEXT_LENGTH * 2);
}

function describeSubproblem(body: unknown): string {
  const name = text(fieldOf(fieldOf(body, 'identifier'), 'value'));
  const words = [problemType(body), text(fieldOf(body, 'detail'))].filter((part) => part !== undefined).join(': ');
  return name === undefined ? words : `${name}: ${words}`;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? plainText(value, MAX_TEXT_LENGTH) : undefined;
}

/** An authority's text goes into logs and terminals: no control characters, no line breaks, bounded. */
export function plainText(value: string, maxLength: number): string {
  const cut = value.length > maxLength ? `${value.slice(0, maxLength)}…` : value;
  return cut.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
}
