/**
 * Damages the tables of requests and responses at random and checks what must hold for any bytes: nothing but faults is
 * thrown, the outcome does not depend on the split, and what is accepted reads the same after it was written again.
 * Runs longer, with any seed: `node --conditions=@porthole/source test/http1/fuzz.ts [seconds] [seed]`.
 */
import assert from 'node:assert/strict';
import {
  forwardableRequestFields,
  forwardableResponseFields,
  lastChunk,
  chunkHead,
  requestHeadText,
  responseFraming,
  responseHeadText,
  type BodyFraming,
  type Fields,
} from '@porthole/protocol/http1';
import {
  observeRequests,
  observeResponses,
  type Expected,
  type Message,
  type RequestsSeen,
  type ResponsesSeen,
} from './observe.ts';
import { REQUEST_CASES } from './request-cases.ts';
import { RESPONSE_CASES } from './response-cases.ts';
import { byteByByte, cutBy } from './splits.ts';

export interface FuzzResult {
  readonly runs: number;
  /** Runs in which at least one message was accepted: a fuzzer that only makes rubbish tests little. */
  readonly accepted: number;
}

/** Small, so that they are met. */
const LIMITS = { maxHeadBytes: 400, maxFields: 12, maxTargetBytes: 100 };
const FORWARDING = { visitorAddress: '192.0.2.1', scheme: 'http', isTrusted: false, pseudonym: 'fuzz' };
const PIECES = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  ' ',
  '\t',
  ':',
  ',',
  ';',
  '"',
  '=',
  '#',
  '\0',
  '\x7f',
  '\xff',
  '\x0b',
  '0',
  '1',
  'f',
  '0\r\n\r\n',
  '5\r\nhello\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Host: b\r\n',
  'Connection: close, x\r\n',
  'Upgrade: y\r\n',
  'TE: trailers\r\n',
  ' HTTP/1.1',
  ' HTTP/1.0',
  'HTTP/1.1 200 OK\r\n',
  'http://b/',
  '*',
  'CONNECT',
  'Expect: 100-continue\r\n',
  'X-Forwarded-For: 1\r\n',
  'A: 1\r\n'.repeat(13),
  'x'.repeat(400),
];

type Random = (below: number) => number;

/** mulberry32: small, seeded, good enough to damage texts. */
function randomOf(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[random(items.length)] as Item;
}

function damaged(random: Random, text: string, others: readonly string[]): string {
  let result = text;
  for (let i = random(4); i >= 0; i--) {
    const at = random(result.length + 1);
    const length = random(random(8) === 0 ? 40 : 4);
    switch (random(6)) {
      case 0:
        result = result.slice(0, at) + String.fromCharCode(random(256)) + result.slice(at + 1);
        break;
      case 1:
        result = result.slice(0, at) + result.slice(at + length);
        break;
      case 2:
        result = result.slice(0, at + length) + result.slice(at);
        break;
      case 3:
        result = result.slice(0, at) + pick(random, others).slice(random(60));
        break;
      case 4:
        result += pick(random, others);
        break;
      default:
        result = result.slice(0, at) + pick(random, PIECES) + result.slice(at);
    }
  }
  return result;
}

function* splitsOf(random: Random, bytes: Buffer): Generator<Buffer[]> {
  yield byteByByte(bytes);
  for (let i = 0; i < 3; i++) yield cutBy(bytes, [1 + random(20), 1 + random(200), 1 + random(5)]);
}

export function fuzzRequests(seed: number, budgetMs: number): FuzzResult {
  const corpus = REQUEST_CASES.map((row) => row.bytes);
  return fuzz(seed, budgetMs, (random) => {
    const bytes = Buffer.from(damaged(random, pick(random, corpus), corpus), 'latin1');
    const seen = observeRequests([bytes], LIMITS);
    for (const chunks of splitsOf(random, bytes)) assert.deepEqual(observeRequests(chunks, LIMITS), seen);
    const whole = seen.messages.filter((message) => message.complete);
    for (const message of whole) checkRequest(message);
    return whole.length > 0;
  });
}

