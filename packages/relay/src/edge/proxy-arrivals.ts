/**
 * Connections of load balancers that say first who the visitor is, in a PROXY protocol header: it is read and taken off
 * before a door sees them, and everything behind finds the visitor's address on the socket. Bounded in bytes, number and time.
 */
import type * as net from 'node:net';
import type { Log } from '../observe/log.ts';
import { type ProxyHeader, type ProxyHeaderFaultKind, ProxyHeaderReader } from '../tls/proxy-protocol.ts';
import type { TlsCounters } from './tls-counters.ts';
import { plainAddress, type TrustedAddresses } from './trusted-addresses.ts';

export interface ProxyArrivalsOptions {
  /** Load balancers whose connections begin with a header. Everybody else's are left alone. */
  readonly from: TrustedAddresses;
  readonly log: Log;
  readonly counters: Pick<TlsCounters, 'badProxyHeadersTotal'>;
  /** For the header, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 5_000;
const COMPLAINT_EVERY_MS = 10_000;
/** Of which the header is awaited; past it the one that has taken longest goes. */
const MAX_AWAITED = 4_096;

export class ProxyArrivals {
  readonly #options: ProxyArrivalsOptions;
  readonly #awaited = new Set<net.Socket>();
  #nextComplaintAt = 0;

  constructor(options: ProxyArrivalsOptions) {
    this.#options = options;
  }

  expects(socket: net.Socket): boolean {
    return this.#options.from.has(plainAddress(socket.remoteAddress));
  }

  /** Calls `accept` now, or once the header is off, or never. Nothing must have been read of the socket. */
  take(socket: net.Socket, accept: (socket: net.Socket) => void): void {
    if (!this.expects(socket)) {
      accept(socket);
      return;
    }
    const [oldest] = this.#awaited;
    if (this.#awaited.size >= MAX_AWAITED) oldest?.destroy();
    this.#awaited.add(socket);
    const reader = new ProxyHeaderReader();
    const leave = (): void => {
      clearTimeout(timer);
      this.#awaited.delete(socket);
      socket.off('readable', onReadable).off('end', onGone).off('close', onGone).off('error', onGone);
    };
    const onGone = (): void => {
      leave();
      socket.destroy();
    };
    const onReadable = (): void => {
      const chunk = socket.read() as Buffer | null;
      const result = chunk === null ? undefined : reader.push(chunk);
      if (result === undefined || result.state === 'needMore') return;
      leave();
      if (result.state === 'fault') {
        this.#complain(socket, result.fault);
        socket.on('error', () => undefined).destroy();
        return;
      }
      const rest = reader.bytes().subarray(result.length);
      if (rest.length > 0) socket.unshift(rest);
      standFor(socket, result.header);
      accept(socket);
    };
    const timer = setTimeout(onGone, this.#options.timeoutMs ?? TIMEOUT_MS);
    socket.on('readable', onReadable).once('end', onGone).once('close', onGone).once('error', onGone);
  }

  /** Those whose header is awaited are let go. */
  close(): void {
    for (const socket of this.#awaited) socket.destroy();
  }

  /** A load balancer set up wrongly does this with every connection: a line now and then says it all. */
  #complain(socket: net.Socket, fault: ProxyHeaderFaultKind): void {
    const { counters, log } = this.#options;
    counters.badProxyHeadersTotal += 1;
    const now = performance.now();
    if (now < this.#nextComplaintAt) return;
    this.#nextComplaintAt = now + COMPLAINT_EVERY_MS;
    const from = plainAddress(socket.remoteAddress);
    log.warn({
      event: 'bad proxy header',
      code: 'BAD_PROXY_HEADER',
      fault,
      from,
      total: counters.badProxyHeadersTotal,
    });
  }
}

/** From here on the socket says what the load balancer says of it: where it comes from, where it was to go. */
function standFor(socket: net.Socket, { source, destination }: ProxyHeader): void {
  if (source === undefined) return;
  Object.defineProperty(socket, 'remoteAddress', { value: source.address });
  Object.defineProperty(socket, 'remotePort', { value: source.port });
  if (destination === undefined) return;
  Object.defineProperty(socket, 'localAddress', { value: destination.address });
  Object.defineProperty(socket, 'localPort', { value: destination.port });
}
