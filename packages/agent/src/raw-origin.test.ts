import { PortholeError } from '@porthole/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeStream } from '../../../test/harness/fake-stream.ts';
import { type RawOrigin as RawServer, startRawOrigin } from '../../../test/harness/raw-origin.ts';
import { until } from '../../../test/harness/until.ts';
import { originFor } from './origin-for.ts';

const OPENING = { visitorAddress: '192.0.2.1', visitorPort: 4711, localAddress: '127.0.0.1', localPort: 7000 };
const servers: RawServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function visit(): Promise<{ stream: FakeStream; server: RawServer }> {
  const server = await startRawOrigin();
  servers.push(server);
  const stream = new FakeStream();
  stream.sink = originFor('tcp', `127.0.0.1:${server.port}`, { waitForOriginMs: 0 }).openRaw(OPENING, stream);
  return { stream, server };
}

describe('a raw origin', () => {
  it('may speak first', async () => {
    const { stream, server } = await visit();
    const wire = await server.accept();
    await wire.send('220 ready\r\n');
    await stream.until('the greeting', () => stream.bodyBytes > 0);
    expect(stream.calls).toEqual(['data 220 ready\r\n']);
    await wire.close();
  });

  it('gets what came before it was connected, in order', async () => {
    const { stream, server } = await visit();
    stream.sink.onData(Buffer.from('one '));
    stream.sink.onData(Buffer.from('two '));
    const wire = await server.accept();
    stream.sink.onData(Buffer.from('three'));
    expect((await wire.readUntil('three')).toString()).toBe('one two three');
    await until('all is consumed', () => stream.consumedBytes === 13);
    await wire.close();
  });

  it('keeps answering after the visitor has ended his side', async () => {
    const { stream, server } = await visit();
    stream.sink.onData(Buffer.from('question'));
    stream.sink.onEnd();
    const wire = await server.accept();
    expect((await wire.readToEnd()).toString()).toBe('question');
    await wire.send('answer');
    wire.end();
    await stream.untilOver();
    expect(stream.calls).toEqual(['data answer', 'end']);
    await wire.untilClosed();
  });

  it('keeps receiving after it has ended its own side', async () => {
    const { stream, server } = await visit();
    const wire = await server.accept();
    wire.end();
    await stream.untilOver();
    stream.sink.onData(Buffer.from('late'));
    stream.sink.onEnd();
    expect((await wire.readToEnd()).toString()).toBe('late');
    expect(stream.calls).toEqual(['end']);
    await wire.untilClosed();
  });

  it('delivers a last large piece before its end', async () => {
    const { stream, server } = await visit();
    const wire = await server.accept();
    const body = Buffer.alloc(5_000_000, 'abcdefg');
    void wire.send(body);
    wire.end();
    await stream.untilOver();
    expect(stream.body.equals(body)).toBe(true);
    stream.sink.onData(Buffer.alloc(2_000_000, 'z'));
    stream.sink.onEnd();
    expect((await wire.readToEnd()).length).toBe(2_000_000);
  });

  it('sees the reset of a visitor as one', async () => {
    const { stream, server } = await visit();
    const wire = await server.accept();
    stream.sink.onData(Buffer.from('x'));
    await wire.readUntil('x');
    stream.sink.onReset('CANCELLED', '');
    await wire.untilClosed();
    expect(wire.wasReset).toBe(true);
  });

  it('that resets does so to the visitor', async () => {
    const { stream, server } = await visit();
    const wire = await server.accept();
    await wire.send('x');
    await stream.until('a byte', () => stream.bodyBytes === 1);
    wire.reset();
    await stream.untilOver();
    expect(stream.calls).toEqual(['data x', 'reset ORIGIN_CLOSED']);
  });

  it('that refuses says so', async () => {
    const server = await startRawOrigin();
    const { port } = server;
    await server.close();
    const stream = new FakeStream();
    stream.sink = originFor('tcp', `127.0.0.1:${port}`, { waitForOriginMs: 0 }).openRaw(OPENING, stream);
    await stream.untilOver();
    expect(stream.calls).toEqual(['reset ORIGIN_REFUSED']);
  });

  it('stops being read while the stream is full', async () => {
    const { stream, server } = await visit();
    stream.full = true;
    const wire = await server.accept();
    const body = Buffer.alloc(20_000_000, 'x');
    void wire.send(body);
    await stream.until('the first piece', () => stream.bodyBytes > 0);
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    expect(stream.bodyBytes).toBeLessThan(200_000);
    stream.full = false;
    stream.sink.onWritable();
    await stream.until('all of it', () => stream.bodyBytes === body.length);
    await wire.close();
  });

  it('takes no exchanges', () => {
    const stream = new FakeStream();
    originFor('tcp', '127.0.0.1:9').openExchange({} as never, stream);
    expect(stream.calls).toEqual(['reset NOT_SUPPORTED']);
    expect(() => originFor('tcp', 'nonsense')).toThrow(PortholeError);
  });
});