function checkRequest(message: RequestsSeen['messages'][number]): void {
  const { head } = message;
  const text = head.fields.join('') + head.target + head.method;
  assert.ok(text.length <= LIMITS.maxHeadBytes && head.fields.length <= LIMITS.maxFields * 2);
  const fields = forwardableRequestFields(head, FORWARDING);
  const upgrade = head.upgrade !== undefined;
  const written =
    requestHeadText(head.method, head.target, fields, head.body, { upgrade }) + contentText(head.body, message);
  const again = observeRequests([Buffer.from(written, 'latin1')]);
  const [copy] = again.messages;
  assert.ok(
    copy !== undefined && again.messages.length === 1 && again.fault === undefined && again.rest === '',
    `written as ${JSON.stringify(written)}`,
  );
  assert.deepEqual(
    [
      copy.head.method,
      copy.head.target,
      copy.head.host,
      copy.head.authority,
      copy.head.body,
      copy.head.upgrade,
      copy.body,
      copy.trailers,
      copy.complete,
    ],
    [
      head.method,
      head.target,
      head.host,
      head.authority,
      head.body,
      head.upgrade,
      message.body,
      message.trailers,
      true,
    ],
  );
  assert.deepEqual(copy.head.fields.slice(0, fields.length), fields);
}

export function fuzzResponses(seed: number, budgetMs: number): FuzzResult {
  const corpus = RESPONSE_CASES.map((row) => row.bytes);
  const methods: Expected[] = [{ method: 'GET' }, { method: 'HEAD' }, { method: 'GET', mayUpgrade: true }];
  return fuzz(seed, budgetMs, (random) => {
    const bytes = Buffer.from(damaged(random, pick(random, corpus), corpus), 'latin1');
    const expected = [pick(random, methods), pick(random, methods)];
    const limits = { maxHeadBytes: LIMITS.maxHeadBytes, maxFields: LIMITS.maxFields, lenient: random(3) === 0 };
    const seen = observeResponses([bytes], expected, limits);
    for (const chunks of splitsOf(random, bytes)) assert.deepEqual(observeResponses(chunks, expected, limits), seen);
    const whole = seen.messages.filter((message) => message.complete);
    for (const [index, message] of whole.entries()) checkResponse(message, expected[index] as Expected);
    return whole.length > 0;
  });
}

function checkResponse(message: ResponsesSeen['messages'][number], expected: Expected): void {
  const { head } = message;
  const fields = forwardableResponseFields(head.status, head.fields);
  const framing = responseFraming(expected.method, head.status, fields, 1);
  const text =
    responseHeadText(head.status, head.reason, fields, framing, { keepAlive: true, minor: 1 }) +
    contentText(framing, message);
  const again = observeResponses([Buffer.from(text, 'latin1')], [expected]);
  const [copy] = again.messages;
  assert.ok(copy !== undefined && again.fault === undefined && again.rest === '', `written as ${JSON.stringify(text)}`);
  assert.deepEqual(
    [copy.head.status, copy.head.reason, copy.body, copy.complete],
    [head.status, head.reason, message.body, true],
  );
  assert.deepEqual(copy.head.fields.slice(0, fields.length), fields);
}

function contentText(framing: BodyFraming, message: Pick<Message<unknown>, 'body' | 'trailers'>): string {
  if (framing.kind !== 'chunked') return message.body;
  const { body, trailers }: { body: string; trailers: Fields } = message;
  return (body === '' ? '' : `${chunkHead(body.length)}${body}\r\n`) + lastChunk(trailers);
}

/** Runs `once` with a seed of its own each time; a failure names the seed that repeats it. */
function fuzz(seed: number, budgetMs: number, once: (random: Random) => boolean): FuzzResult {
  const deadline = performance.now() + budgetMs;
  let runs = 0;
  let accepted = 0;
  for (; performance.now() < deadline; runs++) {
    try {
      if (once(randomOf(seed + runs))) accepted++;
    } catch (cause) {
      throw new Error(`seed ${seed + runs} fails: ${String(cause)}`, { cause });
    }
  }
  return { runs, accepted };
}

if (import.meta.main) {
  const [seconds = '60', seed = String(Date.now() % 1e9)] = process.argv.slice(2);
  for (const run of [fuzzRequests, fuzzResponses]) {
    const result = run(Number(seed), Number(seconds) * 500);
    process.stdout.write(`${run.name}: seed ${seed}, ${result.runs} runs, ${result.accepted} accepted\n`);
  }
}
