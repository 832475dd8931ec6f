/** Nanoseconds per request head: read, and its forwardable fields made. Run with `node --conditions=@porthole/source bench/http1-parse.ts`. */
import {
  DEFAULT_HEAD_LIMITS,
  DEFAULT_RESPONSE_LIMITS,
  forwardableRequestFields,
  forwardableResponseFields,
  requestHeadText,
  RequestReader,
  ResponseReader,
  type RequestHead,
} from '@porthole/protocol/http1';

const SMALL = 'GET / HTTP/1.1\r\nHost: brave-otter.localhost:8080\r\nUser-Agent: wrk/4.2.0\r\nAccept: */*\r\n\r\n';
const BROWSER = [
  'GET /assets/js/application-8f1e2d3c4b5a.js?v=20261122 HTTP/1.1',
  'Host: brave-otter.tunnel.example.com',
  'Connection: keep-alive',
  'sec-ch-ua: "Chromium";v="142", "Not=A?Brand";v="24"',
  'sec-ch-ua-mobile: ?0',
  'sec-ch-ua-platform: "Linux"',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Sec-Fetch-Site: same-origin',
  'Sec-Fetch-Mode: no-cors',
  'Sec-Fetch-Dest: script',
  'Referer: https://brave-otter.tunnel.example.com/dashboard/overview',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Cookie: session=3f786850e387550fdab836ed7e6dc881de23001b; theme=dark; _ga=GA1.1.1234567890.1700000000',
  'If-None-Match: "5f2b-18d3a7"',
  '',
  '',
].join('\r\n');
const RESPONSE = [
  'HTTP/1.1 200 OK',
  'Server: nginx/1.22.1',
  'Date: Sun, 22 Nov 2026 12:00:00 GMT',
  'Content-Type: text/plain',
  'Content-Length: 35',
  'Last-Modified: Sun, 22 Nov 2026 11:00:00 GMT',
  'Connection: keep-alive',
  'ETag: "69218d30-23"',
  'Accept-Ranges: bytes',
  '',
  'x'.repeat(35),
].join('\r\n');

const FORWARDING = { visitorAddress: '203.0.113.7', scheme: 'http', isTrusted: false, pseudonym: 'porthole-a1b2c3' };
const ROUNDS = 400_000;
const REPEATS = 5;

/** Kept, so that no result can be optimised away. */
let consumed = 0;

function requestBench(text: string): () => void {
  const bytes = Buffer.from(text, 'latin1');
  const reader = new RequestReader(DEFAULT_HEAD_LIMITS, {
    onHead(head: RequestHead) {
      consumed += forwardableRequestFields(head, FORWARDING).length;
    },
    onBody() {},
    onTrailers() {},
    onComplete() {
      reader.next();
    },
  });
  return () => {
    reader.feed(bytes);
  };
}

function readOnlyBench(text: string): () => void {
  const bytes = Buffer.from(text, 'latin1');
  const reader = new RequestReader(DEFAULT_HEAD_LIMITS, {
    onHead(head: RequestHead) {
      consumed += head.fields.length;
    },
    onBody() {},
    onTrailers() {},
    onComplete() {
      reader.next();
    },
  });
  return () => {
    reader.feed(bytes);
  };
}

function responseBench(text: string): () => void {
  const bytes = Buffer.from(text, 'latin1');
  const reader = new ResponseReader(DEFAULT_RESPONSE_LIMITS, {
    onInterim() {},
    onHead(head) {
      consumed += forwardableResponseFields(head.status, head.fields).length;
    },
    onBody(chunk) {
      consumed += chunk.length;
    },
    onTrailers() {},
    onComplete() {},
  });
  return () => {
    reader.expect('GET');
    reader.feed(bytes);
  };
}

function textBench(): () => void {
  const fields = [
    'Host',
    'a.example',
    'User-Agent',
    'wrk/4.2.0',
    'Accept',
    '*/*',
    'X-Forwarded-For',
    '203.0.113.7',
    'Via',
    '1.1 porthole',
  ];
  const target = Buffer.allocUnsafe(4096);
  return () => {
    consumed += target.write(requestHeadText('GET', '/', fields, { kind: 'none' }), 'latin1');
  };
}

function measure(name: string, run: () => void): void {
  let best = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < ROUNDS; i++) run();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / ROUNDS);
  }
  process.stdout.write(`${name.padEnd(46)} ${best.toFixed(0).padStart(6)} ns\n`);
}

measure('request, 3 fields, read only', readOnlyBench(SMALL));
measure('request, 3 fields, forwardable', requestBench(SMALL));
measure('request, 15 fields, read only', readOnlyBench(BROWSER));
measure('request, 15 fields, forwardable', requestBench(BROWSER));
measure('response, 8 fields and a body, forwardable', responseBench(RESPONSE));
measure('head as text, 5 fields, written', textBench());
if (consumed === 0) throw new Error('nothing was measured');
