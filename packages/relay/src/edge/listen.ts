/** How doors begin to listen. */
import type * as net from 'node:net';
import { listenFailure } from '../config/listen-failure.ts';
import type { ListenHandle } from '../routing/public-ports.ts';

/** Connections that the system takes in before they are accepted. */
export const BACKLOG = 4_096;

/**
 * Resolves with the address listened on. Rejects with ADDRESS_IN_USE, ADDRESS_FORBIDDEN or ADDRESS_NOT_HERE, whose detail
 * says `where`, or the system's error.
 * `onError` hears of connections that could not be accepted later (file descriptors have run out): the listener goes on.
 */
export function listen(
  server: net.Server,
  on: net.ListenOptions | ListenHandle,
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
