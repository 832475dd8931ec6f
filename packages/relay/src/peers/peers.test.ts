import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  decodeRequest,
  encodeRequest,
  type ErrorCode,
  type ExchangeRequest,
  PortholeError,
  type ResumeHello,
  type Stream,
  type StreamSink,
} from '@porthole/protocol';
import type { Carrier, CarrierReceiver } from '@porthole/protocol/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { HeardHello } from '../routing/carrier-handover.ts';
import type { Target } from '../routing/target.ts';
import { Peers } from './peers.ts';

const REQUEST: ExchangeRequest = {
  method: 'POST',
  target: '/x',
  scheme: 'http',
  authority: 'a.test',
  visitorAddress: '192.0.2.1',
  bodiless: false,
  upgrade: false,
  fields: ['Host', 'a.test'],
};

/** An agent played by the test: what comes for it, and a way to answer. */
class PlayedTarget implements Target {
  readonly label = 'played';
  requests: ExchangeRequest[] = [];
  readonly opened = Promise.withResolvers<{ sink: StreamSink; up: Recorder }>();
  refusal: PortholeError | undefined;

  openExchange(request: ExchangeRequest, sink: StreamSink): Stream {
    if (this.refusal !== undefined) throw this.refusal;
    this.requests.push(request);
    const up = new Recorder();
    this.opened.resolve({ sink, up });
    return up;
  }

  openRaw(_opening: unknown, sink: StreamSink): Stream {
    const up = new Recorder();
    this.opened.resolve({ sink, up });
    return up;
  }
}

/** A stream and a sink in one that keeps what it was told. */
class Recorder implements Stream, StreamSink {
  readonly said: string[] = [];
  hasRoom = true;
  credited = 0;
  #waiters: (() => void)[] = [];

  async until(line: string): Promise<void> {
    while (!this.said.includes(line)) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  async untilBytes(bytes: number): Promise<void> {
    while (this.bytes < bytes) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  bytes = 0;

  #say(line: string): void {
    this.said.push(line);
    for (const wake of this.#waiters.splice(0)) wake();
  }

  sendHead(block: string): void {
    this.#say(`head ${block}`);
  }

  write(chunk: Buffer): boolean {
    this.bytes += chunk.length;
    this.#say(`data ${chunk.length < 100 ? chunk.toString() : chunk.length}`);
    return this.hasRoom;
  }

  sendTrailers(block: string): void {
    this.#say(`trailers ${block}`);
  }

  end(): void {
    this.#say('end');
  }

  reset(code: ErrorCode): void {
    this.#say(`reset ${code}`);
  }

  consumed(bytes: number): void {
    this.credited += bytes;
  }

  onHead(block: string): void {
    this.sendHead(block);
  }

  onData(chunk: Buffer): void {
    this.write(chunk);
  }

  onTrailers(block: string): void {
    this.sendTrailers(block);
  }

  onEnd(): void {
    this.end();
  }

  onReset(code: ErrorCode): void {
    this.reset(code);
  }

  onWritable(): void {
    this.#say('writable');
  }
}

let folder: string;
let target: PlayedTarget;
let passed: PromiseWithResolvers<{ carrier: Carrier; heard: HeardHello }>;
let here: Peers;
let there: Peers;
const bugs: unknown[] = [];

function peers(node: string): Peers {
  return new Peers({
    node,
    folder,
    ownTarget: (lease) => (lease === 7 ? target : undefined),
    takeCarrier: (carrier, heard) => passed.resolve({ carrier, heard }),
    reportBug: (error) => bugs.push(error),
  });
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'porthole-peers-'));
  target = new PlayedTarget();
  passed = Promise.withResolvers();
  here = peers('g1.1');
  there = peers('g1.2');
  await here.start();
  await there.start();
});

afterEach(() => {
  here.close();
  there.close();
  rmSync(folder, { recursive: true });
  expect(bugs.splice(0)).toEqual([]);
});

function open(lease = 7, onDoubt = (): void => {}): { stream: Stream; answer: Recorder } {
  const answer = new Recorder();
  const holder = { lease, node: 'g1.2', label: 'l', away: false, retired: false };
  return { stream: here.targetOf(holder, onDoubt).openExchange(REQUEST, answer), answer };
}

