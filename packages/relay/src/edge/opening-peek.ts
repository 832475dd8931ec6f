/**
 * Looks at the ClientHello a connection begins with, without keeping any of it: what was read is put back, so that TLS
 * or a tunnel finds the connection untouched. Bounded in bytes and time.
 */
import type * as net from 'node:net';
import { type ClientHello, type ClientHelloFaultKind, ClientHelloReader } from '../tls/client-hello.ts';

export type PeekOutcome =
  | { readonly state: 'hello'; readonly hello: ClientHello }
  | { readonly state: 'not tls'; readonly fault: ClientHelloFaultKind; readonly first: number | undefined }
  /** Too late, or the visitor has left. */
  | { readonly state: 'gone'; readonly late: boolean };

/** `done` is called once, never from within this call. Nothing must have been read of the socket. `timeoutMs`: for all of it. */
export function peekOpening(socket: net.Socket, timeoutMs: number, done: (outcome: PeekOutcome) => void): void {
  new OpeningPeek(socket, timeoutMs, done).start();
}

class OpeningPeek {
  readonly #socket: net.Socket;
  readonly #timeoutMs: number;
  readonly #done: (outcome: PeekOutcome) => void;
  readonly #hello = new ClientHelloReader();
  #first: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #onReadable = (): void => this.#read();
  readonly #onGone = (): void => this.#finish({ state: 'gone', late: false });

  constructor(socket: net.Socket, timeoutMs: number, done: (outcome: PeekOutcome) => void) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#done = done;
  }

  start(): void {
    this.#timer = setTimeout(() => this.#finish({ state: 'gone', late: true }), this.#timeoutMs);
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
    this.#first ??= chunk[0];
    const result = this.#hello.push(chunk);
    if (result.state === 'needMore') return undefined;
    if (result.state === 'fault') return { state: 'not tls', fault: result.fault, first: this.#first };
    return { state: 'hello', hello: result.hello };
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
