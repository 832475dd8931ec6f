/** The visitors' doors on real sockets with fakes behind them, and a visitor who speaks bytes. */
import * as net from 'node:net';
import { DEFAULT_HEAD_LIMITS } from '@porthole/protocol/http1';
import { TurnQueue } from '@porthole/protocol/node';
import { newEdgeCounters } from '../../packages/relay/src/edge/counters.ts';
import type { DoorParts } from '../../packages/relay/src/edge/door-parts.ts';
import { DEFAULT_TIMEOUTS } from '../../packages/relay/src/edge/edge-parts.ts';
import { HttpDoor } from '../../packages/relay/src/edge/http-door.ts';
import { OwnHosts } from '../../packages/relay/src/edge/own-hosts.ts';
import { ResponseHeads } from '../../packages/relay/src/edge/sound-response.ts';
import { Ticker } from '../../packages/relay/src/edge/ticker.ts';
import { TrustedAddresses } from '../../packages/relay/src/edge/trusted-addresses.ts';
import { VisitorLimits } from '../../packages/relay/src/edge/visitor-limits.ts';
import type {
  Address,
  Claim,
  ClaimOutcome,
  PortTraits,
  Resolution,
  RouteRegistry,
  Waiting,
} from '../../packages/relay/src/routing/registry.ts';
import { FakeTarget } from './fake-target.ts';

const UNKNOWN: Resolution = { state: 'unknown' };

export class FakeRegistry implements RouteRegistry {
  readonly hosts = new Map<string, Resolution>();
  readonly ports = new Map<number, Resolution>();
  maxWaiting = 10;
  /** Visitors waiting now, and how to let them go on. */
  readonly waiting = new Set<(resolution: Resolution) => void>();
  cancelled = 0;
  #watchers: (() => void)[] = [];

  claim(_claim: Claim): ClaimOutcome {
    throw new Error('not part of the fake');
  }

  resolveHost(host: string): Resolution {
    return this.hosts.get(host) ?? UNKNOWN;
  }

  ownerOf(): string | undefined {
    return undefined;
  }

  clientCaOf(): string | undefined {
    return undefined;
  }

  isRaw(): boolean {
    return false;
  }

  portTraits(): PortTraits | undefined {
    return undefined;
  }

  resolvePort(port: number): Resolution {
    return this.ports.get(port) ?? UNKNOWN;
  }

  wait(_address: Address, _timeoutMs: number): Waiting | undefined {
    if (this.waiting.size >= this.maxWaiting) return undefined;
    const { promise, resolve } = Promise.withResolvers<Resolution>();
    this.waiting.add(resolve);
    this.#changed();
    const cancel = (): void => {
      if (!this.waiting.delete(resolve)) return;
      this.cancelled += 1;
      this.#changed();
    };
    return { done: promise, cancel };
  }

  goOn(resolution: Resolution): void {
    for (const resolve of this.waiting) resolve(resolution);
    this.waiting.clear();
  }

  async until(isMet: () => boolean): Promise<void> {
    while (!isMet()) await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }

  #changed(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}

export interface FixtureOptions extends Partial<Omit<DoorParts, 'timeouts' | 'limits'>> {
  readonly timeouts?: Partial<DoorParts['timeouts']>;
  readonly maxConnections?: number;
  readonly maxPerAddress?: number;
}

function rethrow(error: unknown): never {
  throw error;
}

export function fixtureParts(options: FixtureOptions, registry: FakeRegistry): DoorParts {
  const trusted = options.trusted ?? new TrustedAddresses([]);
  return {
    registry,
    turns: new TurnQueue(options.reportBug ?? rethrow),
    heads: new ResponseHeads(),
    ticker: new Ticker(5),
    counters: newEdgeCounters(),
    trusted,
    headLimits: DEFAULT_HEAD_LIMITS,
    ownHosts: new OwnHosts(['tunnel.test']),
    viaName: 'relay-under-test',
    agentUpgrade: undefined,
    reportBug: rethrow,
    acceptFailed: rethrow,
    ...options,
    limits: new VisitorLimits(options.maxConnections ?? 1000, options.maxPerAddress ?? 1000, trusted),
    timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
  };
}

/** An HTTP door with one tunnel, `a.test`, that leads to a fake target. */
export class DoorFixture {
  readonly registry = new FakeRegistry();
  readonly target = new FakeTarget();
  readonly parts: DoorParts;
  readonly door: HttpDoor;
  port = 0;
  readonly #visitors: RawVisitor[] = [];

  constructor(options: FixtureOptions = {}) {
    this.registry.hosts.set('a.test', { state: 'ready', target: this.target });
    this.parts = fixtureParts(options, this.registry);
    this.door = new HttpDoor(this.parts);
  }

  static async start(options: FixtureOptions = {}): Promise<DoorFixture> {
    const fixture = new DoorFixture(options);
    fixture.port = (await fixture.door.start({ host: '127.0.0.1', port: 0 })).port;
    return fixture;
  }

  async dial(): Promise<RawVisitor> {
    const visitor = await RawVisitor.dial(this.port);
    this.#visitors.push(visitor);
    return visitor;
  }

  /** Fails when something is left that should have gone with the visitors. */
  async close(): Promise<void> {
    for (const visitor of this.#visitors) visitor.socket.destroy();
    await this.door.close();
    const { visitorsOpen, exchangesOpen, upgradedOpen, waitingOpen } = this.parts.counters;
    const left = { visitorsOpen, exchangesOpen, upgradedOpen, waitingOpen };
    if (Object.values(left).some((count) => count !== 0)) throw new Error(`left over: ${JSON.stringify(left)}`);
  }
}

/** A visitor who writes bytes and looks at bytes. */
export class RawVisitor {
  readonly socket: net.Socket;
  received = '';
  /** How it ended: the other side's FIN, or a reset. */
  ended = false;
  error: NodeJS.ErrnoException | undefined;
  closed = false;
  #watchers: (() => void)[] = [];

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#changed();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#changed();
    });
    socket.on('error', (error) => {
      this.error = error;
    });
    socket.on('close', () => {
      this.closed = true;
      this.#changed();
    });
  }

  static async dial(port: number): Promise<RawVisitor> {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const visitor = new RawVisitor(socket);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return visitor;
  }

  send(...lines: string[]): void {
    this.socket.write(lines.join('\r\n'), 'latin1');
  }

  /** Waits for the condition; fails when the connection closes without it. */
  async until(isMet: () => boolean): Promise<void> {
    while (!isMet()) {
      if (this.closed) throw new Error(`closed with: ${this.received}`);
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  async untilText(text: string): Promise<string> {
    await this.until(() => this.received.includes(text));
    return this.received;
  }

  async untilEnd(): Promise<string> {
    await this.until(() => this.ended);
    return this.received;
  }

  async untilClosed(): Promise<void> {
    await this.until(() => this.closed);
  }

  /** What has come so far, once only. */
  take(): string {
    const received = this.received;
    this.received = '';
    return received;
  }

  #changed(): void {
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}
