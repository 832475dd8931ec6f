/** An HTTP proxy that knows CONNECT only and leads every name to this machine: a resolver for programs that have none of ours. */
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { Listener } from './listener.ts';

export class ConnectProxy extends Listener {
  /** `host:port` of every CONNECT, in order. */
  readonly seen: string[] = [];

  constructor() {
    const http = createServer((_request, response) => response.writeHead(405).end());
    super(http);
    http.on('connect', (request, socket, head) => {
      this.seen.push(request.url ?? '');
      const port = Number(/:(\d+)$/.exec(request.url ?? '')?.[1]);
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

export async function startConnectProxy(): Promise<ConnectProxy> {
  const proxy = new ConnectProxy();
  await proxy.listen({});
  return proxy;
}
