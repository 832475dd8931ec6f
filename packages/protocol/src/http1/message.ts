/** The shapes that HTTP/1 readers produce and both houses pass on. Strings are latin1: one char is one byte. */

/**
 * Header fields as they stood on the wire: name, value, name, value, …; order, case and duplicates kept.
 * Optional white space around values is removed (RFC 9110 section 5.5), nothing else.
 */
export type Fields = string[];

export interface RequestHead {
  readonly method: string;
  /** Origin-form or `*`, byte for byte as sent (an absolute-form target is reduced to its path and query). */
  readonly target: string;
  /** Host without port, lower case, one trailing dot removed; from the absolute-form target if there was one. */
  readonly host: string;
  /** The authority as the visitor wrote it (with port), which forwarded-host fields repeat. */
  readonly authority: string;
  /** 0 for HTTP/1.0, 1 for HTTP/1.1. */
  readonly minor: 0 | 1;
  /** All fields as received, hop-by-hop ones included. */
  readonly fields: Fields;
  readonly body: BodyFraming;
  /** Whether the connection may carry another request after this one (RFC 9112 section 9.3). */
  readonly keepAlive: boolean;
  /** The `Upgrade` field's value when the request asks for an upgrade (RFC 9110 section 7.8), else undefined. */
  readonly upgrade: string | undefined;
  readonly expectsContinue: boolean;
}

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly minor: 0 | 1;
  readonly fields: Fields;
  readonly body: BodyFraming;
  readonly keepAlive: boolean;
}

/** How the end of a body is known (RFC 9112 section 6). */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  /** Responses only: until the connection closes. */
  | { readonly kind: 'close' };
