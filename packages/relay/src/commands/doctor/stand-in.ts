/**
 * Listens where the relay would, for as long as the doctor looks: what comes back through the public address is then
 * proof that it leads here, and shows what something in front makes of a request.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, createServer as createRawServer, type Server } from 'node:net';
import { type ListenAddress, listenOptions } from '../../config/config.ts';
import { plainAddress } from '../../edge/trusted-addresses.ts';

export interface SeenByStandIn {
  readonly word: string;
  /** Who connected. */
  readonly from: string;
  readonly host: string;
  readonly forwardedFor: string | undefined;
  readonly forwardedProto: string | undefined;
}

export interface StandIn {
  /** Comes back in every answer of this one, and of no other. */
  readonly word: string;
  readonly port: number;
  close(): Promise<void>;
}

const READ_LIMIT_MS = 5000;
const WEBSOCKET_KEY_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export async function startStandIn(address: ListenAddress): Promise<StandIn> {
  const word = randomUUID();
  const server = createServer({ headersTimeout: 5000, requestTimeout: 5000 }, (request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
    response.end(JSON.stringify(seen(word, request)));
  });
  server.maxConnections = 64;
  server.on('upgrade', (request, socket) => {
    const key = request.headers['sec-websocket-key'];
    const accept =
      key === undefined
        ? ''
        : `Sec-WebSocket-Accept: ${createHash('sha1').update(`${key}${WEBSOCKET_KEY_SUFFIX}`).digest('base64')}\r\n`;
    const protocol = request.headers['sec-websocket-protocol'];
    const chosen = protocol === undefined ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
    socket.on('error', () => socket.destroy());
    socket.end(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade ?? ''}\r\n${accept}${chosen}Porthole-Doctor: ${word}\r\n\r\n`,
    );
  });
  await listening(server, address);
  return {
    word,
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Says the word to whoever connects. For ports on which something else than HTTP will be spoken. */
export async function startRawStandIn(address: ListenAddress): Promise<StandIn> {
  const word = randomUUID();
  const server = createRawServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.resume().end(word);
  });
  server.maxConnections = 64;
  await listening(server, address);
  return {
    word,
    port: (server.address() as AddressInfo).port,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** What a port says first: the word, if a stand-in is there. Rejects when nothing listens. */
export function readWord(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect({ host, port, signal: AbortSignal.timeout(READ_LIMIT_MS) });
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text = (text + chunk).slice(0, 100);
    });
    socket.on('error', reject);
    socket.on('end', () => socket.end());
    socket.on('close', () => resolve(text));
  });
}

function listening(server: Server, address: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(listenOptions(address), resolve);
  });
}

function seen(word: string, { headers, socket }: IncomingMessage): SeenByStandIn {
  const text = (name: string): string | undefined => {
    const value = headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    word,
    from: plainAddress(socket.remoteAddress),
    host: headers.host ?? '',
    forwardedFor: text('x-forwarded-for'),
    forwardedProto: text('x-forwarded-proto'),
  };
}
