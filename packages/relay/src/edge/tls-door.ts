/**
 * The public HTTPS address. Looks at each connection's ClientHello and sends it where it belongs: to an authority's
 * validation, as it is to a tunnel that ends TLS by itself, or through TLS to the HTTP door. Owns the listening socket.
 */
import * as net from 'node:net';
import * as tls from 'node:tls';
import { type ClientHello, fatalAlert } from '../tls/client-hello.ts';
import type { ServingCertificates } from '../tls/serving-certificates.ts';
import { serverTlsOptions } from '../tls/certificate-index.ts';
import { ClientCaServers } from './client-ca-servers.ts';
import type { EdgeParts } from './edge-parts.ts';
import { HALF_OPEN_LIMITS, type HalfOpenLimits, HalfOpenSockets } from './half-open.ts';
import { HandshakePace } from './handshake-pace.ts';
import type { HttpDoorAddress } from './http-door.ts';
import { BACKLOG, listen } from '../config/listening.ts';
import { OpenConnections } from './open-connections.ts';
import { ownAnswer, UNREADABLE } from './own-answers.ts';
import { type PeekOutcome, peekOpening } from './opening-peek.ts';
import type { ProxyArrivals } from './proxy-arrivals.ts';
import { KEEP_ALIVE_MS } from './reset-check.ts';
import { TcpVisitor } from './tcp-visitor.ts';
import { type TlsCounters } from './tls-counters.ts';
import { plainAddress } from './trusted-addresses.ts';
import { sourceOf } from '../access/source-of.ts';
import { VisitorTls } from './visitor-tls.ts';

export interface TlsDoorParts extends EdgeParts {
  readonly certificates: ServingCertificates;
  readonly tlsCounters: TlsCounters;
  /** Takes PROXY protocol headers off; absent: nobody sends any. */
  readonly arrivals?: ProxyArrivals | undefined;
  /** Whether a name is one of the relay's, a tunnel's or its own, so that the default certificate is of use. */
  readonly isOurs: (host: string) => boolean;
  /** Visitors behind TLS who speak HTTP/1.1. `port`: of a tunnel by port, when they came in there. */
  readonly acceptHttp: (socket: tls.TLSSocket, visitor: VisitorTls, port: number | undefined) => void;
  /** Those who speak HTTP/2; absent: it is not offered. */
  readonly acceptH2?: ((socket: tls.TLSSocket, visitor: VisitorTls, port: number | undefined) => void) | undefined;
  /** Default 5,000. */
  readonly helloTimeoutMs?: number;
  /** For a handshake after its hello, in milliseconds. Default 10,000. */
  readonly handshakeTimeoutMs?: number;
  readonly halfOpen?: HalfOpenLimits;
}

/** What is known of a connection whose handshake is under way. */
interface Handshake {
  /** As in SNI; empty when the default certificate is shown. */
  readonly name: string;
  /** Of a tunnel by port. */
  readonly port: number | undefined;
  readonly clientCa: string | undefined;
}

const NOTHING_KNOWN: Handshake = { name: '', port: undefined, clientCa: undefined };
const HELLO_TIMEOUT_MS = 5_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;

export class TlsDoor {
  readonly #parts: TlsDoorParts;
  readonly #server: net.Server;
  readonly #tls: tls.Server;
  readonly #challenges: tls.Server;
  readonly #clientCas: ClientCaServers;
  readonly #halfOpen: HalfOpenSockets;
  readonly #pace = new HandshakePace();
  readonly #raw = new OpenConnections<TcpVisitor>();
  readonly #inHandshake = new WeakMap<net.Socket, Handshake>();
  #isDraining = false;

