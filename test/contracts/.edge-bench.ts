import { DoorFixture } from '/work/main/test/contracts/edge-fixture.ts';
import { encodeResponse } from '@porthole/protocol';
const size = Number(process.argv[2] ?? 35);
const f = await DoorFixture.start();
const head = encodeResponse({
  status: 200,
  reason: 'OK',
  fields: [
    'Server',
    'nginx',
    'Date',
    'Sat, 22 Nov 2025 00:00:00 GMT',
    'Content-Type',
    'text/plain',
    'Content-Length',
    String(size),
    'Last-Modified',
    'x',
    'ETag',
    '"abc"',
    'Accept-Ranges',
    'bytes',
  ],
});
const body = Buffer.alloc(size, 'x');
let q: any[] = [];
const run = () => {
  const b = q;
  q = [];
  for (const s of b) {
    s.onHead(head);
    s.onData(body);
    s.onEnd();
  }
};
const stream = {
  sendHead() {},
  write() {
    return true;
  },
  sendTrailers() {},
  end() {},
  reset() {},
  consumed() {},
};
f.registry.hosts.set('127.0.0.1', {
  state: 'ready',
  target: {
    label: 'x',
    openRaw() {
      throw 1;
    },
    openExchange(r: any, sink: any) {
      if (q.push(sink) === 1) setImmediate(run);
      return stream;
    },
  } as any,
});
console.log(f.port);
setTimeout(() => process.exit(), 60000);
process.on('SIGTERM', () => process.exit());
