/**
 * Noticing that a visitor has reset his connection while nobody reads it: then no event tells so, because Node does not
 * wait for any on such a socket.
 */
import type * as net from 'node:net';
import { connectionHandle } from '@porthole/protocol/node';

/** Probes come so soon on a connection that nobody reads … */
const PAUSED_KEEP_ALIVE_MS = 5_000;
/** … and so late on others. */
export const KEEP_ALIVE_MS = 60_000;

/** Whether nobody reads the socket and the other end has reset it. One system call for those that nobody reads. */
export function isResetUnread(socket: net.Socket): boolean {
  if (!socket.isPaused() || socket.destroyed) return false;
  const handle = connectionHandle(socket);
  const getPeerName: unknown = handle === undefined ? undefined : Reflect.get(handle, 'getpeername');
  return typeof getPeerName === 'function' && Reflect.apply(getPeerName, handle, [{}]) !== 0;
}

/**
 * For a visitor of whom more is to come before anything of his is complete. If he ends his side while nobody reads,
 * the end stands behind what is unread; once his system has forgotten the connection, a probe turns it into a reset.
 */
export class UnreadVisitor {
  readonly #socket: net.Socket;
  #isProbing = false;

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  /** To be called now and then; true when he has gone. */
  tick(): boolean {
    const isPaused = this.#socket.isPaused();
    if (isPaused !== this.#isProbing) {
      this.#isProbing = isPaused;
      this.#socket.setKeepAlive(true, isPaused ? PAUSED_KEEP_ALIVE_MS : KEEP_ALIVE_MS);
    }
    return isResetUnread(this.#socket);
  }
}
