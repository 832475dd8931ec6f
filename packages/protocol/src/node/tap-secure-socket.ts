/**
 * TLS sockets that are read into memory of ours. Node takes the `onread` option only from who dials; a socket whose TLS
 * was begun by others reads the same way once it has what the option sets.
 */
import type { TLSSocket } from 'node:tls';
import type { ReadMemory } from '../read-memory.ts';
import { connectionHandle } from './connection-handle.ts';
import { ReadTap, tapped } from './read-tap.ts';

/** Half of what a record holds at most (RFC 8446 section 5.1): a bulk transfer is under way. */
const BULK_BYTES = 8_192;

/**
 * From here on bytes go to the `reader` of `tapOf(socket)`, a record at a time, while there is one. What was read before
 * still comes as `data`. Does nothing where this Node does not keep things where versions 20 to 26 do.
 */
export function tapSecureSocket(socket: TLSSocket, memory: ReadMemory): void {
  const handle = connectionHandle(socket);
  if (handle === undefined) return;
  const useUserBuffer: unknown = Reflect.get(handle, 'useUserBuffer');
  const buffer = symbolOf(socket, 'kBuffer');
  const callback = symbolOf(socket, 'kBufferCb');
  if (typeof useUserBuffer !== 'function' || buffer === undefined || callback === undefined) return;
  const tap = new ReadTap(memory);
  tap.bind(socket);
  // One read brings several records; those that come behind a pause, or behind what waits already, wait as well.
  const read = (length: number): boolean => {
    const record = memory.shared.of(length);
    if (tap.reader === undefined || socket.readableLength > 0 || socket.isPaused())
      return socket.push(Buffer.from(record));
    tap.reader(record, false);
    return length < BULK_BYTES || tap.mayGoOn(length);
  };
  Reflect.set(socket, buffer, memory.shared.whole);
  Reflect.set(socket, callback, read);
  Reflect.apply(useUserBuffer, handle, [memory.shared.whole]);
  tapped(socket, tap);
}

function symbolOf(socket: TLSSocket, name: string): symbol | undefined {
  return Object.getOwnPropertySymbols(socket).find(({ description }) => description === name);
}
