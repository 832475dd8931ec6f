/** JSON Web Signatures as ACME wants them (RFC 8555 section 6.2): flattened, ES256, and HS256 for account binding. */
import { createHash, createHmac, createPublicKey, type KeyObject, sign } from 'node:crypto';

export interface PublicJwk {
  readonly crv: string;
  readonly kty: string;
  readonly x: string;
  readonly y: string;
}

/** Members in the order that RFC 7638 hashes them in. */
export function publicJwk(key: KeyObject): PublicJwk {
  const { crv = '', kty = '', x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' });
  return { crv, kty, x, y };
}

export function thumbprint(key: KeyObject): string {
  return createHash('sha256')
    .update(JSON.stringify(publicJwk(key)))
    .digest('base64url');
}

/** What a challenge is answered with (RFC 8555 section 8.1). */
export function keyAuthorization(token: string, accountKey: KeyObject): string {
  return `${token}.${thumbprint(accountKey)}`;
}

export type JwsHeader = { readonly url: string; readonly nonce?: string } & (
  | { readonly kid: string }
  | { readonly jwk: PublicJwk }
);

/** `payload` undefined is a POST-as-GET: the empty string, not an empty object. */
export function signJws(key: KeyObject, header: JwsHeader, payload: unknown): string {
  return flattened({ alg: 'ES256', ...header }, payload, (input) =>
    sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' }),
  );
}

/** External account binding (RFC 8555 section 7.3.4). `hmacKey` is base64url, as authorities hand it out. */
export function signAccountBinding(accountKey: KeyObject, url: string, kid: string, hmacKey: string): unknown {
  const secret = Buffer.from(hmacKey, 'base64url');
  return JSON.parse(
    flattened({ alg: 'HS256', kid, url }, publicJwk(accountKey), (input) =>
      createHmac('sha256', secret).update(input).digest(),
    ),
  );
}

function flattened(header: object, payload: unknown, signer: (input: Buffer) => Buffer): string {
  const protectedPart = encode(JSON.stringify(header));
  const payloadPart = payload === undefined ? '' : encode(JSON.stringify(payload));
  const signature = signer(Buffer.from(`${protectedPart}.${payloadPart}`)).toString('base64url');
  return JSON.stringify({ protected: protectedPart, payload: payloadPart, signature });
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url');
}
