/**
 * HTTP/1.1 with visitors whose TLS ended in this process: what the relay does for those whose TLS ends there. Reads their
 * requests, sets the forwarding fields, and hands each request to an origin.
 */
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ExchangeRequest, PortholeError, type RequestHead } from '@porthole/protocol';
import { DEFAULT_HEAD_LIMITS, forwardableRequestFields } from '@porthole/protocol/http1';
import type { Origin } from './origin.ts';
import { UpgradingExchange, VisitorExchange } from './visitor-exchange.ts';

/** How long a connection may be silent before its first request, and between two. */
const IDLE_MS = 75_000;
/** How long a target may be silent after the visitor has closed his side. */
const HALF_CLOSE_MS = 500;
/** By which an origin knows what has passed a tunnel, as with the relay. */
const VIA_NAME = 'porthole';

export class VisitorServer {
  readonly #origin: Origin;
  readonly #server: Server;
  readonly #visitors = new WeakMap<Duplex, Visitor>();

  constructor(origin: Origin) {
    this.#origin = origin;
    const { maxHeadBytes } = DEFAULT_HEAD_LIMITS;
    // No limit on how long a body takes.
    this.#server = createServer({ maxHeaderSize: maxHeadBytes, requestTimeout: 0, keepAliveTimeout: IDLE_MS });
    // Fields past a count would be left out without a word; their bytes are limited.
    this.#server.maxHeadersCount = 0;
    // A visitor may close his side behind his request. Node reads this when a connection comes.
    Reflect.set(this.#server, 'httpAllowHalfOpen', true);
    const take = (request: IncomingMessage, response: ServerResponse): void => this.#take(request, response);
    this.#server.on('request', take).on('checkContinue', take);
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    });
  }

  /** A connection out of which TLS has been taken. `address`: the visitor's. */
  serve(socket: Socket, address: string): void {
    const visitor = new Visitor(socket, address);
    this.#visitors.set(socket, visitor);
    this.#server.emit('connection', socket);
  }

  close(): void {
    this.#origin.close();
  }

  #take(incoming: IncomingMessage, response: ServerResponse): void {
    const visitor = this.#visitors.get(incoming.socket);
    visitor?.takeTurn(response, () =>
      this.#begin(incoming, visitor, undefined, new VisitorExchange(incoming, response)),
    );
  }

  #upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    const response = new ServerResponse(incoming);
    const visitor = this.#visitors.get(socket);
    visitor?.takeTurn(response, () => {
      visitor.isLeavingHttp = true;
      const exchange = new UpgradingExchange(incoming, response, socket, head);
      this.#begin(incoming, visitor, incoming.headers.upgrade, exchange);
    });
  }

  #begin(incoming: IncomingMessage, visitor: Visitor, upgrade: string | undefined, exchange: VisitorExchange): void {
    try {
      const request = requestOf(incoming, upgrade, visitor.address);
      exchange.start(this.#origin.openExchange(request, exchange), request.bodiless);
    } catch (error) {
      exchange.reset(error instanceof PortholeError ? error.code : 'INTERNAL');
    }
  }
}

/** One connection: its requests one after the other, and how long it may be silent. */
class Visitor {
  readonly address: string;
  isLeavingHttp = false;
  readonly #socket: Socket;
  readonly #waiting: (() => void)[] = [];
  #isBusy = false;
  #timer: NodeJS.Timeout;

  constructor(socket: Socket, address: string) {
    this.#socket = socket;
    this.address = address;
    this.#timer = setTimeout(() => socket.destroy(), IDLE_MS);
    socket.once('close', () => clearTimeout(this.#timer));
    socket.once('end', () => this.#ended(socket.bytesWritten));
  }

  /** `begin` is called when the requests before this one have been answered: Node hands out all that have come. */
  takeTurn(response: ServerResponse, begin: () => void): void {
    clearTimeout(this.#timer);
    response.once('close', () => this.#next());
    if (this.#isBusy) {
      this.#waiting.push(begin);
      this.#socket.pause();
    } else {
      this.#isBusy = true;
      begin();
    }
  }

  #next(): void {
    const next = this.#waiting.shift();
    this.#isBusy = next !== undefined;
    if (this.#socket.destroyed) return;
    if (next === undefined) this.#socket.resume();
    else next();
  }

  /** He has closed his side: most of them have left, which shows in nothing else. */
  #ended(written: number): void {
    if (this.isLeavingHttp) return;
    this.#timer = setTimeout(() => {
      const { bytesWritten, writableLength } = this.#socket;
      if (bytesWritten === written && writableLength === 0) this.#socket.destroy();
      else this.#ended(bytesWritten);
    }, HALF_CLOSE_MS);
  }
}

/** Throws BAD_REQUEST, METHOD_NOT_SUPPORTED, LOOP_DETECTED. */
function requestOf(incoming: IncomingMessage, upgrade: string | undefined, visitorAddress: string): ExchangeRequest {
  const { method = 'GET', url = '/', headers, rawHeaders } = incoming;
  if (method === 'TRACE') throw new PortholeError('METHOD_NOT_SUPPORTED', method);
  // RFC 9112 section 3.2.2: what an absolute target says goes before Host.
  const absolute = /^https?:\/\/([^/?#@]+)([^#]*)$/i.exec(url);
  const target = absolute === null ? url : withSlash(absolute[2] ?? '');
  const authority = absolute?.[1] ?? headers.host ?? '';
  const isChunked = headers['transfer-encoding'] !== undefined;
  const length = Number(headers['content-length'] ?? 0);
  const hosts = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host');
  const isOdd =
    !(target.startsWith('/') || (target === '*' && method === 'OPTIONS')) ||
    hosts.length > 1 ||
    !/^[^\s/?#@\\]+$/.test(authority) ||
    (upgrade !== undefined && (isChunked || length > 0));
  if (isOdd) throw new PortholeError('BAD_REQUEST');
  const head: RequestHead = {
    method,
    target,
    host: authority.toLowerCase(),
    authority,
    minor: incoming.httpVersionMinor === 0 ? 0 : 1,
    fields: rawHeaders,
    body: isChunked ? { kind: 'chunked' } : length > 0 ? { kind: 'length', length } : { kind: 'none' },
    keepAlive: true,
    upgrade,
    expectsContinue: headers.expect !== undefined,
  };
  const forwarding = { visitorAddress, scheme: 'https', isTrusted: false, pseudonym: VIA_NAME };
  return {
    method,
    target,
    scheme: 'https',
    authority,
    visitorAddress,
    bodiless: head.body.kind === 'none',
    upgrade: upgrade !== undefined,
    fields: forwardableRequestFields(head, forwarding),
  };
}

function withSlash(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}
