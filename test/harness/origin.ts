/**
 * The ordinary origin of the tests: a small web application with static sizes, echo, hashes, SSE, trailers, slow trickle
 * and a WebSocket echo. For origins that misbehave see `bad-origin.ts`, for byte-exact ones `raw-origin.ts`.
 */
import { createHash } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { Listener, type ListenOptions } from './listener.ts';
import { patternBody } from './random.ts';

export interface OriginOptions extends ListenOptions {
  /** Node's keepAliveTimeout in ms. Default 60,000, so that nothing ends by surprise. */
  readonly keepAliveTimeoutMs?: number;
  /** Offer permessage-deflate on the WebSocket. Default false. */
  readonly compressWebSocket?: boolean;
  /** Routes of the test itself, asked first; true when it has taken the request. */
  readonly route?: (request: IncomingMessage, response: ServerResponse, url: URL) => boolean;
}

type Route = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

export class Origin extends Listener {
  /** `METHOD target` of every request, in order. */
  readonly seen: string[] = [];
  /** Requests whose visitor left before the answer was complete. */
  abandoned = 0;
  /** Open SSE answers and WebSockets. */
  readonly eventStreams = new Set<ServerResponse>();
  readonly webSockets = new Set<WebSocket>();
  #options: OriginOptions;
  #webSocketServer: WebSocketServer;
  #routes: Record<string, Route>;
  #listeners = new Set<() => void>();

  constructor(options: OriginOptions) {
    const http = createServer({
      keepAliveTimeout: options.keepAliveTimeoutMs ?? 60_000,
      requestTimeout: 0,
      headersTimeout: 60_000,
      maxHeaderSize: 256 * 1024,
    });
    // Otherwise Node adds a second of grace and the keep-alive tests would not test.
    (http as Server & { keepAliveTimeoutBuffer?: number }).keepAliveTimeoutBuffer = 0;
    super(http);
    this.#options = options;
    this.#webSocketServer = new WebSocketServer({
      noServer: true,
      maxPayload: 64 * 1024 * 1024,
      perMessageDeflate: options.compressWebSocket === true ? { threshold: 0 } : false,
      handleProtocols: (offered) => [...offered].find((name) => name.startsWith('porthole-')) ?? false,
    });
    this.#routes = this.#buildRoutes();
    http.on('request', (request, response) => this.#answer(request, response));
    http.on('checkContinue', (request, response) => {
      response.writeContinue();
      this.#answer(request, response);
    });
    http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Sends one event to every open event stream. */
  publish(data: string): void {
    for (const response of this.eventStreams) response.write(`data: ${data}\n\n`);
  }

  /** Resolves when `condition` holds, looked at after each request, abort, event stream or WebSocket that comes or goes. */
  whenever(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!condition()) return;
        this.#listeners.delete(look);
        resolve();
      };
      this.#listeners.add(look);
      look();
    });
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.seen.push(`${request.method} ${request.url}`);
    response.once('close', () => {
      if (!response.writableFinished) this.abandoned++;
      this.#changed();
    });
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const url = new URL(request.url ?? '/', 'http://origin');
    if (this.#options.route?.(request, response, url) !== true) {
      const route = this.#routes[url.pathname.split('/')[1] ?? ''];
      if (route === undefined)
        response.writeHead(200, { 'content-type': 'text/plain' }).end(`you asked for ${request.url}\n`);
      else route(request, response, url);
    }
    this.#changed();
  }

  #buildRoutes(): Record<string, Route> {
    return {
      size: (_request, response, url) =>
        sendPattern(response, Number(url.pathname.split('/')[2]), url.searchParams.has('chunked')),
      status: (_request, response, url) => void response.writeHead(Number(url.pathname.split('/')[2])).end(),
      echo: (request, response) => {
        const headers: Record<string, string> = {
          'content-type': request.headers['content-type'] ?? 'application/octet-stream',
        };
        if (request.headers['content-length'] !== undefined)
          headers['content-length'] = request.headers['content-length'];
        response.writeHead(200, headers);
        request.pipe(response);
      },
      hash: (request, response) =>
        void hashBody(request).then(
          (result) => sendJson(response, result),
          () => response.destroy(),
        ),
      headers: (request, response) =>
        sendJson(response, { method: request.method, url: request.url, headers: pairs(request.rawHeaders) }),
      trailers: (_request, response) => {
        response.writeHead(200, { trailer: 'x-sum, grpc-status', 'content-type': 'text/plain' });
        response.write('body');
        response.addTrailers({ 'x-sum': '42', 'grpc-status': '0' });
        response.end();
      },
      events: (_request, response) => this.#openEventStream(response),
      redirect: (_request, response, url) =>
        void response.writeHead(302, { location: url.searchParams.get('to') ?? '/' }).end(),
      hold: () => undefined,
    };
  }

  #openEventStream(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
    response.flushHeaders();
    this.eventStreams.add(response);
    response.once('close', () => {
      this.eventStreams.delete(response);
      this.#changed();
    });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.seen.push(`UPGRADE ${request.url}`);
    this.#webSocketServer.handleUpgrade(request, socket, head, (webSocket) => {
      this.webSockets.add(webSocket);
      webSocket.on('message', (data, isBinary) => {
        const text = isBinary ? '' : String(data);
        const close = /^close (\d+)(?: (.*))?$/s.exec(text);
        if (close !== null) webSocket.close(Number(close[1]), close[2] ?? '');
        else if (text === 'headers') webSocket.send(JSON.stringify(pairs(request.rawHeaders)));
        else webSocket.send(data, { binary: isBinary });
      });
      webSocket.on('error', () => undefined);
      webSocket.on('close', () => {
        this.webSockets.delete(webSocket);
        this.#changed();
      });
      this.#changed();
    });
  }
}

/** sha256 and length of a request's body as it arrives. */
export function hashBody(
  request: IncomingMessage,
): Promise<{ sha256: string; length: number; method: string | undefined }> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      hash.update(chunk);
      length += chunk.length;
    });
    request.on('end', () => resolve({ sha256: hash.digest('hex'), length, method: request.method }));
    request.on('close', () => {
      if (!request.complete) reject(new Error('the body broke off'));
    });
  });
}

function sendPattern(response: ServerResponse, size: number, chunked: boolean): void {
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    ...(chunked ? {} : { 'content-length': String(size) }),
  });
  const pieces = patternBody(size, 256 * 1024);
  const go = (): void => {
    for (;;) {
      const { value, done } = pieces.next();
      if (done === true) return void response.end();
      if (!response.write(value)) return void response.once('drain', go);
    }
  };
  go();
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function pairs(raw: readonly string[]): [string, string][] {
  const out: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) out.push([raw[i] ?? '', raw[i + 1] ?? '']);
  return out;
}

export function startOrigin(options: OriginOptions = {}): Promise<Origin> {
  return new Origin(options).listen(options);
}
