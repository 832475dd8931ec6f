/** A sink for a stream that is answered already: what still arrives is given back as credit and forgotten. */
import type { Stream, StreamSink } from '@porthole/protocol';

export function deafSink(stream: Stream): StreamSink {
  return {
    onHead() {},
    onData: (chunk) => stream.consumed(chunk.length),
    onTrailers() {},
    onEnd() {},
    onReset() {},
    onWritable() {},
  };
}
