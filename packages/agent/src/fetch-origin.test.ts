import type { ExchangeRequest } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { exchangeRequest, FakeStream } from '../../../test/harness/fake-stream.ts';
import { type FetchHandler, FetchOrigin } from './fetch-origin.ts';

const POST = { method: 'POST', bodiless: false } as const;

function open(
  fetch: FetchHandler,
  request: Partial<ExchangeRequest> = {},
  onError?: (error: unknown) => void,
): FakeStream {
  const stream = new FakeStream();
  stream.sink = new FetchOrigin({ fetch, onError }).openExchange(exchangeRequest(request), stream);
  return stream;
}

describe('a fetch handler', () => {
  it('gets the request as the visitor made it', async () => {
    let seen: Request | undefined;
    const stream = open(
      (request) => {
        seen = request;
        return new Response('ok');
      },
      { target: '/a?b=c', fields: ['Host', 'app.test', 'X-B', '1', 'x-b', '2'] },
    );
    await stream.untilOver();
    expect(seen?.url).toBe('https://app.test/a?b=c');
    expect(seen?.headers.get('x-b')).toBe('1, 2');
    expect(stream.calls).toEqual(['head | 200 |  | content-type: text/plain;charset=UTF-8', 'data ok', 'end']);
  });

  it('keeps several cookies apart', async () => {
    const stream = open(
      () =>
        new Response(null, {
          status: 204,
          headers: [
            ['Set-Cookie', 'a=1'],
            ['Set-Cookie', 'b=2'],
          ],
        }),
    );
    await stream.untilOver();
    expect(stream.calls).toEqual(['head | 204 |  | set-cookie: a=1 | set-cookie: b=2', 'end']);
  });

  it('that answers without a body says so by its length', async () => {
    const stream = open(() => new Response(null, { status: 302, headers: { location: '/x' } }));
    await stream.untilOver();
    expect(stream.calls).toEqual(['head | 302 |  | location: /x | content-length: 0', 'end']);
  });

  it('sends no body to a HEAD', async () => {
    const stream = open(() => new Response('not for you'), { method: 'HEAD' });
    await stream.untilOver();
    expect(stream.calls).toEqual(['head | 200 |  | content-type: text/plain;charset=UTF-8', 'end']);
  });

  it('streams its answer, chunk by chunk, head first', async () => {
    let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(made) {
        controller = made;
      },
    });
    const stream = open(() => new Response(body));
    await stream.until('the head', () => stream.calls.length === 1);
    controller?.enqueue(Buffer.from('one'));
    await stream.until('the first chunk', () => stream.bodyBytes === 3);
    controller?.enqueue(Buffer.from('two'));
    controller?.close();
    await stream.untilOver();
    expect(stream.calls).toEqual(['head | 200 | ', 'data onetwo', 'end']);
  });

  it('is asked for more only while the stream has room', async () => {
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (++pulls > 50) controller.close();
        else controller.enqueue(Buffer.alloc(10));
      },
    });
    const stream = new FakeStream();
    stream.full = true;
    stream.sink = new FetchOrigin({ fetch: () => new Response(body) }).openExchange(exchangeRequest(), stream);
    await stream.until('the first chunk', () => stream.bodyBytes > 0);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    expect(pulls).toBeLessThan(4);
    stream.full = false;
    stream.sink.onWritable();
    await stream.untilOver();
    expect(stream.bodyBytes).toBe(500);
  });

  it('reads an upload as it comes, and what it does not read is not consumed', async () => {
    let read: (() => Promise<string>) | undefined;
    const stream = open((request) => {
      const reader = request.body?.getReader();
      read = async () => Buffer.from((await reader?.read())?.value ?? []).toString();
      return new Promise((resolve) => request.signal.addEventListener('abort', () => resolve(new Response())));
    }, POST);
    stream.sink.onData(Buffer.from('first'));
    stream.sink.onData(Buffer.from('second'));
    await stream.until('the handler runs', () => true);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(stream.consumedBytes).toBe(0);
    expect(await read?.()).toBe('first');
    expect(stream.consumedBytes).toBe(5);
    expect(await read?.()).toBe('second');
    stream.sink.onReset('CANCELLED', '');
  });

  it('echoes an upload of a megabyte', async () => {
    const stream = open((request) => new Response(request.body), POST);
    const body = Buffer.alloc(1_000_000, 'abc');
    for (let at = 0; at < body.length; at += 16_000) stream.sink.onData(body.subarray(at, at + 16_000));
    stream.sink.onEnd();
    await stream.untilOver();
    expect(stream.body.equals(body)).toBe(true);
    expect(stream.consumedBytes).toBe(body.length);
  });

  it('that answers without reading has the upload thrown away', async () => {
    const stream = open(() => new Response('no', { status: 413 }), POST);
    stream.sink.onData(Buffer.from('first'));
    await stream.untilOver();
    await new Promise(setImmediate);
    stream.sink.onData(Buffer.from('second'));
    expect(stream.consumedBytes).toBe(11);
  });

  it('that begins to read lets a visitor who asked begin to send', async () => {
    const stream = open(async (request) => new Response(await request.text()), {
      ...POST,
      fields: ['Host', 'a', 'Expect', '100-continue'],
    });
    await stream.until('the 100', () => stream.calls.length === 1);
    expect(stream.calls).toEqual(['head | 100 | Continue']);
    stream.sink.onData(Buffer.from('body'));
    stream.sink.onEnd();
    await stream.untilOver();
    expect(stream.body.toString()).toBe('body');
  });

  it('is told when the visitor goes away', async () => {
    const aborted = Promise.withResolvers<unknown>();
    const cancelled = Promise.withResolvers<unknown>();
    const stream = open((request) => {
      request.signal.addEventListener('abort', () => aborted.resolve(request.signal.reason));
      return new Response(new ReadableStream({ cancel: (reason) => cancelled.resolve(reason) }));
    });
    await stream.until('the head', () => stream.calls.length === 1);
    stream.sink.onReset('CANCELLED', '');
    expect(await aborted.promise).toMatchObject({ name: 'AbortError' });
    expect(await cancelled.promise).toMatchObject({ name: 'AbortError' });
    expect(stream.calls.length).toBe(1);
  });

  it('that throws gives a 500 without its words, and its owner the error', async () => {
    const errors: unknown[] = [];
    const fault = new Error('a secret');
    const stream = open(
      () => Promise.reject(fault),
      {},
      (error) => errors.push(error),
    );
    await stream.untilOver();
    expect(stream.calls[0]).toContain('head | 500 | Internal Server Error');
    expect(stream.body.toString()).toBe('Internal Server Error\n');
    expect(errors).toEqual([fault]);
  });

  it('that fails in the middle of its answer does not end it cleanly', async () => {
    let isFirst = true;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (isFirst) controller.enqueue(Buffer.from('half'));
        else controller.error(new Error('broken'));
        isFirst = false;
      },
    });
    const stream = open(() => new Response(body));
    await stream.untilOver();
    expect(stream.calls).toEqual(['head | 200 | ', 'data half', 'reset ORIGIN_TRUNCATED']);
  });
});
