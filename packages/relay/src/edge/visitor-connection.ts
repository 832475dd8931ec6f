/**
 * One visitor's connection: turns bytes into requests, one at a time, and runs an exchange for each. Reads ahead a
 * bounded part of what follows, keeps the time-outs, and leaves HTTP for a raw pipe or hands the socket to the agents' door.
 * One piece, a state machine: what an event means depends on what the connection is doing.
 */
import type * as net from 'node:net';
import {
  type ErrorCode,
  type ExchangeResponse,
  type Fields,
  PortholeError,
  release,
  type RequestHead,
  type Stream,
} from '@porthole/protocol';
import { RequestReader } from '@porthole/protocol/http1';
import { type ReadTap, tapOf, toKeep } from '@porthole/protocol/node';
import { countOwnAnswer } from './counters.ts';
import type { DoorParts } from './door-parts.ts';
import { Exchange, type ExchangeOwner } from './exchange.ts';
import { FirstBytes } from './first-bytes.ts';
import { type AnswerFor, ownAddressAnswer, ownAnswer, UNREADABLE } from './own-answers.ts';
import { Progress } from './progress.ts';
import { RawPipe } from './raw-pipe.ts';
import { ConnectionRequests, isAgentUpgrade, valueOf, type VisitorOrigin } from './request-routing.ts';
import { turnAway } from './turn-away.ts';
import { UnreadVisitor } from './reset-check.ts';
import { ResponseWriter } from './response-writer.ts';
import { NEVER, type Ticking } from './ticker.ts';
import { type OutputOwner, VisitorOutput } from './visitor-output.ts';

/** Of requests behind the one under way so much is read: a connection that is not read does not tell when it is gone. */
const MAX_AHEAD_BYTES = 64 * 1024;

const NOTHING = Buffer.alloc(0);

type State =
  /** Between requests: nothing of the next one is here. */
  | 'idle'
  /** In the middle of a head. */
  | 'head'
  | 'exchange'
  /** Left HTTP. */
  | 'raw'
  /** The last answer is written; what still comes is dropped. */
  | 'lingering'
  /** Closed, or handed over. */
  | 'gone';

