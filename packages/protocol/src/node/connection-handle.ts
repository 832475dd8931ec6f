/** What Node keeps behind a socket: the connection itself, which some things can only be asked of or told. */
import type { Duplex } from 'node:stream';

/** Undefined when the socket has none any more, or this Node does not keep it where versions 20 to 26 do. */
export function connectionHandle(socket: Duplex): object | undefined {
  const handle = (socket as { readonly _handle?: unknown })._handle;
  return typeof handle === 'object' && handle !== null ? handle : undefined;
}
