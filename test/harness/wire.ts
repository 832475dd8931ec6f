/**
 * One raw socket in a test, visitor's or origin's: sends exact bytes, collects exact bytes, and lets the test wait for
 * what arrives. Nothing is interpreted.
 */
import { once } from 'node:events';
import { type NetConnectOpts, type Socket, connect } from 'node:net';
import { DEFAULT_DEADLINE_MS } from './until.ts';

type Waiter = { readonly ready: () => boolean; readonly resolve: () => void; readonly reject: (error: Error) => void };

export class Wire {
  readonly socket: Socket;
  /** Everything received and not yet read by the test. */
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #waiters = new Set<Waiter>();
  receivedBytes = 0;
  /** The other side has sent its FIN. */
  ended = false;
  closed = false;
  error: NodeJS.ErrnoException | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#unread.push(chunk);
      this.#unreadBytes += chunk.length;
      this.receivedBytes += chunk.length;
      this.#wake();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error;
    });
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** True when the reset flag of TCP, not an orderly end, finished this socket. */
  get wasReset(): boolean {
    return this.error?.code === 'ECONNRESET' || this.error?.code === 'EPIPE';
  }

  get unreadBytes(): number {
    return this.#unreadBytes;
  }

  /** Sends text as latin1 (one char is one byte) or bytes; resolves once the kernel has them. */
  send(data: string | Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Sends one byte per packet as far as the kernel allows: each write waits for the one before. */
  async sendSplit(data: string | Buffer, every = 1): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    for (let at = 0; at < bytes.length; at += every) {
      await this.send(bytes.subarray(at, at + every));
      await new Promise(setImmediate);
    }
  }

  end(): void {
    this.socket.end();
  }

  /** Ends with TCP's reset. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Stops reading: the kernel's buffers fill and the other side has to wait. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** What has arrived and was not read yet; consumes nothing. */
  peek(): Buffer {
    if (this.#unread.length > 1) this.#unread = [Buffer.concat(this.#unread)];
    return this.#unread[0] ?? Buffer.alloc(0);
  }

  /** Consumes what has arrived. */
  take(length = this.#unreadBytes): Buffer {
    const all = this.peek();
    this.#unread = length < all.length ? [all.subarray(length)] : [];
    this.#unreadBytes = Math.max(0, all.length - length);
    return all.subarray(0, length);
  }

  /** Consumes up to and including `mark` (latin1). */
  async readUntil(mark: string, deadlineMs = DEFAULT_DEADLINE_MS): Promise<Buffer> {
    const needle = Buffer.from(mark, 'latin1');
    await this.#wait(`bytes up to ${JSON.stringify(mark)}`, () => this.peek().includes(needle), deadlineMs);
    return this.take(this.peek().indexOf(needle) + needle.length);
  }

  async readBytes(length: number, deadlineMs = DEFAULT_DEADLINE_MS): Promise<Buffer> {
    await this.#wait(`${length} bytes`, () => this.#unreadBytes >= length, deadlineMs);
    return this.take(length);
  }

  /** Consumes everything up to the other side's FIN or the socket's end. */
  async readToEnd(deadlineMs = DEFAULT_DEADLINE_MS): Promise<Buffer> {
    await this.#wait('the end', () => this.ended, deadlineMs, true);
    return this.take();
  }

  async untilEnded(deadlineMs = DEFAULT_DEADLINE_MS): Promise<void> {
    await this.#wait('the end', () => this.ended, deadlineMs, true);
  }

  async untilClosed(deadlineMs = DEFAULT_DEADLINE_MS): Promise<void> {
    await this.#wait('the close', () => this.closed, deadlineMs, true);
  }

  /** Waits until at least `length` bytes have come in all. */
  async untilReceived(length: number, deadlineMs = DEFAULT_DEADLINE_MS): Promise<void> {
    await this.#wait(`${length} bytes in all`, () => this.receivedBytes >= length, deadlineMs);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    const gone = once(this.socket, 'close');
    this.socket.destroy();
    await gone;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #wait(what: string, ready: () => boolean, deadlineMs: number, closeCounts = false): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): boolean => ready() || (closeCounts && this.closed);
      const failure = (why: string): Error =>
        new Error(`waited for ${what}, but ${why}; unread: ${this.#excerpt()}`, { cause: this.error });
      if (done()) return resolve();
      if (this.closed) return reject(failure('the socket is closed'));
      const finish = (act: () => void): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        act();
      };
      const timer = setTimeout(() => finish(() => reject(failure(`not within ${deadlineMs} ms`))), deadlineMs);
      const waiter: Waiter = {
        ready: () => done() || this.closed,
        resolve: () => finish(() => (done() ? resolve() : reject(failure(this.error?.message ?? 'the socket closed')))),
        reject: (error) => finish(() => reject(error)),
      };
      this.#waiters.add(waiter);
    });
  }

  #wake(): void {
    for (const waiter of this.#waiters) if (waiter.ready()) waiter.resolve();
  }

  #excerpt(): string {
    return JSON.stringify(this.peek().subarray(0, 400).toString('latin1'));
  }
}

/** Connects a raw socket that keeps half-close. */
export async function connectWire(to: NetConnectOpts): Promise<Wire> {
  const socket = connect({ allowHalfOpen: true, ...to } as NetConnectOpts);
  const wire = new Wire(socket);
  await once(socket, 'connect');
  return wire;
}
