/** An HTTP/2 visitor who writes frames and looks at frames, without any library between: for floods, and for what exactly was sent. */
import { once } from 'node:events';
import * as net from 'node:net';

export const FRAME = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const END_STREAM = 1;
export const END_HEADERS = 4;
const ACK = 1;

export interface H2Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

export class RawH2Visitor {
  readonly socket: net.Socket;
  readonly frames: H2Frame[] = [];
  closed = false;
  #rest: Buffer = Buffer.alloc(0);
  #watchers: (() => void)[] = [];

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#changed();
    });
  }

  /** With the preface and empty settings sent. */
  static async dial(port: number): Promise<RawH2Visitor> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const visitor = new RawH2Visitor(socket);
    socket.write(PREFACE, 'latin1');
    visitor.send(FRAME.settings, 0, 0);
    return visitor;
  }

  send(type: number, flags: number, id: number, payload: Buffer = Buffer.alloc(0)): boolean {
    return this.socket.write(frameOf(type, flags, id, payload));
  }

  /** A GET unless the fields say otherwise. */
  request(id: number, fields: Record<string, string>, flags = END_STREAM): void {
    this.send(FRAME.headers, END_HEADERS | flags, id, fieldBlock(fields));
  }

  of(type: number, id?: number): H2Frame[] {
    return this.frames.filter((frame) => frame.type === type && (id === undefined || frame.id === id));
  }

  async until(isMet: () => boolean): Promise<void> {
    while (!isMet()) {
      if (this.closed) throw new Error(`closed with frames ${this.frames.map((frame) => frame.type).join(' ')}`);
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  async untilClosed(): Promise<void> {
    while (!this.closed) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      if (this.#rest.length < 9) break;
      const length = this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < 9 + length) break;
      const frame: H2Frame = {
        type: this.#rest[3] ?? 0,
        flags: this.#rest[4] ?? 0,
        id: this.#rest.readUInt32BE(5) & 0x7fff_ffff,
        payload: this.#rest.subarray(9, 9 + length),
      };
      this.#rest = this.#rest.subarray(9 + length);
      this.frames.push(frame);
      if (frame.type === FRAME.settings && (frame.flags & ACK) === 0) this.send(FRAME.settings, ACK, 0);
    }
    this.#changed();
  }

  #changed(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}

export function frameOf(type: number, flags: number, id: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

/** Literal fields without indexing and without Huffman coding (RFC 7541 section 6.2.2): every byte as given. */
export function fieldBlock(fields: Record<string, string>): Buffer {
  const all = { ':method': 'GET', ':scheme': 'http', ':path': '/', ...fields };
  const pieces = Object.entries(all).flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]);
  return Buffer.concat(pieces);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length = [127];
  let left = bytes.length - 127;
  for (; left >= 128; left = Math.floor(left / 128)) length.push((left % 128) + 128);
  return Buffer.concat([Buffer.from([...length, left]), bytes]);
}

export function rstPayload(code: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return payload;
}
