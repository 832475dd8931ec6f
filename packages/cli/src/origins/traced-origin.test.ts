import { encodeResponse, type Origin, type Stream, type StreamSink } from '@porthole/agent';
import { describe, expect, it } from 'vitest';
import { exchangeRequest, FakeStream } from '../../../../test/harness/fake-stream.ts';
import { TracedOrigin } from './traced-origin.ts';

const OPENING = { visitorAddress: '192.0.2.1', visitorPort: 4711, localAddress: '127.0.0.1', localPort: 7000 };

class Inner implements Origin {
  stream!: Stream;
  readonly heard: string[] = [];
  readonly #sink: StreamSink = {
    onHead: () => this.heard.push('head'),
    onData: (chunk) => this.heard.push(String(chunk)),
    onTrailers: (block) => this.heard.push(block),
    onEnd: () => this.heard.push('end'),
    onReset: (code) => this.heard.push(code),
    onWritable: () => this.heard.push('writable'),
  };
  openExchange(_request: unknown, stream: Stream): StreamSink {
    this.stream = stream;
    return this.#sink;
  }
  openRaw = this.openExchange.bind(this);
  close(): void {}
}

function traced(target: string | undefined): { inner: Inner; outer: FakeStream; sink: StreamSink; told: unknown[] } {
  const [inner, outer, told] = [new Inner(), new FakeStream(), [] as unknown[]];
  let nowMs = 0;
  const origin = new TracedOrigin(
    inner,
    () => (nowMs += 1.4),
    (event) => told.push(event),
  );
  const sink =
    target === undefined ? origin.openRaw(OPENING, outer) : origin.openExchange(exchangeRequest({ target }), outer);
  return { inner, outer, sink, told };
}

const head = (status: number): string => encodeResponse({ status, reason: '', fields: [] });

describe('a traced origin', () => {
  it('tells of an answer when it is complete, without the query, and passes everything on', () => {
    const { inner, outer, sink, told } = traced('/a/b?key=secret');
    sink.onData(Buffer.from('up'));
    sink.onEnd();
    sink.onWritable();
    inner.stream.sendHead(head(103));
    inner.stream.sendHead(head(404));
    outer.full = true;
    expect(inner.stream.write(Buffer.from('down'))).toBe(false);
    inner.stream.consumed(2);
    expect(told).toEqual([]);
    inner.stream.end();
    sink.onReset('NO_ERROR', '');
    expect(told).toEqual([{ event: 'exchange', method: 'GET', path: '/a/b', status: 404, ms: 1 }]);
    expect(inner.heard).toEqual(['up', 'end', 'writable', 'NO_ERROR']);
    expect(outer.calls).toEqual(['head | 103 | ', 'head | 404 | ', 'data down', 'end']);
    expect(outer.consumedBytes).toBe(2);
  });

  it('tells of what was broken off, from either side', () => {
    const refused = traced('/');
    refused.inner.stream.reset('ORIGIN_REFUSED', 'detail');
    expect(refused.told).toEqual([{ event: 'exchange', method: 'GET', path: '/', code: 'ORIGIN_REFUSED', ms: 1 }]);
    expect([refused.outer.calls, refused.outer.resetDetail]).toEqual([['reset ORIGIN_REFUSED'], 'detail']);
    const left = traced(undefined);
    left.sink.onReset('CANCELLED', '');
    expect(left.told).toEqual([{ event: 'visit', code: 'CANCELLED', ms: 1 }]);
    const long = traced(`/${'x'.repeat(5_000)}`);
    long.inner.stream.end();
    expect(JSON.stringify(long.told).length).toBeLessThan(300);
  });
});
