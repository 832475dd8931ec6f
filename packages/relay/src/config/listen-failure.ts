/** Says what keeps an address from being listened on, and what to do about it. */
import { type ErrorCode, PortholeError } from '@porthole/protocol';

const CODES: Readonly<Record<string, ErrorCode>> = {
  EADDRINUSE: 'ADDRESS_IN_USE',
  EACCES: 'ADDRESS_FORBIDDEN',
  EPERM: 'ADDRESS_FORBIDDEN',
  EADDRNOTAVAIL: 'ADDRESS_NOT_HERE',
  EAFNOSUPPORT: 'ADDRESS_NOT_HERE',
  EINVAL: 'ADDRESS_NOT_HERE',
  ENOTFOUND: 'ADDRESS_NOT_HERE',
  EAI_AGAIN: 'ADDRESS_NOT_HERE',
};

/** `systemCode`: as in `error.code`. Anything else than an address and a right is returned as it is. */
export function listenFailure(systemCode: string, where: string, cause: Error): Error {
  const code = CODES[systemCode];
  if (code === undefined) return cause;
  const detail = code === 'ADDRESS_IN_USE' ? where : `${where}: ${systemCode}`;
  return new PortholeError(code, detail, { cause });
}
