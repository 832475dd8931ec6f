import * as net from 'node:net';
import { PortholeError } from '@porthole/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeRegistry, fixtureParts, RawVisitor } from '../../../../test/contracts/edge-fixture.ts';
import { FakeTarget } from '../../../../test/contracts/fake-target.ts';
import { quietValue } from '../../../../test/harness/until.ts';
import type { EdgeParts } from './edge-parts.ts';
import { TcpDoor } from './tcp-door.ts';

let registry: FakeRegistry;
let target: FakeTarget;
let parts: EdgeParts;
let door: TcpDoor;
let port: number;
let visitor: RawVisitor;

/** A port nobody listens on just now; the pool, not the system, chooses ports. */
async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port: free } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return free;
}

beforeEach(async () => {
  registry = new FakeRegistry();
  target = new FakeTarget();
  parts = fixtureParts({}, registry);
  door = new TcpDoor('127.0.0.1', parts);
  port = await freePort();
  registry.ports.set(port, { state: 'ready', target });
  await door.open(port);
  visitor = await RawVisitor.dial(port);
});
afterEach(async () => {
  visitor.socket.destroy();
  await door.drain(0);
  expect(parts.counters).toMatchObject({ rawOpen: 0, visitorsOpen: 0, waitingOpen: 0 });
});

describe('a raw visitor', () => {
  it('is announced with both addresses, and bytes flow both ways at once', async () => {
    const stream = await target.next();
    expect(stream.opening).toEqual({
      visitorAddress: '127.0.0.1',
      visitorPort: visitor.socket.localPort,
      localAddress: '127.0.0.1',
      localPort: port,
    });
    stream.data('server speaks first');
    await visitor.untilText('server speaks first');
    visitor.send('hello');
    await stream.untilBody('hello');
    await stream.until(() => stream.consumedBytes === 19);
  });

  it('may close his side and still get the answer', async () => {
    const stream = await target.next();
    visitor.socket.end('question');
    await stream.untilEnded();
    expect(stream.body).toBe('question');
    stream.data('answer').finish();
    expect(await visitor.untilEnd()).toBe('answer');
    await visitor.untilClosed();
    expect(stream.resetCode).toBeUndefined();
  });

  it('may go on sending after the target has closed its side', async () => {
    const stream = await target.next();
    stream.data('bye').finish();
    expect(await visitor.untilEnd()).toBe('bye');
    visitor.socket.end('late');
    await stream.untilEnded();
    expect(stream.body).toBe('late');
    await visitor.untilClosed();
    expect(stream.resetCode).toBeUndefined();
  });

  it('ends the stream with a reset when he resets, and is reset when the stream is', async () => {
    const stream = await target.next();
    visitor.socket.resetAndDestroy();
    expect(await stream.untilReset()).toBe('CANCELLED');

    const other = await RawVisitor.dial(port);
    (await target.next()).data('part').abort('ORIGIN_CLOSED');
    await other.untilClosed();
    expect(other.error?.code).toBe('ECONNRESET');
  });

  it('is held back when the target does not keep up, and goes on when it does', async () => {
    const stream = await target.next();
    stream.highWaterBytes = 1;
    const data = Buffer.alloc(16 * 1024 * 1024, 'x');
    visitor.socket.write(data);
    await stream.until(() => stream.heldBytes > 0);
    expect(await quietValue(() => stream.heldBytes)).toBeLessThan(256 * 1024);
    stream.highWaterBytes = Number.POSITIVE_INFINITY;
    stream.release();
    await stream.until(() => stream.chunks.reduce((sum, chunk) => sum + chunk.length, 0) === data.length);
  });

  it('is cut when the target takes no more visitors', async () => {
    await target.next();
    target.refusal = new PortholeError('STREAM_LIMIT');
    const socket = net.connect(port, '127.0.0.1');
    expect(await new Promise((resolve) => socket.once('error', resolve))).toMatchObject({ code: 'ECONNRESET' });
  });

  it('waits while the agent is away, with what he has sent', async () => {
    await target.next();
    registry.ports.set(port, { state: 'away' });
    const other = await RawVisitor.dial(port);
    other.socket.end('patient');
    await registry.until(() => registry.waiting.size === 1);
    registry.goOn({ state: 'ready', target });
    const stream = await target.next();
    await stream.untilEnded();
    expect(stream.body).toBe('patient');
    stream.data('ok').finish();
    expect(await other.untilEnd()).toBe('ok');
    await other.untilClosed();
  });

  it('gives his place back when he leaves while waiting, and is cut when he waited in vain', async () => {
    await target.next();
    registry.ports.set(port, { state: 'away' });
    const leaver = await RawVisitor.dial(port);
    await registry.until(() => registry.waiting.size === 1);
    leaver.socket.resetAndDestroy();
    await registry.until(() => registry.cancelled === 1);
    const waiter = await RawVisitor.dial(port);
    await registry.until(() => registry.waiting.size === 1);
    registry.goOn({ state: 'away' });
    await waiter.untilClosed();
  });
});

describe('a port', () => {
  it('is refused when another program has it, and can be had again once closed', async () => {
    const second = new TcpDoor('127.0.0.1', parts);
    await expect(second.open(port)).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' });
    door.close(port);
    await new Promise((resolve) => setImmediate(resolve));
    await second.open(port);
    second.close(port);
  });
});
