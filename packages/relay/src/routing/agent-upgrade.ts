/** The seam between the public HTTP door and the agents' door: requests of agents ride the visitors' port. */
import type * as net from 'node:net';
import type { ErrorCode, RequestHead } from '@porthole/protocol';

/** Answers with an error of the relay's own and closes the connection. `detail` is shown. */
export type RefuseUpgrade = (code: ErrorCode, detail: string) => void;

export interface AgentUpgrade {
  /**
   * Takes over a connection whose request asks for a carrier. The socket is paused, has no listeners left of its old
   * owner, no time-out and nothing written to it; `rest` is what was read after the head. The new owner answers
   * the request, and destroys the socket at the end, or calls `refuse`.
   */
  accept(socket: net.Socket, head: RequestHead, rest: Buffer, refuse: RefuseUpgrade): void;
}
