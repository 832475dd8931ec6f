/**
 * What the agent takes from a relay as a request. The relay is authenticated, not trusted with the origin: it could
 * write a head that two servers read differently, or name another host in the target.
 */
import { decodeRequest, type ExchangeRequest } from '@porthole/protocol';

// The separator is in none of the classes, so that there is one way to match and no backtracking.
// biome-ignore-start lint/suspicious/noControlCharactersInRegex: NUL is the separator
/** A method other than CONNECT and TRACE, a path or `*`, scheme, authority, address, flags, then fields (RFC 9110 section 5). */
const REQUEST_BLOCK =
  /^(?!CONNECT\0|TRACE\0)[\w!#$%&'*+.^`|~-]+\0(?:\/[\x21\x22\x24-\x7e\x80-\xff]*|\*)\0https?\0[\w.:[\]-]*\0[\w.:%-]*\0[a-z]*(?:\0[\w!#$%&'*+.^`|~-]+\0[\t\x20-\x7e\x80-\xff]*)*$/;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: NUL is the separator

/** Undefined for a block that no relay makes of a visitor's request. */
export function soundRequest(block: string): ExchangeRequest | undefined {
  return REQUEST_BLOCK.test(block) ? decodeRequest(block) : undefined;
}
