/** WebSocket carriers, for agents whose way refuses the plain upgrade. The only file here that knows `ws`. */
import type { IncomingMessage } from 'node:http';
import type * as net from 'node:net';
import { type RequestHead, WEBSOCKET_PROTOCOL } from '@porthole/protocol';
import { type Carrier, WebSocketCarrier } from '@porthole/protocol/node';
import { WebSocketServer } from 'ws';
import type { RefuseUpgrade } from '../routing/agent-upgrade.ts';

/** Larger than anything an agent sends in one message; what is larger is somebody else's. */
const MAX_MESSAGE_BYTES = 4_194_304;

export class WebSocketDoor {
  readonly #refusals = new WeakMap<IncomingMessage, RefuseUpgrade>();
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // Compression would cost memory for every agent and hide the size of what is written.
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    skipUTF8Validation: true,
    handleProtocols: (offered) => (offered.has(WEBSOCKET_PROTOCOL) ? WEBSOCKET_PROTOCOL : false),
  });

  constructor() {
    this.#server.on('wsClientError', (error, _socket, request) => {
      this.#refusals.get(request)?.('BAD_REQUEST', error.message);
    });
  }

  /** Calls `begin` with a carrier, or `refuse` when it is no proper WebSocket that is asked for. */
  accept(
    socket: net.Socket,
    head: RequestHead,
    rest: Buffer,
    begin: (carrier: Carrier) => void,
    refuse: RefuseUpgrade,
  ): void {
    const request = asIncomingMessage(socket, head);
    this.#refusals.set(request, refuse);
    this.#server.handleUpgrade(request, socket, rest, (webSocket) => {
      begin(new WebSocketCarrier(webSocket, socket));
    });
  }

  close(): void {
    this.#server.close();
  }
}

/** `ws` reads method, url, headers and socket of a request, nothing else. */
function asIncomingMessage(socket: net.Socket, head: RequestHead): IncomingMessage {
  const headers: Record<string, string> = {};
  for (let index = 0; index < head.fields.length; index += 2) {
    headers[(head.fields[index] as string).toLowerCase()] = head.fields[index + 1] as string;
  }
  return { method: head.method, url: head.target, headers, socket } as unknown as IncomingMessage;
}
