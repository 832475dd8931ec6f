/** A local TCP service behind a tunnel: bytes both ways, each direction ending for itself. */
import { PortholeError, type ExchangeRequest, type RawOpening, type Stream, type StreamSink } from '@porthole/protocol';
import { toKeep, TurnQueue } from '@porthole/protocol/node';
import { Socket } from 'node:net';
import { deafSink } from './deaf-sink.ts';
import type { OnOriginFailed } from './origin-failures.ts';
import { readFrom, type Opening, type OriginOpener, type OriginSocket } from './origin-socket.ts';
import type { Origin } from './origin.ts';
import { type ProxyVersion, proxyHeader } from './proxy-header.ts';
import { RequestWriter } from './request-writer.ts';

export class RawOrigin implements Origin {
  readonly #opener: OriginOpener;
  readonly #turns = new TurnQueue();
  readonly #proxyVersion: ProxyVersion | undefined;
  readonly #onFailed: OnOriginFailed | undefined;

  /** `proxyVersion`: each connection begins with a PROXY protocol header that says who the visitor is. */
  constructor(opener: OriginOpener, proxyVersion?: ProxyVersion, onFailed?: OnOriginFailed) {
    this.#opener = opener;
    this.#proxyVersion = proxyVersion;
    this.#onFailed = onFailed;
  }

  openExchange(_request: ExchangeRequest, stream: Stream): StreamSink {
    stream.reset('NOT_SUPPORTED', 'this tunnel takes raw connections only');
    return deafSink(stream);
  }

  openRaw(opening: RawOpening, stream: Stream): StreamSink {
    const version = this.#proxyVersion;
    const first = version === undefined ? undefined : proxyHeader(version, opening);
    const visit = new RawVisit(stream, this.#turns, first);
    visit.start(this.#opener, this.#onFailed);
    return visit;
  }

  close(): void {}
}

class RawVisit implements StreamSink {
  readonly #stream: Stream;
  readonly #writer: RequestWriter;
  #opening: Opening | undefined;
  #opened: OriginSocket | undefined;
  #originEnded = false;
  #over = false;
  /** Goes to the origin before the visitor's bytes. */
  readonly #first: Buffer | undefined;

  constructor(stream: Stream, turns: TurnQueue, first?: Buffer) {
    this.#first = first;
    this.#stream = stream;
    this.#writer = new RequestWriter({ head: '', framing: { kind: 'none' } }, stream, turns, () => this.#sent());
    this.#writer.becomeRaw();
  }

  /** `onFailed` hears of an origin that cannot be reached; how a connection ends is between the two who talk over it. */
  start(opener: OriginOpener, onFailed: OnOriginFailed | undefined): void {
    this.#opening = opener.open((outcome) => {
      this.#opening = undefined;
      if (outcome instanceof PortholeError) {
        this.#abort(outcome);
        onFailed?.(outcome);
      } else this.#attach(outcome);
    });
  }

  onHead(): void {
    this.#abort(new PortholeError('PROTOCOL_ERROR', 'a head on a raw stream'));
  }

  onData(chunk: Buffer): void {
    if (!this.#over) this.#writer.write(chunk);
  }

  onTrailers(): void {
    this.#abort(new PortholeError('PROTOCOL_ERROR', 'trailers on a raw stream'));
  }

  onEnd(): void {
    if (!this.#over) this.#writer.end([]);
  }

  onReset(): void {
    const socket = this.#finish()?.socket;
    // The visitor's reset is passed on as one, where the socket has such a thing.
    if (socket instanceof Socket && socket.remoteFamily !== undefined) socket.resetAndDestroy();
    else socket?.destroy();
  }

  onWritable(): void {
    this.#opened?.socket.resume();
  }

  #attach(opened: OriginSocket): void {
    const { socket, tap } = opened;
    this.#opened = opened;
    readFrom(opened, (chunk, owned) => {
      if (this.#over) return;
      if (!this.#stream.write(toKeep(chunk, owned, tap))) socket.pause();
    });
    socket.on('end', () => this.#ended());
    socket.on('error', (error) => this.#lost(error));
    socket.on('close', () => this.#lost(undefined));
    socket.on('drain', () => this.#writer.onDrain());
    if (this.#first !== undefined) socket.write(this.#first);
    this.#writer.attach(socket);
  }

  #ended(): void {
    if (this.#over) return;
    this.#originEnded = true;
    this.#stream.end();
    if (this.#writer.finished) this.#finish();
  }

  #sent(): void {
    if (this.#originEnded) this.#finish();
  }

  #lost(error: Error | undefined): void {
    if (this.#over) return;
    this.#abort(
      new PortholeError(
        'ORIGIN_CLOSED',
        error !== undefined && 'code' in error ? String(error.code) : 'the connection was closed',
        { cause: error },
      ),
    );
  }

  #abort(reason: PortholeError): void {
    if (this.#over) return;
    this.#finish()?.socket.destroy();
    this.#stream.reset(reason.code, reason.detail);
  }

  /** A socket whose both directions have ended closes itself once it has sent what it holds. */
  #finish(): OriginSocket | undefined {
    const opened = this.#opened;
    this.#over = true;
    this.#opened = undefined;
    this.#opening?.cancel();
    this.#opening = undefined;
    this.#writer.drop();
    return opened;
  }
}
