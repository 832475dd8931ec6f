/** Reaches an `http.Server` of this process without a port: each connection is a pair of streams in memory. */
import type { Server as HttpServer } from 'node:http';
import { duplexPair, type Duplex } from 'node:stream';
import { Server as TlsServer } from 'node:tls';
import type { Server as HttpsServer } from 'node:https';
import type { Opening, OriginOpener, SocketOutcome } from './origin-socket.ts';

export class ServerOpener implements OriginOpener {
  readonly #server: HttpServer | HttpsServer;

  constructor(server: HttpServer | HttpsServer) {
    this.#server = server;
  }

  open(done: (outcome: SocketOutcome) => void): Opening {
    const immediate = setImmediate(() => {
      const [agentEnd, serverEnd] = duplexPair();
      linkEndings(agentEnd, serverEnd);
      // A TLS server takes what is decrypted already under another name.
      this.#server.emit(this.#server instanceof TlsServer ? 'secureConnection' : 'connection', asSocket(serverEnd));
      done({ socket: agentEnd, tap: undefined });
    });
    return { cancel: () => clearImmediate(immediate) };
  }
}

/** Destroying one end of a pair leaves the other open; a socket's other end would notice. */
function linkEndings(one: Duplex, other: Duplex): void {
  one.once('close', () => other.destroy());
  other.once('close', () => {
    // What was written before the end is still to be read.
    if (one.readableEnded) one.destroy();
    else if (!one.readable || one.readableLength === 0) setImmediate(() => one.destroy());
    else one.once('end', () => one.destroy());
  });
  other.on('error', () => {});
}

/** What servers and frameworks look for on a socket. The visitor's address is in X-Forwarded-For. */
function asSocket(stream: Duplex): Duplex {
  const chainable = (): Duplex => stream;
  return Object.assign(stream, {
    remoteAddress: '127.0.0.1',
    remoteFamily: 'IPv4',
    remotePort: 0,
    localAddress: '127.0.0.1',
    localPort: 0,
    setTimeout: chainable,
    setNoDelay: chainable,
    setKeepAlive: chainable,
    ref: chainable,
    unref: chainable,
    destroySoon: () => {
      if (stream.writableFinished) stream.destroy();
      else stream.end(() => stream.destroy());
    },
  });
}