  constructor(parts: TlsDoorParts) {
    this.#parts = parts;
    this.#halfOpen = new HalfOpenSockets(parts.halfOpen ?? HALF_OPEN_LIMITS);
    this.#server = net.createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    });
    this.#server.on('connection', (socket) => this.accept(socket));
    this.#tls = this.#makeTlsServer();
    this.#challenges = this.#makeChallengeServer();
    this.#clientCas = new ClientCaServers((name, ca) => this.#makeTlsServer({ name, ca }));
    parts.certificates.onDefault((options) => this.#tls.setSecureContext({ ...serverTlsOptions, ...options }));
    parts.certificates.onTicketKeys((keys) => this.#tls.setTicketKeys(keys));
  }

  /** Connections that have not got through their handshake. */
  get halfOpen(): number {
    return this.#halfOpen.size;
  }

  /** Resolves with the address listened on. Rejects as `listen` does. */
  start(address: HttpDoorAddress): Promise<net.AddressInfo> {
    return listen(this.#server, { ...address, backlog: BACKLOG }, `port ${address.port}`, this.#parts.acceptFailed);
  }

  /** Stops listening; resolves when the last raw visitor has left, or cuts those who are left at the deadline. */
  async drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true;
    this.#server.close();
    await this.#raw.untilClosed(deadlineMs);
  }

  /** At once. Idempotent. */
  async close(): Promise<void> {
    this.#halfOpen.destroyAll();
    await this.drain(0);
  }

  /** Takes a connection in, from this door's listener or, with `port`, from that of a tunnel by port. Nothing read of it yet. */
  accept(socket: net.Socket, port?: number): void {
    const { tlsCounters, arrivals } = this.#parts;
    tlsCounters.acceptedTotal += 1;
    socket.on('error', () => undefined);
    socket.once('close', () => this.#halfOpen.leave(socket));
    // On a tunnel's port it has been taken off already.
    if (port !== undefined || arrivals === undefined) this.#peek(socket, port);
    else arrivals.take(socket, () => this.#peek(socket, port));
  }

  #peek(socket: net.Socket, port: number | undefined): void {
    // By the visitor's own address: a load balancer's would be one for all of them.
    this.#halfOpen.enter(socket, sourceOf(plainAddress(socket.remoteAddress)));
    peekOpening(socket, this.#parts.helloTimeoutMs ?? HELLO_TIMEOUT_MS, (outcome) =>
      this.#looked(socket, outcome, port),
    );
  }

  #looked(socket: net.Socket, outcome: PeekOutcome, port: number | undefined): void {
    if (outcome.state === 'hello') {
      if (port === undefined) this.#heard(socket, outcome.hello);
      else this.#heardAt(port, socket, outcome.hello);
      return;
    }
    const { tlsCounters } = this.#parts;
    this.#halfOpen.leave(socket);
    if (outcome.state === 'not tls') tlsCounters.badHellosTotal += 1;
    else if (outcome.late) tlsCounters.lateHellosTotal += 1;
    // Plain HTTP on this port is a mistake people make; everything else is garbage and gets an alert.
    if (outcome.state === 'not tls' && isLetter(outcome.first))
      socket.write(ownAnswer('BAD_CLIENT_HELLO', UNREADABLE), 'latin1');
    else if (outcome.state === 'not tls') socket.write(fatalAlert('decode_error'));
    socket.destroySoon();
    socket.resume();
  }

  #heard(socket: net.Socket, hello: ClientHello): void {
    const { registry, tlsCounters } = this.#parts;
    const name = hello.serverName;
    const isRaw = name !== undefined && registry.isRaw(name);
    if (isRaw) {
      tlsCounters.passedThroughTotal += 1;
      this.#passThrough(socket, name);
    } else if (hello.acmeChallenge) {
      tlsCounters.challengesTotal += 1;
      this.#challenges.emit('connection', socket);
    } else {
      this.#terminate(socket, name);
    }
  }

  /** A tunnel by port takes visitors by whatever name: the relay's address has a certificate, and its names have theirs. */
  #heardAt(port: number, socket: net.Socket, { serverName }: ClientHello): void {
    const hasOne = serverName !== undefined && this.#parts.certificates.find(serverName) !== undefined;
    this.#beginHandshake(socket, hasOne ? serverName : '', port);
  }

