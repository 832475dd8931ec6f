/**
 * The session by itself: relay and agent in one process, bytes handed over in memory, no sockets. Requests with a small
 * answer per second, and megabytes of one stream per second. `node --conditions=@porthole/source bench/session.ts`
 */
import { type Lane, Session, type SessionEvents, type Stream, STREAM_KIND, type StreamSink } from '@porthole/protocol';

const REQUEST = 'GET\0/small\0http\0bench.localhost\x00127.0.0.1\0n\0Host: bench.localhost\r\nVia: 1.1 relay\r\n';
const ANSWER = '200\0OK\0Content-Type: text/plain\r\nContent-Length: 35\r\n';
const BODY = Buffer.alloc(35, 'x');
const BULK = Buffer.alloc(65_536, 'x');
const DEAF: StreamSink = { onHead() {}, onData() {}, onTrailers() {}, onEnd() {}, onReset() {}, onWritable() {} };

function events(onOpen: (stream: Stream) => StreamSink): SessionEvents {
  return {
    onOpen: (_opening, stream) => onOpen(stream),
    onMessage() {},
    onGoAway() {},
    onClosed() {},
    onWantWrite() {},
    onFault(error) {
      throw error;
    },
  };
}

/** A pair whose agent answers with `onOpen`; `turn` moves what both have to say, and tells how much it was. */
function pair(onOpen: (stream: Stream) => StreamSink): { relay: Session; turn: () => number } {
  const now = (): number => performance.now();
  const relay = new Session(
    { role: 'relay', now },
    events(() => DEAF),
  );
  const agent = new Session({ role: 'agent', now }, events(onOpen));
  const lanes = [relay.lanes[0] as Lane, agent.lanes[0] as Lane] as const;
  for (const lane of lanes) lane.attach(0);
  const move = (from: Lane, to: Lane): number => {
    let bytes = 0;
    for (const buffer of from.pull(262_144, true)) {
      bytes += buffer.length;
      to.receive(Buffer.from(buffer));
    }
    return bytes;
  };
  return { relay, turn: () => move(lanes[0], lanes[1]) + move(lanes[1], lanes[0]) };
}

function requests(concurrency: number, total: number): number {
  const { relay, turn } = pair((stream) => {
    stream.sendHead(ANSWER);
    stream.write(BODY);
    stream.end();
    return DEAF;
  });
  let done = 0;
  const sink: StreamSink = { ...DEAF, onEnd: () => void (done += 1) };
  const opening = { kind: STREAM_KIND.exchange, tunnelId: 1, block: REQUEST };
  const start = performance.now();
  while (done < total) {
    for (let i = 0; i < concurrency; i += 1) relay.openStream(opening, sink, true);
    const goal = done + concurrency;
    while (done < goal) turn();
  }
  return (1_000 * total) / (performance.now() - start);
}

function megabytes(total: number): number {
  let produce = (): void => {};
  const { relay, turn } = pair((stream) => {
    produce = () => {
      while (stream.write(BULK)) continue;
    };
    return { ...DEAF, onWritable: () => produce() };
  });
  let got = 0;
  const onData = (chunk: Buffer): void => {
    got += chunk.length;
    stream.consumed(chunk.length);
  };
  const opening = { kind: STREAM_KIND.raw, tunnelId: 1, block: '' };
  const stream: Stream = relay.openStream(opening, { ...DEAF, onData }, false);
  turn();
  const start = performance.now();
  produce();
  while (got < total) turn();
  return total / 1_000 / (performance.now() - start);
}

for (const concurrency of [1, 64, 256]) {
  requests(concurrency, 20_000);
  process.stdout.write(`${concurrency} at a time: ${Math.round(requests(concurrency, 200_000))} requests/s\n`);
}
megabytes(256e6);
process.stdout.write(`one stream: ${Math.round(megabytes(2e9))} MB/s\n`);
