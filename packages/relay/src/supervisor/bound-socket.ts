/**
 * Sockets that are bound here and accepted from in other processes. `net.Server` would accept here too, so this is the
 * one place that uses the call with which Node's own cluster module binds for its workers.
 */
import { lookup } from 'node:dns/promises';
import net from 'node:net';
import { getSystemErrorName } from 'node:util';
import { listenFailure } from '../config/listening.ts';
import type { ListenHandle } from '../routing/public-ports.ts';

export interface BoundSocket {
  /** To be inherited by a process that is started. */
  readonly fd: number;
  /** To be sent to a process that runs. */
  readonly handle: ListenHandle | undefined;
  close(): void;
}

/** What Node's binding looks like from here. */
interface TcpHandle extends ListenHandle {
  readonly fd: number;
  getsockname(into: { port?: number }): number;
}
type CreateHandle = (
  address: string | null,
  port: number,
  family: 4 | 6 | -1,
  fd: null,
  flags: 0,
) => TcpHandle | number;

/** `host` undefined: every address of the machine. Rejects with ADDRESS_IN_USE, ADDRESS_FORBIDDEN, ADDRESS_NOT_HERE. */
export async function bindSocket(port: number, host: string | undefined): Promise<BoundSocket> {
  if (host === undefined) {
    const both = tryBind('::', port, 6);
    // No IPv6 on this machine.
    return boundSocket(
      typeof both === 'number' && nameOf(both) !== 'EADDRINUSE' ? tryBind('0.0.0.0', port, 4) : both,
      port,
      host,
    );
  }
  const { address, family } = await lookup(host).catch((cause: NodeJS.ErrnoException) => {
    throw listenFailure(cause.code ?? '', `${host}:${port}`, cause);
  });
  return boundSocket(tryBind(address, port, family === 6 ? 6 : 4), port, host);
}

function tryBind(address: string, port: number, family: 4 | 6): TcpHandle | number {
  const create = (net as unknown as { _createServerHandle: CreateHandle })._createServerHandle;
  const handle = create(address, port, family, null, 0);
  if (typeof handle === 'number') return handle;
  // A port that is taken shows only when the socket is asked what it is bound to.
  const failure = handle.getsockname({});
  if (failure === 0) return handle;
  handle.close();
  return failure;
}

function boundSocket(handle: TcpHandle | number, port: number, host: string | undefined): BoundSocket {
  if (typeof handle !== 'number') return { fd: handle.fd, handle, close: () => handle.close() };
  const name = nameOf(handle);
  const where = `${host ?? ''}:${port}`;
  throw listenFailure(name, where, new Error(`listen on ${where}: ${name}`));
}

function nameOf(failure: number): string {
  return getSystemErrorName(failure);
}
