/**
 * The other workers of this relay: their agents as targets, carriers that have their session there, and the local
 * socket on which they reach this one.
 */
import { rmSync } from 'node:fs';
import * as net from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { PortholeError } from '@porthole/protocol';
import type { Carrier } from '@porthole/protocol/node';
import type { CarrierHandover, HeardHello, TakeCarrier } from '../routing/carrier-handover.ts';
import type { RouteHolder } from '../routing/registrar-link.ts';
import type { Target } from '../routing/target.ts';
import { bridgeCarrier, PassedCarrier } from './passed-carrier.ts';
import { carrierHeader, encodePeerHeader, heardHello, PeerHeaderReader } from './peer-header.ts';
import { PeerLink } from './peer-link.ts';
import { PeerSession, type PeerSessionParts } from './peer-session.ts';
import { PeerTarget } from './peer-target.ts';

/** What an agent repeats may be anything; what becomes part of a path must look like this. */
const NODE_NAME = /^g\d{1,9}\.\d{1,9}$/;
const HEADER_TIMEOUT_MS = 5_000;
const IDLE_CHECK_MS = 50;

export interface PeersOptions extends PeerSessionParts {
  readonly node: string;
  /** Where the workers' local sockets are; only the relay's user may enter. */
  readonly folder: string;
  readonly takeCarrier: TakeCarrier;
}

export class Peers implements CarrierHandover {
  readonly node: string;
  readonly #options: PeersOptions;
  readonly #server = net.createServer({ allowHalfOpen: true });
  readonly #links = new Map<string, PeerLink>();
  readonly #sessions = new Set<PeerSession>();

  constructor(options: PeersOptions) {
    this.node = options.node;
    this.#options = options;
    this.#server.on('connection', (socket) => this.#meet(socket));
  }

  /** Streams of other workers' visitors under way here. */
  get incomingStreams(): number {
    let streams = 0;
    for (const session of this.#sessions) streams += session.streamCount;
    return streams;
  }

  /** Streams of this worker's visitors under way elsewhere. */
  get outgoingStreams(): number {
    let streams = 0;
    for (const link of this.#links.values()) streams += link.streamCount;
    return streams;
  }

  async start(): Promise<void> {
    const path = this.#pathOf(this.node);
    rmSync(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) => reject(new PortholeError('ADDRESS_IN_USE', path, { cause })));
      this.#server.listen(path, () => {
        this.#server.removeAllListeners('error').on('error', (error) => this.#options.reportBug(error));
        resolve();
      });
    });
  }

  /** The agent behind a lease of another worker. */
  targetOf({ node, lease, label }: RouteHolder, onDoubt: () => void): Target {
    return new PeerTarget(label, lease, () => this.#linkTo(node), onDoubt);
  }

  pass(carrier: Carrier, to: string, heard: HeardHello, onGone: () => void): boolean {
    if (to === this.node || !NODE_NAME.test(to)) return false;
    const socket = net.connect(this.#pathOf(to));
    socket.once('error', onGone);
    socket.once('connect', () => {
      socket.off('error', onGone).on('error', () => undefined);
      socket.write(encodePeerHeader(carrierHeader(carrier, heard)));
      bridgeCarrier(carrier, socket);
    });
    return true;
  }

  /** Resolves when no visitor of another worker is served here any more, or after that time. */
  async untilIdle(limitMs: number): Promise<void> {
    const end = performance.now() + limitMs;
    while (this.incomingStreams > 0 && performance.now() < end) await setTimeout(IDLE_CHECK_MS);
  }

  /** Idempotent. */
  close(): void {
    this.#server.close();
    for (const session of this.#sessions) session.close();
    for (const link of this.#links.values()) link.close();
  }

  #linkTo(node: string): PeerLink {
    const standing = this.#links.get(node);
    if (standing !== undefined) return standing;
    const forget = (): void => {
      if (this.#links.get(node) === link) this.#links.delete(node);
    };
    const link = new PeerLink(this.#pathOf(node), forget, this.#options.reportBug);
    this.#links.set(node, link);
    return link;
  }

  #meet(socket: net.Socket): void {
    const reader = new PeerHeaderReader();
    socket.setTimeout(HEADER_TIMEOUT_MS, () => socket.destroy());
    const onData = (chunk: Buffer): void => {
      try {
        const read = reader.feed(chunk);
        if (read === undefined) return;
        socket.setTimeout(0);
        socket.pause();
        socket.off('data', onData);
        if (read.header.kind === 'streams') this.#serve(socket, read.rest);
        else this.#options.takeCarrier(new PassedCarrier(socket, read.rest, read.header), heardHello(read.header));
      } catch (error) {
        this.#options.reportBug(error);
        socket.destroy();
      }
    };
    socket.on('error', () => undefined);
    socket.on('data', onData);
  }

  #serve(socket: net.Socket, rest: Buffer): void {
    this.#sessions.add(new PeerSession(socket, rest, this.#options, (session) => this.#sessions.delete(session)));
  }

  #pathOf(node: string): string {
    return join(this.#options.folder, `${node}.sock`);
  }
}
