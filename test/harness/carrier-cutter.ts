/**
 * A TCP line between agent and relay that a test can damage: close, reset, black-hole each way alone, delay, throttle,
 * cut behind byte N or at moments drawn from a seed. Point the agent at `url` instead of the relay's own address.
 */
import { EventEmitter, once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { CarrierPipe, type LineState } from './carrier-pipe.ts';
import { seededRandom } from './random.ts';
import { DEFAULT_DEADLINE_MS, within } from './until.ts';

/** `up`: from the agent to the relay. */
export type Direction = 'up' | 'down';
/** `close`: FIN to both sides; `reset`: RST to both. */
export type CutManner = 'close' | 'reset';

export interface CutterOptions {
  readonly host?: string;
  /** Where the relay listens; asked for every new link, so that a relay may move. */
  readonly port: number | (() => number);
}

export interface RandomCuts {
  readonly seed: number;
  readonly times: number;
  /** A cut comes after so many further bytes (both directions together), drawn evenly. */
  readonly bytesBetween: readonly [number, number];
  /** Default: drawn too. */
  readonly manner?: CutManner;
}

interface Link {
  readonly agentSide: Socket;
  readonly relaySide: Socket;
  readonly pipes: Record<Direction, CarrierPipe>;
  cut: boolean;
}

interface CutterEvents {
  accepted: [];
  linked: [];
  unlinked: [];
  cut: [number];
  bytes: [];
  scheduleDone: [];
}

export class CarrierCutter {
  readonly events = new EventEmitter<CutterEvents>();
  /** Bytes forwarded so far, over all links. */
  readonly bytes: Record<Direction, number> = { up: 0, down: 0 };
  /** Links ever made, and cuts ever done. */
  linksMade = 0;
  cuts = 0;
  #options: CutterOptions;
  #server: Server;
  #links = new Set<Link>();
  #sockets = new Set<Socket>();
  #lines: Record<Direction, LineState> = { up: freshLine(), down: freshLine() };
  #limit:
    | { direction: Direction | 'any'; left: number; manner: CutManner; then?: (() => void) | undefined }
    | undefined;
  #waiting: Socket[] = [];
  #refusing = false;
  #refusals = 0;

  constructor(options: CutterOptions) {
    this.#options = options;
    this.events.setMaxListeners(0);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Dials refused so far. */
  get refusals(): number {
    return this.#refusals;
  }

  /** Links that stand just now. */
  get links(): number {
    return this.#links.size;
  }

  /** Cuts every link. Returns how many there were. */
  cut(manner: CutManner = 'reset'): number {
    const standing = [...this.#links];
    for (const link of standing) this.#cutLink(link, manner);
    if (standing.length > 0) {
      this.cuts++;
      this.events.emit('cut', this.cuts);
    }
    return standing.length;
  }

  /** Lets nothing through in this direction (or both); sockets stay open, new links are accepted and stay silent. */
  blackHole(direction: Direction | 'both' = 'both'): void {
    this.#change(direction, (line) => (line.held = true));
  }

  /** Ends a black hole: what waited is delivered, as TCP does once packets get through again. */
  heal(): void {
    this.#change('both', (line) => (line.held = false));
    for (const socket of this.#waiting.splice(0)) this.#dial(socket);
  }

  delay(ms: number, direction: Direction | 'both' = 'both'): void {
    this.#change(direction, (line) => (line.delayMs = ms));
  }

  /** Undefined takes the limit away. */
  throttle(bytesPerSecond: number | undefined, direction: Direction | 'both' = 'both'): void {
    this.#change(direction, (line) => (line.bytesPerSecond = bytesPerSecond));
  }

  /** New links are accepted and closed at once until called with false: a relay that is up and useless. */
  refuse(on: boolean): void {
    this.#refusing = on;
  }

  /** Lets exactly `bytes` more pass in this direction, then cuts. */
  cutAfter(bytes: number, direction: Direction | 'any' = 'any', manner: CutManner = 'reset'): Promise<void> {
    return new Promise((resolve) => {
      this.#limit = { direction, left: bytes, manner, then: resolve };
      if (bytes === 0) this.#reachLimit();
    });
  }

  /** Cuts again and again, each time after a drawn number of bytes. Resolves after the last cut. */
  async cutAtRandom(plan: RandomCuts): Promise<void> {
    const random = seededRandom(plan.seed);
    for (let i = 0; i < plan.times; i++) {
      const gap = random.between(plan.bytesBetween[0], plan.bytesBetween[1]);
      await this.cutAfter(gap, 'any', plan.manner ?? (random.next() < 0.5 ? 'reset' : 'close'));
    }
    this.events.emit('scheduleDone');
  }

  async untilLinked(deadlineMs = DEFAULT_DEADLINE_MS): Promise<void> {
    while (this.#links.size === 0) await within('a link through the cutter', once(this.events, 'linked'), deadlineMs);
  }

  async untilLinksMade(count: number, deadlineMs = DEFAULT_DEADLINE_MS): Promise<void> {
    while (this.linksMade < count)
      await within(`${count} links (${this.linksMade} so far)`, once(this.events, 'linked'), deadlineMs);
  }

  async untilUnlinked(deadlineMs = DEFAULT_DEADLINE_MS): Promise<void> {
    while (this.#links.size > 0) await within('no link through the cutter', once(this.events, 'unlinked'), deadlineMs);
  }

  /** Waits until so many bytes have passed in this direction since the start. */
  async untilBytes(direction: Direction, count: number, deadlineMs = DEFAULT_DEADLINE_MS): Promise<void> {
    const passed = new Promise<void>((resolve) => {
      const look = (): void => {
        if (this.bytes[direction] < count) return;
        this.events.off('bytes', look);
        resolve();
      };
      this.events.on('bytes', look);
      look();
    });
    await within(`${count} bytes ${direction}`, passed, deadlineMs);
  }

  async close(): Promise<void> {
    this.#limit = undefined;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const link of this.#links) this.#cutLink(link, 'reset');
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.events.removeAllListeners();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(socket: Socket): void {
    this.#own(socket);
    this.events.emit('accepted');
    if (this.#refusing) {
      this.#refusals += 1;
      socket.destroy();
      return;
    }
    if (this.#lines.up.held || this.#lines.down.held) this.#waiting.push(socket);
    else this.#dial(socket);
  }

  #dial(agentSide: Socket): void {
    if (agentSide.destroyed) return;
    const port = typeof this.#options.port === 'function' ? this.#options.port() : this.#options.port;
    const relaySide = connect({ host: this.#options.host ?? '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
    this.#own(relaySide);
    const fail = (): void => void agentSide.resetAndDestroy();
    relaySide.once('error', fail);
    relaySide.once('connect', () => {
      relaySide.off('error', fail);
      this.#link(agentSide, relaySide);
    });
  }

  #link(agentSide: Socket, relaySide: Socket): void {
    if (agentSide.destroyed) {
      relaySide.destroy();
      return;
    }
    const link: Link = {
      agentSide,
      relaySide,
      pipes: {
        up: new CarrierPipe(agentSide, relaySide, this.#lines.up, (size) => this.#admit('up', size)),
        down: new CarrierPipe(relaySide, agentSide, this.#lines.down, (size) => this.#admit('down', size)),
      },
      cut: false,
    };
    this.#links.add(link);
    for (const [one, other] of [
      [agentSide, relaySide],
      [relaySide, agentSide],
    ] as const) {
      one.once('close', () => this.#sideClosed(link, one, other));
    }
    link.pipes.up.update();
    link.pipes.down.update();
    this.linksMade++;
    this.events.emit('linked');
  }

  #sideClosed(link: Link, one: Socket, other: Socket): void {
    if (!link.cut && !other.destroyed && !one.readableEnded) other.resetAndDestroy();
    if (!one.destroyed || !other.destroyed) return;
    this.#forget(link);
  }

  #forget(link: Link): void {
    link.pipes.up.stop();
    link.pipes.down.stop();
    if (this.#links.delete(link)) this.events.emit('unlinked');
  }

  #admit(direction: Direction, size: number): number {
    let allowed = size;
    const limit = this.#limit;
    if (limit !== undefined && (limit.direction === 'any' || limit.direction === direction)) {
      allowed = Math.min(size, limit.left);
      limit.left -= allowed;
      if (limit.left === 0) queueMicrotask(() => this.#reachLimit());
    }
    this.bytes[direction] += allowed;
    this.events.emit('bytes');
    return allowed;
  }

  #reachLimit(): void {
    const limit = this.#limit;
    if (limit === undefined) return;
    this.#limit = undefined;
    this.cut(limit.manner);
    limit.then?.();
  }

  #cutLink(link: Link, manner: CutManner): void {
    link.cut = true;
    this.#forget(link);
    for (const socket of [link.agentSide, link.relaySide]) {
      if (manner === 'close') {
        // Whatever still comes is read and dropped: closing over unread bytes would send RST, not FIN.
        socket.resume();
        socket.end();
        socket.once('end', () => socket.destroy());
        continue;
      }
      socket.resetAndDestroy();
    }
  }

  #change(direction: Direction | 'both', apply: (line: LineState) => void): void {
    if (direction !== 'down') apply(this.#lines.up);
    if (direction !== 'up') apply(this.#lines.down);
    for (const link of this.#links) {
      link.pipes.up.update();
      link.pipes.down.update();
    }
  }

  #own(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}

export function startCarrierCutter(options: CutterOptions): Promise<CarrierCutter> {
  return new CarrierCutter(options).start();
}

function freshLine(): LineState {
  return { held: false, delayMs: 0, bytesPerSecond: undefined, freeAt: 0 };
}
