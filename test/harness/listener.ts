/** A listening socket of the tests that knows its connections, so that closing it leaves nothing. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface ListenOptions {
  /** Default 127.0.0.1; `::1`, or `localhost` for whatever that resolves to. */
  readonly host?: string;
  /** Default 0. Only for taking a port again that was given before. */
  readonly port?: number;
  /** Listen on a socket file in a temporary folder instead. */
  readonly unix?: boolean;
}

export class Listener {
  readonly server: Server;
  /** Sockets open just now, and accepted ever. */
  readonly sockets = new Set<Socket>();
  accepted = 0;
  socketPath: string | undefined;
  #folder: string | undefined;

  constructor(server: Server) {
    this.server = server;
    server.on('connection', (socket: Socket) => {
      this.accepted++;
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  async listen(options: ListenOptions = {}): Promise<this> {
    if (options.unix === true) {
      this.#folder = mkdtempSync(join(tmpdir(), 'porthole-origin-'));
      this.socketPath = join(this.#folder, 'origin.sock');
      this.server.listen(this.socketPath);
    } else {
      this.server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
    }
    await once(this.server, 'listening');
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** As `porthole http` takes it. */
  get target(): string {
    if (this.socketPath !== undefined) return `unix:${this.socketPath}`;
    const { address, port } = this.server.address() as AddressInfo;
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  }

  async close(): Promise<void> {
    if (this.server.listening) {
      const closed = once(this.server, 'close');
      this.server.close();
      for (const socket of this.sockets) socket.destroy();
      await closed;
    }
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
