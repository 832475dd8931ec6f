/**
 * The agents' door spoken to by hand: an upgrade, then frames written and read by a few lines of its own that share
 * nothing with the code under test. Layouts as in docs/protocol.md.
 */
import { randomBytes } from 'node:crypto';
import { connectSecurely } from './tls-visitor.ts';
import { connectWire, Wire } from './wire.ts';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export const CHALLENGE = 0x48;
export const HELLO = 0x49;
export const WELCOME = 0x4a;
export const REFUSED = 0x4b;
export const CLOSE = 0x44;
export const MESSAGE = 0x07;
export const OPEN = 0x01;
export const HEAD = 0x02;
export const RESET = 0x05;
export const PING = 0x42;
export const PONG = 0x43;

export function frame(type: number, payload: Buffer | string, stream = 0, flags = 0): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'utf8') : payload;
  const head = Buffer.alloc(8);
  head.writeUInt8(type, 0);
  head.writeUInt8(flags, 1);
  head.writeUInt16BE(body.length, 2);
  head.writeUInt32BE(stream, 4);
  return Buffer.concat([head, body]);
}

export class RawCarrier {
  readonly wire: Wire;
  readonly session = randomBytes(16).toString('base64url');

  constructor(wire: Wire) {
    this.wire = wire;
  }

  send(type: number, payload: Buffer | string, stream = 0, flags = 0): Promise<void> {
    return this.wire.send(frame(type, payload, stream, flags));
  }

  async next(deadlineMs?: number): Promise<Frame> {
    const head = await this.wire.readBytes(8, deadlineMs);
    const payload = await this.wire.readBytes(head.readUInt16BE(2), deadlineMs);
    return {
      type: head.readUInt8(0),
      flags: head.readUInt8(1),
      stream: head.readUInt32BE(4),
      payload: Buffer.from(payload),
    };
  }

  /** The next frame of this type; others are dropped. */
  async nextOf(type: number, deadlineMs?: number): Promise<Frame> {
    for (;;) {
      const seen = await this.next(deadlineMs);
      if (seen.type === type) return seen;
    }
  }

  hello(token: string, more: Record<string, unknown> = {}): Record<string, unknown> {
    return {
      mode: 'create',
      version: 1,
      session: this.session,
      random: randomBytes(32).toString('base64url'),
      software: 'by hand',
      token,
      ...more,
    };
  }

  /** The whole handshake. */
  async logIn(token: string): Promise<void> {
    await this.nextOf(CHALLENGE);
    await this.send(HELLO, JSON.stringify(this.hello(token)));
    await this.nextOf(WELCOME);
  }

  /** Claims a name and returns the public URL. */
  async claim(name: string, id = 1): Promise<string> {
    await this.send(MESSAGE, JSON.stringify({ type: 'claim', id, protocol: 'http', name }));
    for (;;) {
      const { payload } = await this.nextOf(MESSAGE);
      const message = JSON.parse(payload.toString()) as { type: string; id: number; url: string };
      if (message.id !== id) continue;
      if (message.type !== 'claimed') throw new Error(payload.toString());
      return message.url;
    }
  }

  close(): Promise<void> {
    return this.wire.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.wire.close();
  }
}

/** Dials and upgrades. The relay's challenge is still unread. */
export async function dialCarrier(port: number): Promise<RawCarrier> {
  return await upgrade(await connectWire({ host: '127.0.0.1', port }), `127.0.0.1:${port}`);
}

/** The same over TLS. `ca`: whom to trust, PEM. */
export async function dialSecureCarrier(port: number, ca: string): Promise<RawCarrier> {
  return await upgrade(new Wire(await connectSecurely({ port, servername: 'localhost', ca })), `localhost:${port}`);
}

async function upgrade(wire: Wire, host: string): Promise<RawCarrier> {
  await wire.send(
    `GET /.well-known/porthole HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: porthole\r\n\r\n`,
  );
  const head = (await wire.readUntil('\r\n\r\n')).toString('latin1');
  if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(`no carrier: ${head}`);
  return new RawCarrier(wire);
}
