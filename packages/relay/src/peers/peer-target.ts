/** An agent whose session is on another worker, as the doors see it. */
import { encodeRaw, encodeRequest, type ExchangeRequest, type RawOpening, type Stream, STREAM_KIND, type StreamSink } from '@porthole/protocol';
import type { Target } from '../routing/target.ts';
import type { PeerLink } from './peer-link.ts';

export class PeerTarget implements Target {
  readonly label: string;
  readonly #lease: number;
  readonly #link: () => PeerLink;

  /** `link` gives the way to the holder's worker, a new one when the last has ended. Streams carry the lease as tunnel id. */
  constructor(label: string, lease: number, link: () => PeerLink) {
    this.label = label;
    this.#lease = lease;
    this.#link = link;
  }

  openExchange(request: ExchangeRequest, sink: StreamSink): Stream {
    const opening = { kind: STREAM_KIND.exchange, tunnelId: this.#lease, block: encodeRequest(request) };
    return this.#link().openStream(opening, sink, request.bodiless && !request.upgrade);
  }

  openRaw(opening: RawOpening, sink: StreamSink): Stream {
    return this.#link().openStream({ kind: STREAM_KIND.raw, tunnelId: this.#lease, block: encodeRaw(opening) }, sink, false);
  }
}
