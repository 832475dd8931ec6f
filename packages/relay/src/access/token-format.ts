/** The printed form of a token, `ph_<id>_<secret>`: made, taken apart, hashed and compared here and nowhere else. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

export interface TokenParts {
  /** Not secret: names the token in lists, logs and `token revoke`. */
  readonly id: string;
  readonly secret: string;
}

const PRINTED = /^ph_([a-z2-7]{12})_([A-Za-z0-9_-]{43})$/;
const ID_LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';

export function createToken(): TokenParts {
  const id = Array.from(randomBytes(12), (byte) => ID_LETTERS[byte & 31] ?? 'a').join('');
  return { id, secret: randomBytes(32).toString('base64url') };
}

export function formatToken(token: TokenParts): string {
  return `ph_${token.id}_${token.secret}`;
}

/** Undefined for anything that cannot be a token. White space around it, which copying brings, is allowed. */
export function parseToken(text: string): TokenParts | undefined {
  const match = PRINTED.exec(text.trim());
  return match?.[1] === undefined || match[2] === undefined ? undefined : { id: match[1], secret: match[2] };
}

/** The secret is 32 random bytes, so one round of SHA-256 is enough: there is nothing to guess from a dictionary. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Takes the same time wherever the difference is. */
export function secretMatches(secret: string, hash: string): boolean {
  const given = createHash('sha256').update(secret).digest();
  const wanted = Buffer.from(hash, 'hex');
  return wanted.length === given.length && timingSafeEqual(given, wanted);
}
