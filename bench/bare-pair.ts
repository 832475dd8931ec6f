/**
 * What two Node processes and one connection between them cost when they do nothing but pass bytes on: no HTTP, no
 * streams, no credit, no resume. Good for one small request and one small answer at a time on each connection; whatever a
 * tunnel in Node does comes on top.
 *
 *   relay <visitors' port> <agent's port>
 *   agent <relay's port> <origin's port>
 */
import { connect, createServer, type Socket } from 'node:net';

const HEADER_BYTES = 8;
const LOOPBACK = '127.0.0.1';
const [role, first, second] = process.argv.slice(2);

if (role === 'relay') relay(Number(first), Number(second));
else agent(Number(first), Number(second));

function relay(visitorPort: number, agentPort: number): void {
  const visitors = new Map<number, Socket>();
  let next = 1;
  let send: ReturnType<typeof sender> | undefined;
  const door = createServer({ noDelay: true }, (socket) => {
    const id = next++;
    visitors.set(id, socket);
    socket.on('data', (chunk: Buffer) => send?.(id, chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => visitors.delete(id));
  });
  createServer({ noDelay: true }, (carrier) => {
    send = sender(carrier);
    receive(carrier, (id, text) => visitors.get(id)?.write(text, 'latin1'));
  }).listen(agentPort, LOOPBACK, () => door.listen(visitorPort, LOOPBACK, () => console.log('ready')));
}

function agent(relayPort: number, originPort: number): void {
  const idle: { id: number; readonly socket: Socket }[] = [];
  const carrier = connect({ port: relayPort, host: LOOPBACK, noDelay: true }, () => console.log('ready'));
  const send = sender(carrier);
  const opened = (): (typeof idle)[number] => {
    const origin = { id: 0, socket: connect({ port: originPort, host: LOOPBACK, noDelay: true }) };
    origin.socket.on('data', (chunk: Buffer) => {
      send(origin.id, chunk);
      idle.push(origin);
    });
    return origin;
  };
  receive(carrier, (id, text) => {
    const origin = idle.pop() ?? opened();
    origin.id = id;
    origin.socket.write(text, 'latin1');
  });
}

/** Messages of one event-loop turn leave in one write. */
function sender(carrier: Socket): (id: number, chunk: Buffer) => void {
  const batch = Buffer.allocUnsafeSlow(1_048_576);
  let end = 0;
  const flush = (): void => {
    carrier.write(Buffer.from(batch.subarray(0, end)));
    end = 0;
  };
  return (id, chunk) => {
    if (end === 0) setImmediate(flush);
    batch.writeUInt32BE(chunk.length, end);
    batch.writeUInt32BE(id, end + 4);
    batch.set(chunk, end + HEADER_BYTES);
    end += HEADER_BYTES + chunk.length;
  };
}

function receive(carrier: Socket, onMessage: (id: number, text: string) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  carrier.on('data', (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const end = at + HEADER_BYTES + bytes.readUInt32BE(at);
      if (end > bytes.length) break;
      onMessage(bytes.readUInt32BE(at + 4), bytes.toString('latin1', at + HEADER_BYTES, end));
      at = end;
    }
    rest = bytes.subarray(at);
  });
}
