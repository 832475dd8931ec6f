/**
 * Puts accepted connections into sockets that are read into memory of ours, which Node allows only for sockets made
 * with it. Where Node does not allow that, the socket stays an ordinary one.
 */
import type * as net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { connectionHandle, readMemory, tapSecureSocket, TappedSocket } from '@porthole/protocol/node';

/** Of one listener. */
export class VisitorReads {
  readonly #memory = readMemory();

  /** `accepted`: paused since its server made it (`pauseOnConnect`), so that no byte of it was read. */
  adopt(accepted: net.Socket): net.Socket {
    const handle = tappableHandle(accepted);
    if (handle === undefined) return accepted;
    // `handle` and `manualStart` are what Node's own servers pass; its type declarations leave them out.
    const options = { handle, allowHalfOpen: true, manualStart: true };
    const socket = new TappedSocket(this.#memory, options as net.SocketConstructorOpts);
    // The first owner lets go, or it would close the handle with itself.
    Reflect.set(accepted, '_handle', null);
    accepted.destroy();
    return socket;
  }

  /** Whoever took TLS off has adopted the socket already. */
  adoptSecure(socket: TLSSocket): void {
    tapSecureSocket(socket, this.#memory);
  }
}

/** The connection itself, if it can read into a given buffer. */
function tappableHandle(socket: net.Socket): object | undefined {
  const handle = connectionHandle(socket);
  return handle !== undefined && typeof Reflect.get(handle, 'useUserBuffer') === 'function' ? handle : undefined;
}