describe('an exchange for an agent of another worker', () => {
  it('goes there and back whole: head, data, trailers, ends', async () => {
    const { stream, answer } = open();
    stream.write(Buffer.from('up'));
    stream.sendTrailers('t\0v');
    stream.end();
    const { sink, up } = await target.opened.promise;
    await up.until('end');
    expect(target.requests.map((request) => decodeRequest(encodeRequest(request)))).toEqual([REQUEST]);
    expect(up.said).toEqual(['data up', 'trailers t\0v', 'end']);
    sink.onHead('200\0OK');
    sink.onData(Buffer.from('down'));
    sink.onTrailers('a\0b');
    sink.onEnd();
    await answer.until('end');
    expect(answer.said).toEqual(['head 200\0OK', 'data down', 'trailers a\0b', 'end']);
    await there.untilIdle(1_000);
    expect(there.incomingStreams).toBe(0);
  });

  it('waits for the slower end: no more than a window is under way while nobody takes it', async () => {
    const { stream } = open();
    const { sink, up } = await target.opened.promise;
    up.hasRoom = false;
    const piece = Buffer.alloc(65_536);
    for (let sent = 0; sent < 64; sent += 1) stream.write(piece);
    await up.untilBytes(262_144);
    expect(up.bytes).toBe(262_144);
    up.hasRoom = true;
    sink.onWritable();
    await up.untilBytes(64 * 65_536);
    stream.reset('CANCELLED');
    await up.until('reset CANCELLED');
  });

  it('gives credit to the agent as the visitor takes what it sends', async () => {
    const { answer } = open();
    const { sink, up } = await target.opened.promise;
    sink.onData(Buffer.alloc(1_000));
    await answer.untilBytes(1_000);
    expect(up.credited).toBe(1_000);
    sink.onReset('ORIGIN_CLOSED', '');
    await answer.until('reset ORIGIN_CLOSED');
  });

  it('passes refusals on, and doubts a lease that is over', async () => {
    target.refusal = new PortholeError('STREAM_LIMIT');
    const refused = open();
    await refused.answer.until('reset STREAM_LIMIT');
    let doubts = 0;
    const gone = open(8, () => {
      doubts += 1;
    });
    await gone.answer.until('reset STREAM_REFUSED');
    expect(doubts).toBe(1);
  });

  it('refuses a head that a frame can carry and a block must not be', async () => {
    const { answer } = open();
    const { sink, up } = await target.opened.promise;
    sink.onHead('x'.repeat(65_535));
    await answer.until('reset ORIGIN_HEAD_TOO_LARGE');
    await up.until('reset ORIGIN_HEAD_TOO_LARGE');
  });

  it('ends with a code when the other worker does, and the next one finds the way anew', async () => {
    const { answer } = open();
    const { up } = await target.opened.promise;
    there.close();
    await answer.until('reset GOING_AWAY');
    await up.until('reset GOING_AWAY');
    const late = open();
    await late.answer.until('reset STREAM_REFUSED');
    target = new PlayedTarget();
    there = peers('g1.2');
    await there.start();
    open();
    await target.opened.promise;
  });
});

describe('a carrier of a session on another worker', () => {
  const hello: ResumeHello = {
    mode: 'resume',
    version: 1,
    session: Buffer.alloc(16, 1).toString('base64url'),
    lane: 0,
    epoch: 3,
    received: 5,
    proof: 'p',
    software: 's',
    node: 'g1.2',
  };

  it('is passed on with what was said on it, and with its keying material', async () => {
    const carrier = new PlayedCarrier(Buffer.from('secret'));
    expect(here.pass(carrier, 'g1.2', { hello, nonce: 'n' }, () => bugs.push('gone'))).toBe(true);
    const { carrier: arrived, heard } = await passed.promise;
    expect(heard).toEqual({ hello, nonce: 'n' });
    expect([arrived.kind, arrived.remoteAddress, arrived.keyingMaterial()?.toString()]).toEqual([
      'websocket',
      '192.0.2.7',
      'secret',
    ]);
    const received = new Recorder();
    arrived.receiver = {
      onBytes: (chunk) => {
        received.onData(chunk);
        return chunk.length;
      },
      onDrain: () => {},
      onClosed: () => received.onEnd(),
    };
    arrived.write([Buffer.from('welcome')]);
    await carrier.written.until('data welcome');
    carrier.receiver?.onBytes(Buffer.from('frames'));
    await received.until('data frames');
    carrier.receiver?.onClosed(undefined);
    await received.until('end');
  });

  it('is refused for a worker that is not there, or no worker’s name at all', async () => {
    const gone = Promise.withResolvers<void>();
    expect(here.pass(new PlayedCarrier(undefined), 'g9.9', { hello, nonce: 'n' }, gone.resolve)).toBe(true);
    await gone.promise;
    for (const name of ['g1.1', '../../etc/passwd', 'g1.2/..', '', 'g1.']) {
      expect(here.pass(new PlayedCarrier(undefined), name, { hello, nonce: 'n' }, () => {})).toBe(false);
    }
  });
});

class PlayedCarrier implements Carrier {
  readonly kind = 'websocket';
  readonly remoteAddress = '192.0.2.7';
  readonly pendingBytes = 0;
  readonly written = new Recorder();
  receiver: CarrierReceiver | undefined;
  readonly #material: Buffer | undefined;

  constructor(material: Buffer | undefined) {
    this.#material = material;
  }

  write(buffers: Buffer[]): boolean {
    for (const buffer of buffers) this.written.write(buffer);
    return true;
  }

  keyingMaterial(): Buffer | undefined {
    return this.#material;
  }

  pause(): void {}

  resume(): void {}

  end(): void {}

  destroy(): void {}
}