  #passThrough(socket: net.Socket, name: string): void {
    const { limits, counters } = this.#parts;
    this.#halfOpen.leave(socket);
    const address = plainAddress(socket.remoteAddress);
    if (this.#isDraining || !limits.enter(address)) {
      counters.visitorsRefusedTotal += 1;
      socket.destroy();
      return;
    }
    const visitor = new TcpVisitor(socket, { host: name }, address, this.#parts, () => {
      this.#raw.delete(visitor);
      limits.leave(address);
    });
    this.#raw.add(visitor);
    visitor.start();
  }

  #terminate(socket: net.Socket, name: string | undefined): void {
    const { certificates, isOurs, tlsCounters } = this.#parts;
    if (name === undefined || certificates.find(name) !== undefined) {
      this.#beginHandshake(socket, name ?? '');
      return;
    }
    const refuse = (): void => {
      tlsCounters.unknownNamesTotal += 1;
      socket.write(fatalAlert('unrecognized_name'));
      socket.destroySoon();
      socket.resume();
    };
    void certificates.obtain(name).then((isThere) => {
      if (socket.destroyed) return;
      if (isThere || isOurs(name)) this.#beginHandshake(socket, name);
      else refuse();
    });
  }

  #beginHandshake(socket: net.Socket, name: string, port?: number): void {
    this.#pace.begin(() => {
      if (socket.destroyed) return;
      const clientCa = this.#clientCaOf(name, port);
      this.#inHandshake.set(socket, { name, port, clientCa });
      const server =
        clientCa === undefined
          ? this.#tls
          : this.#clientCas.serverFor(port === undefined ? name : `${name}:${port}`, name, clientCa);
      server.emit('connection', socket);
    });
  }

  #clientCaOf(host: string, port: number | undefined): string | undefined {
    const { registry } = this.#parts;
    return port === undefined ? registry.clientCaOf(host) : registry.portTraits(port)?.clientCa;
  }

  #makeTlsServer(asks?: { readonly name: string; readonly ca: string }): tls.Server {
    const { certificates, acceptH2, tlsCounters, handshakeTimeoutMs } = this.#parts;
    const sniCallback: tls.TlsOptions['SNICallback'] = (name, done) => done(null, certificates.choose(name));
    const server = tls.createServer({
      ...serverTlsOptions,
      ALPNProtocols: acceptH2 === undefined ? ['http/1.1'] : ['h2', 'http/1.1'],
      handshakeTimeout: handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      ...(asks === undefined
        ? { SNICallback: sniCallback }
        : { requestCert: true, rejectUnauthorized: true, ca: asks.ca, ...certificates.pemFor(asks.name) }),
    });
    server.on('secureConnection', (socket) => this.#secured(socket));
    server.on('tlsClientError', (_error, socket) => {
      tlsCounters.failedHandshakesTotal += 1;
      socket.destroy();
    });
    return server;
  }

  #makeChallengeServer(): tls.Server {
    const { certificates } = this.#parts;
    const server = tls.createServer({
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['acme-tls/1'],
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      SNICallback: (name, done) => {
        certificates.challengeContext(name).then(
          (context) => (context === undefined ? done(new Error('no such validation')) : done(null, context)),
          (error: Error) => done(error),
        );
      },
    });
    // RFC 8737 section 3: the handshake is all there is.
    server.on('secureConnection', (socket) => socket.on('error', () => undefined).end());
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  }

  #secured(socket: tls.TLSSocket): void {
    const under = underlying(socket);
    const { tlsCounters, acceptHttp, acceptH2, certificates } = this.#parts;
    tlsCounters.handshakesTotal += 1;
    if (socket.isSessionReused()) tlsCounters.resumedHandshakesTotal += 1;
    socket.on('error', () => undefined);
    if (under !== undefined) {
      this.#halfOpen.leave(under);
      resetThrough(socket, under);
      carryAddress(socket, under);
    }
    const { name, port, clientCa } = (under && this.#inHandshake.get(under)) ?? NOTHING_KNOWN;
    const rules = {
      // On a port of its own a tunnel is the only one there is to be meant.
      covers: (host: string) => port !== undefined || certificates.covers(name, host),
      clientCaOf: (host: string) => this.#clientCaOf(host, port),
    };
    const visitor = new VisitorTls(name, rules, clientCa, socket);
    if (acceptH2 !== undefined && socket.alpnProtocol === 'h2') acceptH2(socket, visitor, port);
    else acceptHttp(socket, visitor, port);
  }
}

function isLetter(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x41 && byte <= 0x5a;
}

/** The socket that was given to the TLS server; Node keeps it where versions 20 to 26 do. */
function underlying(socket: tls.TLSSocket): net.Socket | undefined {
  const parent: unknown = Reflect.get(socket, '_parent');
  return parent instanceof net.Socket ? parent : undefined;
}

/**
 * Node refuses to reset a TLS socket, and resetting the one below it crashes; but the one below, closed from above,
 * may be told to close with a reset. A visitor must see that what he has is not everything.
 */
function resetThrough(socket: tls.TLSSocket, under: net.Socket): void {
  socket.resetAndDestroy = () => {
    Reflect.set(under, 'resetAndClosing', true);
    socket.destroy();
    return socket;
  };
}

function carryAddress(socket: tls.TLSSocket, under: net.Socket): void {
  if (!Object.hasOwn(under, 'remoteAddress')) return;
  Object.defineProperty(socket, 'remoteAddress', { value: under.remoteAddress });
  Object.defineProperty(socket, 'remotePort', { value: under.remotePort });
}
