/** Two sessions joined by wires in memory, with a clock of their own: cut, delay and split as a test pleases. */
import {
  type Lane,
  type Message,
  Session,
  type SessionEvents,
  type Stream,
  type StreamOpening,
  type StreamSink,
} from '@porthole/protocol';

/** Records what arrives on a stream; consumes at once unless told not to. */
export class RecordingSink implements StreamSink {
  stream: Stream | undefined;
  readonly heads: string[] = [];
  readonly chunks: Buffer[] = [];
  trailers: string | undefined;
  ended = false;
  reset: { code: string; detail: string } | undefined;
  writable = 0;
  consumes = true;

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get length(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  onHead(block: string): void {
    this.heads.push(block);
  }

  onData(chunk: Buffer): void {
    this.chunks.push(Buffer.from(chunk));
    if (this.consumes) this.stream?.consumed(chunk.length);
  }

  onTrailers(block: string): void {
    this.trailers = block;
  }

  onEnd(): void {
    this.ended = true;
  }

  onReset(code: string, detail: string): void {
    this.reset = { code, detail };
  }

  onWritable(): void {
    this.writable += 1;
  }
}

export class End implements SessionEvents {
  readonly session: Session;
  readonly opened: { opening: StreamOpening; stream: Stream; sink: RecordingSink; ended: boolean }[] = [];
  readonly messages: Message[] = [];
  readonly faults: unknown[] = [];
  goAways: { code: string; leftMs: number; detail: string }[] = [];
  closed: { code: string; detail: string } | undefined;
  onOpened: ((stream: Stream, sink: RecordingSink, opening: StreamOpening) => void) | undefined;

  constructor(role: 'relay' | 'agent', now: () => number, maxStreams?: number) {
    this.session = new Session({ role, now, ...(maxStreams === undefined ? {} : { maxStreams }) }, this);
  }

  get lane(): Lane {
    return this.session.lanes[0] as Lane;
  }

  onOpen(opening: StreamOpening, stream: Stream, ended: boolean): StreamSink {
    const sink = new RecordingSink();
    sink.stream = stream;
    this.opened.push({ opening, stream, sink, ended });
    this.onOpened?.(stream, sink, opening);
    return sink;
  }

  onMessage(message: Message): void {
    this.messages.push(message);
  }

  onGoAway(code: string, leftMs: number, detail: string): void {
    this.goAways.push({ code, leftMs, detail });
  }

  onClosed(code: string, detail: string): void {
    this.closed = { code, detail };
  }

  onWantWrite(): void {}

  onFault(error: unknown): void {
    this.faults.push(error);
  }

  open(block: string, ends: boolean, kind: 1 | 2 = 1): { stream: Stream; sink: RecordingSink } {
    const sink = new RecordingSink();
    const stream = this.session.openStream({ kind, tunnelId: 7, block }, sink, ends);
    sink.stream = stream;
    return { stream, sink };
  }
}

/** How one direction's bytes are cut into pieces; `undefined` means: as they were written. */
export type Splitter = (bytes: Buffer) => Buffer[];

export class SessionPair {
  time = 1_000;
  readonly relay: End;
  readonly agent: End;
  split: Splitter = (bytes) => [bytes];
  /** Bytes delivered so far on the carrier of now, both ways together. */
  delivered = 0;
  /** The carrier dies after this many more bytes. */
  cutAfter = Number.POSITIVE_INFINITY;
  cuts = 0;

  constructor(maxStreams?: number) {
    this.relay = new End('relay', () => this.time, maxStreams);
    this.agent = new End('agent', () => this.time, maxStreams);
    this.#attach();
  }

  /** Lets bytes flow until neither end has anything to say; carriers that die are replaced. Returns the turns it took. */
  settle(maxTurns = 100_000): number {
    for (let turn = 0; turn < maxTurns; turn += 1) {
      this.time += 1;
      const moved = this.turn();
      this.relay.lane.acknowledge();
      this.agent.lane.acknowledge();
      if (!moved && !this.relay.lane.wantsWrite && !this.agent.lane.wantsWrite) return turn;
    }
    throw new Error('the pair does not come to rest');
  }

  /** One exchange of what both have to say. */
  turn(): boolean {
    const toAgent = Buffer.concat(this.relay.lane.pull(262_144, false));
    const toRelay = Buffer.concat(this.agent.lane.pull(262_144, false));
    const first = this.#deliver(toAgent, this.agent);
    const second = first && this.#deliver(toRelay, this.relay);
    if (!first || !second) this.reconnect();
    return toAgent.length + toRelay.length > 0;
  }

  reconnect(): void {
    this.cuts += 1;
    this.relay.lane.detach();
    this.agent.lane.detach();
    this.#attach();
  }

  #attach(): void {
    const relayReceived = this.relay.lane.received;
    const agentReceived = this.agent.lane.received;
    this.relay.lane.attach(agentReceived);
    this.agent.lane.attach(relayReceived);
  }

  /** False when the carrier died on the way. */
  #deliver(bytes: Buffer, to: End): boolean {
    const alive = bytes.length <= this.cutAfter;
    const arriving = alive ? bytes : bytes.subarray(0, this.cutAfter);
    this.cutAfter -= arriving.length;
    for (const piece of this.split(arriving)) if (piece.length > 0 && !to.session.closed) to.lane.receive(piece);
    this.delivered += arriving.length;
    if (!alive) this.cutAfter = Number.POSITIVE_INFINITY;
    return alive;
  }
}
