/**
 * Small writes without Node's streams, which cost a tenth of what a proxy does for a small request: a socket that holds
 * nothing is given the bytes directly, as its stream would in the end. Where this Node does not keep things where
 * versions 20 to 24 do, nothing is written, and the caller uses the stream.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getSystemErrorName } from 'node:util';
import { connectionHandle } from './connection-handle.ts';

/** What Node's streams use of a connection. Both return 0 or the number of a system error. */
interface Handle {
  writeBuffer(request: WriteRequest, chunk: Buffer): number;
  writeLatin1String(request: WriteRequest, text: string): number;
}

/** Stands for a write that the system did not take at once. */
interface WriteRequest {
  /** The memory that is written from. */
  chunk?: string | Buffer;
  oncomplete?: (status: number) => void;
}

interface Internals {
  /** Connections of the system's own: what is written to others is encrypted first, or goes elsewhere. */
  readonly handles: readonly unknown[];
  readonly makeRequest: () => WriteRequest;
  /** Whether part of the last write waits to be taken by the system. */
  readonly isPending: () => boolean;
}

/**
 * `sent`: the system has all of it. `waits`: it has not, the memory must not change any more, and the socket says `drain`
 * when it has. `failed`: the socket is destroyed.
 */
type DirectOutcome = 'sent' | 'waits' | 'failed';

/** What is written past the streams of the sockets of a process, or of a part of it. */
export class DirectWrites {
  readonly #internals = findInternals();
  /** Used again and again: only a write that has to wait keeps its request. */
  #request = this.#internals?.makeRequest();
  /** Sockets with a write that has to wait. Further ones are the stream's, which says when there is no more room. */
  readonly #waiting = new Set<Socket>();

  /**
   * Writes `chunk` (text: latin1) to a plain socket that holds nothing yet; undefined: nothing was written, and the
   * stream has to do it. Failures destroy the socket, as those of its `write` do.
   */
  write(socket: Duplex, chunk: string | Buffer): DirectOutcome | undefined {
    const internals = this.#internals;
    const request = this.#request;
    if (internals === undefined || request === undefined) return undefined;
    if (!(socket instanceof Socket) || !socket.writable || socket.writableLength > 0 || socket.connecting)
      return undefined;
    const handle = connectionHandle(socket) as Handle | undefined;
    if (handle === undefined || !internals.handles.includes(handle.constructor)) return undefined;
    if (this.#waiting.has(socket)) return undefined;
    const fault =
      typeof chunk === 'string' ? handle.writeLatin1String(request, chunk) : handle.writeBuffer(request, chunk);
    if (fault !== 0) {
      socket.destroy(systemError(fault));
      return 'failed';
    }
    if (!internals.isPending()) return 'sent';
    this.#await(socket, request, chunk);
    return 'waits';
  }

  #await(socket: Socket, request: WriteRequest, chunk: string | Buffer): void {
    this.#request = this.#internals?.makeRequest();
    this.#waiting.add(socket);
    request.chunk = chunk;
    request.oncomplete = (status) => {
      this.#waiting.delete(socket);
      if (status < 0) socket.destroy(systemError(status));
      else socket.emit('drain');
    };
  }
}

function systemError(fault: number): Error {
  const code = getSystemErrorName(fault);
  return Object.assign(new Error(`write ${code}`), { errno: fault, code, syscall: 'write' });
}

function findInternals(): Internals | undefined {
  // A system whose writes are not tried first.
  if (process.platform === 'win32') return undefined;
  try {
    const { WriteWrap, streamBaseState: state, kLastWriteWasAsync: pendingAt } = bindingOf('stream_wrap');
    const handles = [bindingOf('tcp_wrap')['TCP'], bindingOf('pipe_wrap')['Pipe']];
    if (typeof WriteWrap !== 'function' || !(state instanceof Int32Array) || typeof pendingAt !== 'number')
      return undefined;
    return {
      handles,
      makeRequest: () => Reflect.construct(WriteWrap, []) as WriteRequest,
      isPending: () => state[pendingAt] !== 0,
    };
  } catch {
    // Not to be had under the permission model.
    return undefined;
  }
}

/** As Node's own modules see them; a deprecated way (DEP0111) to what has no other. */
function bindingOf(name: string): Record<string, unknown> {
  return Reflect.apply(Reflect.get(process, 'binding'), process, [name]);
}
