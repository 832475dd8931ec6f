/** How addresses are listened on, and what keeps one from it. */
import type * as net from 'node:net';
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

/** Connections that the system takes in before they are accepted. */
export const BACKLOG = 4_096;

/**
 * Resolves with the address listened on. `on`: as Node's `listen` takes it, a bound handle too. Rejects with
 * ADDRESS_IN_USE, ADDRESS_FORBIDDEN or ADDRESS_NOT_HERE, whose detail says `where`, or the system's error.
 * `onError` hears of connections that could not be accepted later (file descriptors have run out): the listener goes on.
 */
export function listen(
  server: net.Server,
  on: object,
  where: string,
  onError: (error: Error) => void,
): Promise<net.AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(listenFailure(cause.code ?? '', where, cause));
    });
    server.listen(on, () => {
      server.removeAllListeners('error').on('error', onError);
      resolve(server.address() as net.AddressInfo);
    });
  });
}
