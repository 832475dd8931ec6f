/** One tunnel of an agent as the doors see it: exchanges and raw connections become streams of its session. */
import {
  encodeRaw,
  encodeRequest,
  type ExchangeRequest,
  PortholeError,
  type RawOpening,
  type Session,
  STREAM_KIND,
  type Stream,
  type StreamKind,
  type StreamSink,
} from '@porthole/protocol';
import type { Target } from '../routing/target.ts';

export class AgentTarget implements Target {
  readonly label: string;
  readonly #session: Session;
  readonly #tunnelId: number;

  constructor(session: Session, tunnelId: number, label: string) {
    this.label = label;
    this.#session = session;
    this.#tunnelId = tunnelId;
  }

  openExchange(request: ExchangeRequest, sink: StreamSink): Stream {
    return this.#open(STREAM_KIND.exchange, encodeRequest(request), sink, request.bodiless && !request.upgrade);
  }

  openRaw(opening: RawOpening, sink: StreamSink): Stream {
    return this.#open(STREAM_KIND.raw, encodeRaw(opening), sink, false);
  }

  #open(kind: StreamKind, block: string, sink: StreamSink, ends: boolean): Stream {
    // Whatever it was closed with is the agent's to know; the visitor may go to somebody else.
    if (this.#session.closed) throw new PortholeError('STREAM_REFUSED', 'the session has ended');
    return this.#session.openStream({ kind, tunnelId: this.#tunnelId, block }, sink, ends);
  }
}
