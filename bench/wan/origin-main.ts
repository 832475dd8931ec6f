/** The origin at the agent's end: `/bulk` without end, `/take` for uploads, an echoing WebSocket; and the same over plain TCP. */
import { createServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { WebSocketServer } from 'ws';

const PIECE = Buffer.alloc(64 * 1024, 'porthole');

/** Writes as long as somebody reads. */
function pour(into: {
  write(piece: Buffer): boolean;
  once(event: 'drain', listener: () => void): unknown;
  readonly writable: boolean;
}): void {
  while (into.writable) if (!into.write(PIECE)) return void into.once('drain', () => pour(into));
}

const http = createServer({ requestTimeout: 0 }, (request, response) => {
  if (request.url === '/bulk') {
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    pour(response);
  } else {
    request.resume();
    request.once('end', () => response.end('taken'));
  }
});
const webSockets = new WebSocketServer({ server: http, perMessageDeflate: false });
webSockets.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(data));
  socket.on('error', () => undefined);
});
/** A first byte of `d` asks for bytes, anything else brings them. */
const plain = createTcpServer((socket: Socket) => {
  socket.on('error', () => socket.destroy());
  socket.once('data', (first) => {
    if (first[0] === 100) pour(socket);
    else socket.resume();
  });
});
http.listen(0, '0.0.0.0', () =>
  plain.listen(0, '0.0.0.0', () => {
    const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
    process.stdout.write(`${JSON.stringify({ http: portOf(http), plain: portOf(plain) })}\n`);
  }),
);
