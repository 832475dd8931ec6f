/** The sockets of the DNS responder: UDP and TCP on one port, each bounded, so that garbage and floods cost little. */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from 'node:net';
import { DnsRateLimit, type DnsRateLimitOptions } from './dns-rate-limit.ts';
import { type DnsResponder, MAX_QUERY_BYTES } from './dns-responder.ts';

export interface DnsListenerOptions {
  readonly responder: DnsResponder;
  readonly host: string;
  /** 53 in earnest; 0 for any free one. */
  readonly port: number;
  readonly rateLimit?: DnsRateLimitOptions;
  /** Default 64; more are closed at once. */
  readonly maxTcpSockets?: number;
  /** A TCP socket that says nothing for so long is closed. Default 5,000. */
  readonly tcpIdleMs?: number;
}

export interface DnsCounts {
  answered: number;
  truncated: number;
  dropped: number;
}

/** Questions over UDP being looked up at one time; more are dropped, as the network may drop them too. */
const MAX_PENDING = 256;
/** Responses a TCP asker may leave unread. */
const MAX_UNREAD_BYTES = 64 * 1024;

export class DnsListener {
  readonly counts: DnsCounts = { answered: 0, truncated: 0, dropped: 0 };
  readonly #options: DnsListenerOptions;
  readonly #rateLimit: DnsRateLimit;
  readonly #sockets = new Set<Socket>();
  #udp: UdpSocket | undefined;
  #tcp: Server | undefined;
  #pending = 0;

  constructor(options: DnsListenerOptions) {
    this.#options = options;
    this.#rateLimit = new DnsRateLimit(options.rateLimit);
  }

  get port(): number {
    return this.#udp?.address().port ?? 0;
  }

  /** Rejects with the error of the system when the port cannot be had for both. */
  async start(): Promise<void> {
    // With port 0 the free TCP port may be taken for UDP: then another one.
    for (let tries = this.#options.port === 0 ? 10 : 1; ; tries--) {
      try {
        const port = await this.#listenTcp();
        await this.#listenUdp(port);
        return;
      } catch (error) {
        await this.close();
        if (tries <= 1) throw error;
      }
    }
  }

  async close(): Promise<void> {
    const [udp, tcp] = [this.#udp, this.#tcp];
    this.#udp = undefined;
    this.#tcp = undefined;
    for (const socket of this.#sockets) socket.destroy();
    const closed = tcp?.listening === true ? once(tcp, 'close') : undefined;
    tcp?.close();
    await closed;
    if (udp !== undefined) await new Promise<void>((resolve) => udp.close(() => resolve()));
  }

  async #listenTcp(): Promise<number> {
    const server = createServer((socket) => this.#serveTcp(socket));
    this.#tcp = server;
    server.listen(this.#options.port, this.#options.host);
    await once(server, 'listening');
    server.on('error', () => undefined);
    return (server.address() as AddressInfo).port;
  }

  async #listenUdp(port: number): Promise<void> {
    const socket = createSocket(isIPv6(this.#options.host) ? 'udp6' : 'udp4');
    try {
      socket.bind(port, this.#options.host);
      await once(socket, 'listening');
    } catch (error) {
      socket.close();
      throw error;
    }
    socket.on('error', () => undefined);
    socket.on('message', (bytes, from) => void this.#serveUdp(socket, bytes, from));
    this.#udp = socket;
  }

  async #serveUdp(socket: UdpSocket, bytes: Buffer, from: RemoteInfo): Promise<void> {
    const decision = this.#rateLimit.decide(from.address);
    if (decision === 'drop' || this.#pending >= MAX_PENDING) {
      this.counts.dropped++;
      return;
    }
    this.#pending++;
    const { responder } = this.#options;
    const answer = decision === 'truncate' ? responder.truncated(bytes) : await responder.answer(bytes, 'udp');
    this.#pending--;
    this.#count(answer, decision === 'truncate');
    if (answer !== undefined && socket === this.#udp) socket.send(answer, from.port, from.address, () => undefined);
  }

  #count(answer: Buffer | undefined, truncated: boolean): void {
    if (answer === undefined) this.counts.dropped++;
    else if (truncated) this.counts.truncated++;
    else this.counts.answered++;
  }

  #serveTcp(socket: Socket): void {
    if (this.#sockets.size >= (this.#options.maxTcpSockets ?? 64)) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.setTimeout(this.#options.tcpIdleMs ?? 5000, () => socket.destroy());
    void this.#answerTcp(socket);
  }

  /** One question after the other, each behind its two bytes of length (RFC 1035 section 4.2.2). */
  async #answerTcp(socket: Socket): Promise<void> {
    let buffered: Buffer = Buffer.alloc(0);
    try {
      for await (const chunk of socket) {
        buffered = Buffer.concat([buffered, chunk as Buffer]);
        for (let query = nextQuery(buffered); query !== undefined; query = nextQuery(buffered)) {
          buffered = buffered.subarray(2 + query.length);
          const answer = await this.#options.responder.answer(query, 'tcp');
          this.#count(answer, false);
          if (answer === undefined || socket.writableLength > MAX_UNREAD_BYTES) return;
          const length = Buffer.from([answer.length >> 8, answer.length & 255]);
          socket.write(Buffer.concat([length, answer]));
        }
        if (buffered.length >= 2 && buffered.readUInt16BE(0) > MAX_QUERY_BYTES) return;
      }
      socket.end();
    } catch {
      // The asker has gone.
    } finally {
      if (!socket.writableEnded) socket.destroy();
    }
  }
}

function nextQuery(buffered: Buffer): Buffer | undefined {
  if (buffered.length < 2) return undefined;
  const end = 2 + buffered.readUInt16BE(0);
  return end - 2 <= MAX_QUERY_BYTES && buffered.length >= end ? buffered.subarray(2, end) : undefined;
}
