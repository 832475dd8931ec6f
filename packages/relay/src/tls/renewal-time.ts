/** When a certificate is renewed, when its operator is warned, and how long a failed order rests. Pure. */
import { createHash } from 'node:crypto';
import type { ErrorCode } from '@porthole/protocol';
import type { CertificateState, StoredCertificate } from './certificate-store.ts';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

type Span = Pick<StoredCertificate, 'id' | 'notBeforeMs' | 'notAfterMs'>;

/**
 * At a third of life left, up to a twentieth of life earlier so that many do not fall due at once; or within the window
 * the authority suggests (RFC 9773 section 4.2), unless that would be dangerously late. Every process computes the same.
 */
export function renewalTime(certificate: Span, renewal: CertificateState['renewal']): number {
  const { notBeforeMs, notAfterMs } = certificate;
  const life = notAfterMs - notBeforeMs;
  const spread = fractionOf(`${certificate.id} ${notAfterMs}`);
  if (renewal === undefined) return notAfterMs - life / 3 - (spread * life) / 20;
  const suggested = renewal.windowStartMs + spread * (renewal.windowEndMs - renewal.windowStartMs);
  return Math.min(suggested, notAfterMs - life / 6);
}

/** 14 days before the end, or a sixth of life for short-lived ones: by then a renewal has failed for a while. */
export function warningTime({ notBeforeMs, notAfterMs }: Span): number {
  return notAfterMs - Math.min(14 * DAY_MS, (notAfterMs - notBeforeMs) / 6);
}

/** Trouble on the way, which may be over soon. Everything else is a no that costs a validation or an order each time. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'ACME_UNREACHABLE',
  'ACME_BAD_ANSWER',
  'CERTIFICATE_TIMEOUT',
  'STORE_FAILED',
  'INTERNAL',
]);

/**
 * How long to leave a name alone after its nth failure in a row: from a minute (passing trouble) or an hour, doubled
 * up to a day, give or take a fifth, never less than the authority asked for. `random` is 0 to 1.
 */
export function restAfterFailure(
  code: ErrorCode,
  failures: number,
  retryAfterMs: number | undefined,
  random: number,
): number {
  const first = PASSING.has(code) ? MINUTE_MS : 60 * MINUTE_MS;
  const doubled = Math.min(first * 2 ** Math.min(failures - 1, 20), DAY_MS);
  return Math.max(retryAfterMs ?? 0, doubled * (0.8 + 0.4 * random));
}

/** 0 to 1, the same for the same text. */
function fractionOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32;
}
