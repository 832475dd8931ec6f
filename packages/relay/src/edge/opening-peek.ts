/**
 * Looks at what a connection begins with, a PROXY protocol header and a ClientHello, without keeping any of it: what
 * was read is put back, so that TLS or a tunnel finds the connection untouched. Bounded in bytes and time.
 */
import type * as net from 'node:net';
import { type ClientHello, type ClientHelloFaultKind, ClientHelloReader } from '../tls/client-hello.ts';
import { type ProxyHeader, type ProxyHeaderFaultKind, ProxyHeaderReader } from '../tls/proxy-protocol.ts';

export interface PeekSettings {
  /** The load balancer in front says first who the visitor is. */
  readonly proxyHeader: boolean;
  /** For all of it, in milliseconds. */
  readonly timeoutMs: number;
}

export type PeekOutcome =
  | { readonly state: 'hello'; readonly hello: ClientHello; readonly proxy: ProxyHeader | undefined }
  | { readonly state: 'not tls'; readonly fault: ClientHelloFaultKind; readonly first: number | undefined }
  | { readonly state: 'bad proxy header'; readonly fault: ProxyHeaderFaultKind }
  /** Too late, or the visitor has left. */
  | { readonly state: 'gone'; readonly late: boolean };

/** `done` is called once, never from within this call. Nothing must have been read of the socket. */
export function peekOpening(socket: net.Socket, settings: PeekSettings, done: (outcome: PeekOutcome) => void): void {
  new OpeningPeek(socket, settings, done).start();
}

class OpeningPeek {
  readonly #socket: net.Socket;
  readonly #settings: PeekSettings;
  readonly #done: (outcome: PeekOutcome) => void;
  readonly #hello = new ClientHelloReader();
  #proxyReader: ProxyHeaderReader | undefined;
  #proxy: ProxyHeader | undefined;
  #first: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #onReadable = (): void => this.#read();
  readonly #onGone = (): void => this.#finish({ state: 'gone', late: false });

  constructor(socket: net.Socket, settings: PeekSettings, done: (outcome: PeekOutcome) => void) {
    this.#socket = socket;
    this.#settings = settings;
    this.#done = done;
    this.#proxyReader = settings.proxyHeader ? new ProxyHeaderReader() : undefined;
  }

  start(): void {
    this.#timer = setTimeout(() => this.#finish({ state: 'gone', late: true }), this.#settings.timeoutMs);
    this.#socket.on('readable', this.#onReadable).once('end', this.#onGone).once('close', this.#onGone);
  }

  #read(): void {
    for (;;) {
      const chunk = this.#socket.read() as Buffer | null;
      if (chunk === null) return;
      const outcome = this.#look(chunk);
      if (outcome === undefined) continue;
      this.#finish(outcome);
      return;
    }
  }

  #look(chunk: Buffer): PeekOutcome | undefined {
    let bytes = chunk;
    if (this.#proxyReader !== undefined) {
      const result = this.#proxyReader.push(chunk);
      if (result.state === 'needMore') return undefined;
      if (result.state === 'fault') return { state: 'bad proxy header', fault: result.fault };
      bytes = this.#proxyReader.bytes().subarray(result.length);
      this.#proxy = result.header;
      this.#proxyReader = undefined;
      if (bytes.length === 0) return undefined;
    }
    this.#first ??= bytes[0];
    const result = this.#hello.push(bytes);
    if (result.state === 'needMore') return undefined;
    if (result.state === 'fault') return { state: 'not tls', fault: result.fault, first: this.#first };
    return { state: 'hello', hello: result.hello, proxy: this.#proxy };
  }

  #finish(outcome: PeekOutcome): void {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket.off('readable', this.#onReadable).off('end', this.#onGone).off('close', this.#onGone);
    if (outcome.state === 'hello' || outcome.state === 'not tls') {
      const bytes = this.#hello.bytes();
      if (bytes.length > 0) socket.unshift(bytes);
    }
    this.#done(outcome);
  }
}

/** From here on the socket says it comes from where the load balancer says; everything behind reads it there. */
export function standFor(socket: net.Socket, { source }: ProxyHeader): void {
  if (source === undefined) return;
  Object.defineProperty(socket, 'remoteAddress', { value: source.address });
  Object.defineProperty(socket, 'remotePort', { value: source.port });
}
