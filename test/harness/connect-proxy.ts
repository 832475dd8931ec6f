/** An HTTP proxy that knows CONNECT only and leads every name to this machine: a resolver for programs that have none of ours. */
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { Listener } from './listener.ts';

export class ConnectProxy extends Listener {
  /** `host:port` of every CONNECT, in order. */
  readonly seen: string[] = [];

  /** `ports`: which port of this machine one stands for; others lead to themselves. */
  constructor(ports: Readonly<Record<number, number>> = {}) {
    const http = createServer((_request, response) => response.writeHead(405).end());
    super(http);
    http.on('connect', (request, socket, head) => {
      this.seen.push(request.url ?? '');
      const wanted = Number(/:(\d+)$/.exec(request.url ?? '')?.[1]);
      const port = ports[wanted] ?? wanted;
      const onward = connect({ host: '127.0.0.1', port }, () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        onward.write(head);
        onward.pipe(socket).pipe(onward);
      });
      onward.on('error', () => socket.destroy());
      onward.on('close', () => socket.destroy());
      socket.on('error', () => onward.destroy());
      socket.on('close', () => onward.destroy());
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }
}

export async function startConnectProxy(ports?: Readonly<Record<number, number>>): Promise<ConnectProxy> {
  const proxy = new ConnectProxy(ports);
  await proxy.listen({});
  return proxy;
}
