/** One tunnel of an agent as the doors see it: exchanges and raw connections become streams of its session. */
import {
  encodeRaw,
  encodeRequest,
  type ExchangeRequest,
  type RawOpening,
  type Session,
  STREAM_KIND,
  type Stream,
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
    const opening = { kind: STREAM_KIND.exchange, tunnelId: this.#tunnelId, block: encodeRequest(request) };
    return this.#session.openStream(opening, sink, request.bodiless && !request.upgrade);
  }

  openRaw(opening: RawOpening, sink: StreamSink): Stream {
    return this.#session.openStream(
      { kind: STREAM_KIND.raw, tunnelId: this.#tunnelId, block: encodeRaw(opening) },
      sink,
      false,
    );
  }
}
