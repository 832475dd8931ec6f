/** Takes a request's body that nobody here reads, so that the visitor is never stuck sending it. */
import type { Stream, StreamSink } from '@porthole/agent';

export function deafBody(stream: Stream): StreamSink {
  return {
    onHead() {},
    onData(chunk) {
      stream.consumed(chunk.length);
    },
    onTrailers() {},
    onEnd() {},
    onReset() {},
    onWritable() {},
  };
}