export class VisitorConnection implements ExchangeOwner, OutputOwner, Ticking {
  readonly parts: DoorParts;
  readonly output: VisitorOutput;
  readonly #socket: net.Socket;
  readonly #from: VisitorOrigin;
  readonly #onGone: () => void;
  readonly #tap: ReadTap | undefined;
  readonly #unreadVisitor: UnreadVisitor;
  readonly #progress: Progress;
  readonly #takeH2: ((socket: net.Socket) => void) | undefined;
  /** While nothing has come that would tell which version of HTTP is spoken. */
  #first: FirstBytes | undefined;
  /** Kept, so that they can be taken off a socket that is handed over. */
  readonly #listeners: readonly [string, (chunk: Buffer) => void][] = [
    ['data', (chunk) => this.#onData(chunk, true)],
    ['end', () => this.#onVisitorEnd()],
    ['drain', () => this.#onDrain()],
    ['error', () => undefined],
    ['close', () => this.#onClose()],
  ];
  readonly #reader: RequestReader;
  readonly #requests: ConnectionRequests;
  #state: State = 'idle';
  #exchange: Exchange | undefined;
  /** The head of the exchange under way, for the relay's own answers. */
  #head: RequestHead | undefined;
  #pipe: RawPipe | undefined;
  /** Read, and not yet to be looked at: the request before it is not answered. */
  #unread: Buffer | undefined;
  #handOver: RequestHead | undefined;
  #isReading = false;
  /** Whether what is being read may be kept, or is overwritten by the next read. */
  #isOwned = true;
  /** Bytes of it that are somebody else's now. */
  #handedOn = 0;
  #isDraining = false;
  #visitorEnded = false;
  #deadline = NEVER;

  constructor(
    socket: net.Socket,
    from: VisitorOrigin,
    parts: DoorParts,
    onGone: () => void,
    takeH2?: (socket: net.Socket) => void,
  ) {
    this.#socket = socket;
    this.#from = from;
    this.parts = parts;
    this.#onGone = onGone;
    this.#tap = tapOf(socket);
    this.#unreadVisitor = new UnreadVisitor(socket);
    this.#takeH2 = takeH2;
    this.#first = takeH2 === undefined ? undefined : new FirstBytes();
    this.output = new VisitorOutput(socket, parts.turns);
    this.output.handTo(this);
    this.#reader = new RequestReader(parts.headLimits, this);
    this.#requests = new ConnectionRequests(from, parts.viaName, parts.trusted);
    this.#progress = new Progress(parts.ticker, parts.timeouts);
  }

  start(): void {
    const { counters, ticker, timeouts } = this.parts;
    counters.visitorsOpen += 1;
    counters.visitorsTotal += 1;
    const socket = this.#socket;
    for (const [event, listener] of this.#listeners) socket.on(event, listener);
    if (this.#tap !== undefined) this.#tap.reader = (chunk, owned) => this.#onData(chunk, owned);
    socket.resume();
    ticker.add(this);
    this.#deadline = ticker.deadline(timeouts.headMs);
    this.#progress.visitorMoved();
  }

  /** Closes as soon as what is under way is done; `keepIdle`: with the answer to the next request, if nothing is. */
  drain(keepIdle: boolean): void {
    this.#isDraining = true;
    if (this.#state === 'idle' && !keepIdle) this.#linger();
  }

  /** At once, but for WebSockets, which end after they were told why. What is not complete must not look as if it were. */
  destroy(): void {
    if (this.#pipe?.goAway() === true) return;
    if (this.#exchange === undefined && this.#pipe === undefined) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  get isLast(): boolean {
    return this.#isDraining || (this.#visitorEnded && this.#unread === undefined);
  }

  get isReading(): boolean {
    return this.#isReading;
  }

  // What the reader finds.

  onHead(head: RequestHead): void {
    const { registry, agentUpgrade, ownHosts, counters } = this.parts;
    this.#head = head;
    this.#deadline = NEVER;
    this.#progress.targetMoved();
    if (this.#from.tls?.serves(head.host) === false) throw new PortholeError('MISDIRECTED', head.host);
    const resolution = registry.resolveHost(head.host);
    if (
      resolution.state === 'unknown' &&
      ownHosts.has(head.host) &&
      isAgentUpgrade(head) &&
      agentUpgrade !== undefined
    ) {
      this.#handOver = head;
      return;
    }
    this.#state = 'exchange';
    const exchange = new Exchange(this, head, this.#requests.of(head));
    this.#exchange = exchange;
    counters.exchangesOpen += 1;
    counters.exchangesTotal += 1;
    exchange.begin(resolution);
    this.#progress.visitorMoved();
  }

  onBody(chunk: Buffer): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    if (exchange.keepsBody) {
      // It may be sent twice: memory that nobody gives back.
      exchange.body(Buffer.from(chunk));
      return;
    }
    if (this.#isOwned) this.#handedOn += chunk.length;
    exchange.body(toKeep(chunk, this.#isOwned, this.#tap));
  }

  onTrailers(fields: Fields): void {
    this.#exchange?.bodyTrailers(fields);
  }

  onComplete(): void {
    this.#exchange?.complete();
  }

  // What the exchange wants.

  pauseReading(): void {
    this.#socket.pause();
  }

  resumeReading(): void {
    if (this.#unread === undefined) this.#socket.resume();
  }

  targetMoved(): void {
    this.#progress.targetMoved();
  }

  answerOwn(code: ErrorCode, keepAlive: boolean, detail = ''): void {
    const head = this.#head;
    const { counters, ownHosts } = this.parts;
    countOwnAnswer(counters, code);
    const to: AnswerFor =
      head === undefined
        ? UNREADABLE
        : { accept: valueOf(head.fields, 'accept'), method: head.method, minor: head.minor, keepAlive };
    const isOwn = code === 'TUNNEL_NOT_FOUND' && head !== undefined && ownHosts.has(head.host);
    this.output.text(isOwn ? ownAddressAnswer(to) : ownAnswer(code, to, detail));
  }

  exchangeOver(keepAlive: boolean): void {
    this.#forgetExchange();
    if (!keepAlive || this.isLast) {
      this.#linger();
      return;
    }
    this.#state = 'idle';
    this.#deadline = this.parts.ticker.deadline(this.parts.timeouts.keepAliveIdleMs);
    this.#reader.next();
    if (!this.#isReading) this.#goOn();
  }

  breakOff(): void {
    this.#forgetExchange();
    this.output.flush();
    // A FIN would be a proper end to an answer that only the close delimits.
    this.#socket.resetAndDestroy();
  }

  answerWriter(): ResponseWriter {
    return new ResponseWriter(this.output);
  }

  interim(response: ExchangeResponse): void {
    ResponseWriter.interim(this.output, response);
  }

  leaveHttp(stream: Stream, response: ExchangeResponse): RawPipe {
    const { counters } = this.parts;
    this.interim(response);
    const isWebSocket = this.#head?.upgrade?.toLowerCase() === 'websocket';
    this.#forgetExchange();
    this.#state = 'raw';
    counters.upgradedOpen += 1;
    counters.upgradedTotal += 1;
    const pipe = new RawPipe(this.#socket, this.output, counters, isWebSocket);
    this.#pipe = pipe;
    const early = this.#unread;
    this.#unread = undefined;
    this.#socket.resume();
    pipe.start(stream, early);
    if (this.#visitorEnded) pipe.visitorEnded();
    return pipe;
  }

  outputWritten(pendingBytes: number): void {
    this.#exchange?.credit(pendingBytes);
  }

  tick(now: number): void {
    this.output.tick(now);
    if (this.#unreadVisitor.tick()) {
      this.#abort();
      return;
    }
    if (this.#state === 'raw') return;
    if (now >= this.#deadline) this.#timedOut();
    if (this.#progress.visitorStalls(now, this.#isVisitorsTurn)) this.#abort();
    const exchange = this.#exchange;
    if (exchange === undefined || this.output.blocked) return;
    if (this.#visitorEnded && this.#progress.outlastsHalfClose(now)) this.#abort();
    else if (exchange.awaitsTarget && this.#progress.targetStalls(now)) exchange.timedOut();
  }

  /** To send what he announced, or to read what he asked for. */
  get #isVisitorsTurn(): boolean {
    const exchange = this.#exchange;
    return (
      this.output.blocked ||
      this.#socket.writableLength > 0 ||
      (this.#unread?.length ?? 0) >= MAX_AHEAD_BYTES ||
      (exchange !== undefined && !exchange.isRequestDone && !this.#socket.isPaused())
    );
  }

  // What the socket says.

  #onData(chunk: Buffer, owned: boolean): void {
    this.#progress.visitorMoved();
    this.#isOwned = owned;
    this.#handedOn = 0;
    if (this.#pipe !== undefined) this.#pipe.visitorData(toKeep(chunk, this.#isOwned, this.#tap));
    else if (this.#state === 'lingering' || this.#state === 'gone') return;
    else if (this.#unread !== undefined) this.#hold(Buffer.concat([this.#unread, chunk]), true);
    else if (this.#first !== undefined) this.#readFirst(this.#first, chunk);
    else {
      this.#read(chunk);
      if (owned && this.#speaksHttp && this.#unread === undefined) release(chunk, chunk.length - this.#handedOn);
    }
  }

  get #speaksHttp(): boolean {
    return this.#state === 'idle' || this.#state === 'head' || this.#state === 'exchange';
  }

  #readFirst(first: FirstBytes, chunk: Buffer): void {
    const opening = first.take(chunk);
    if (opening === undefined) return;
    this.#first = undefined;
    if (!opening.isH2) {
      this.#read(opening.bytes);
      return;
    }
    this.#letGo();
    this.#socket.unshift(Buffer.from(opening.bytes));
    this.#takeH2?.(this.#socket);
  }

  #onVisitorEnd(): void {
    this.#visitorEnded = true;
    if (this.#pipe !== undefined) {
      this.#pipe.visitorEnded();
      return;
    }
    this.#progress.targetMoved();
    const exchange = this.#exchange;
    if (exchange === undefined && this.#unread === undefined) this.#linger();
    else if (exchange?.isRequestDone === false) this.#abort();
  }

  #onDrain(): void {
    this.#progress.visitorMoved();
    if (this.#pipe !== undefined) {
      this.#pipe.visitorDrained();
      return;
    }
    this.output.drained();
    this.#goOn();
  }

  #onClose(): void {
    const { counters, ticker } = this.parts;
    ticker.remove(this);
    if (this.#pipe !== undefined) {
      counters.upgradedOpen -= 1;
      this.#pipe.visitorClosed();
    }
    this.#abandon();
    this.#leave();
  }

  #read(chunk: Buffer): void {
    let rest = chunk;
    this.#isReading = true;
    try {
      while (rest.length > 0) {
        if (this.#mustWait()) {
          this.#hold(rest, this.#isOwned);
          break;
        }
        const used = this.#reader.feed(rest);
        if (used === 0) throw new PortholeError('INTERNAL');
        rest = used === rest.length ? NOTHING : rest.subarray(used);
        this.#exchange?.settle();
        if (!this.#speaksHttp) break;
        if (this.#handOver !== undefined) {
          this.#giveAway(this.#handOver, rest);
          break;
        }
        if (this.#state === 'idle' && rest.length === 0 && this.#reader.stage === 'head') this.#startHead();
      }
    } catch (error) {
      this.#unreadable(error);
    } finally {
      this.#isReading = false;
    }
  }

  #startHead(): void {
    this.#state = 'head';
    this.#deadline = this.parts.ticker.deadline(this.parts.timeouts.headMs);
  }

  /** A request that has been read to its end is answered before the next is looked at. */
  #mustWait(): boolean {
    const exchange = this.#exchange;
    return exchange === undefined ? this.output.blocked : exchange.isRequestDone;
  }

  #hold(bytes: Buffer, owned: boolean): void {
    this.#unread = owned ? bytes : Buffer.from(bytes);
    if (bytes.length >= MAX_AHEAD_BYTES) this.#socket.pause();
    else this.#socket.resume();
  }

  #goOn(): void {
    const unread = this.#unread;
    if (unread === undefined || this.#mustWait()) {
      if (unread === undefined && this.#state === 'idle') this.#socket.resume();
      return;
    }
    this.#unread = undefined;
    this.#isOwned = true;
    this.#read(unread);
    if (this.#unread !== undefined || this.#state === 'gone') return;
    if (this.#visitorEnded && this.#exchange === undefined) this.#linger();
    else if (this.#exchange === undefined || this.#exchange.isRequestDone) this.#socket.resume();
  }

  /** The visitor does not speak HTTP as it must be: one answer, and no more from him. */
  #unreadable(error: unknown): void {
    const isFault = error instanceof PortholeError;
    const code = isFault ? error.code : 'INTERNAL';
    if (code === 'INTERNAL') this.parts.reportBug(error);
    if (this.#state === 'gone') {
      this.#socket.destroy();
      return;
    }
    const exchange = this.#exchange;
    if (exchange !== undefined) {
      // In the middle of a body: its target must not take what came for the whole.
      const mayAnswer = exchange.isUnanswered;
      const head = this.#head;
      exchange.abandon('CANCELLED');
      this.#forgetExchange();
      this.#head = head;
      if (!mayAnswer) {
        this.breakOff();
        return;
      }
    }
    this.answerOwn(code, false, isFault ? error.detail : '');
    this.#linger();
  }

  #giveAway(head: RequestHead, rest: Buffer): void {
    this.#letGo();
    const { counters, agentUpgrade } = this.parts;
    const accept = valueOf(head.fields, 'accept');
    agentUpgrade?.accept(this.#socket, head, this.#isOwned ? rest : Buffer.from(rest), (code, detail) => {
      countOwnAnswer(counters, code);
      turnAway(
        this.#socket,
        ownAnswer(code, { accept, method: head.method, minor: head.minor, keepAlive: false }, detail),
      );
    });
  }

  /** The socket is somebody else's from here on. */
  #letGo(): void {
    const socket = this.#socket;
    socket.pause();
    for (const [event, listener] of this.#listeners) socket.off(event, listener);
    if (this.#tap !== undefined) this.#tap.reader = undefined;
    this.#leave();
    this.parts.ticker.remove(this);
  }

  #timedOut(): void {
    const { ticker, timeouts } = this.parts;
    this.#deadline = NEVER;
    if (this.#socket.writableLength > 0 || this.output.blocked) {
      // A visitor who still reads his last answer is not idle; the stall time is for him.
      this.#deadline = ticker.deadline(timeouts.lingerMs);
    } else if (this.#state === 'head') {
      this.#unreadable(new PortholeError('HEAD_TIMEOUT'));
    } else if (this.#state === 'idle') {
      this.#linger();
    } else {
      this.#socket.destroy();
    }
  }

  #abort(): void {
    this.#abandon();
    this.#socket.destroy();
  }

  #abandon(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.parts.counters.abortsTotal += 1;
    exchange.abandon('CANCELLED');
    this.#forgetExchange();
  }

  #forgetExchange(): void {
    if (this.#exchange === undefined) return;
    this.#exchange = undefined;
    this.#head = undefined;
    this.parts.counters.exchangesOpen -= 1;
  }

  /** Ends our side and drops what still comes, so that the last answer is not lost to a reset (RFC 9112 section 9.6). */
  #linger(): void {
    if (this.#state === 'gone') return;
    this.#state = 'lingering';
    this.#unread = undefined;
    this.#deadline = this.parts.ticker.deadline(this.parts.timeouts.lingerMs);
    this.output.end();
    this.#socket.resume();
  }

  #leave(): void {
    if (this.#state === 'gone') return;
    this.#state = 'gone';
    this.#unread = undefined;
    this.parts.counters.visitorsOpen -= 1;
    this.#onGone();
  }
}
