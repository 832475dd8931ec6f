import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DoorFixture, type RawVisitor } from '../../../../test/contracts/edge-fixture.ts';
import { quietValue, staysTrue } from '../../../../test/harness/until.ts';

let fixture: DoorFixture;
let visitor: RawVisitor;

beforeEach(async () => {
  fixture = await DoorFixture.start();
  visitor = await fixture.dial();
});
afterEach(() => fixture.close());

const MIB = 1024 * 1024;

describe('a visitor who reads slowly', () => {
  it('holds back the credit of his stream only, and gets every byte in the end', async () => {
    visitor.socket.pause();
    visitor.send('GET / HTTP/1.1', 'Host: a.test', '', '');
    const stream = await fixture.target.next();
    const total = 64 * MIB;
    stream.head(200, ['Content-Length', String(total)]);
    const sent = stream.flood(total);
    // What the two kernel buffers take is gone; of the rest no more than one window is in the relay.
    expect(await quietValue(() => stream.sentBytes)).toBeLessThan(total);
    expect(stream.sentBytes - stream.consumedBytes).toBeGreaterThan(0);
    expect(stream.maxUncreditedBytes).toBeLessThanOrEqual(256 * 1024 + 16 * 1024);

    const other = await fixture.dial();
    other.send('GET / HTTP/1.1', 'Host: a.test', '', '');
    (await fixture.target.next()).answer(200, ['Content-Length', '2'], 'ok');
    await other.untilText('ok');

    let received = 0;
    const whole = Promise.withResolvers<void>();
    visitor.socket.removeAllListeners('data').on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received >= total) whole.resolve();
    });
    visitor.socket.resume();
    await sent;
    stream.finish();
    await whole.promise;
    expect(received).toBeLessThan(total + 200);
  });

  it('is dropped after the stall time, and his stream with him', async () => {
    await fixture.close();
    fixture = await DoorFixture.start({ timeouts: { visitorStallMs: 60 } });
    visitor = await fixture.dial();
    visitor.socket.pause();
    visitor.send('GET / HTTP/1.1', 'Host: a.test', '', '');
    const stream = await fixture.target.next();
    stream.head(200, []);
    void stream.flood(64 * MIB);
    expect(await stream.untilReset()).toBe('CANCELLED');
  });
});

describe('a visitor who reads the last answer slowly', () => {
  it('is not taken for idle, nor cut while lingering', async () => {
    await fixture.close();
    fixture = await DoorFixture.start({ timeouts: { keepAliveIdleMs: 20, lingerMs: 20, headMs: 20 } });
    for (const version of ['1.1', '1.0']) {
      const reader = await fixture.dial();
      reader.socket.pause();
      reader.send(`GET / HTTP/${version}`, 'Host: a.test', '', '');
      const total = 16 * MIB;
      (await fixture.target.next())
        .head(200, ['Content-Length', String(total)])
        .data(Buffer.alloc(total, 'x'))
        .finish();
      await staysTrue('nobody cuts', () => !reader.closed, 150);
      reader.socket.resume();
      const text = await reader.untilEnd();
      expect(text.length - text.indexOf('\r\n\r\n') - 4).toBe(total);
    }
  });
});

describe('a target that takes a body slowly', () => {
  it('holds the visitor back, with a bounded amount on the way, and gets every byte', async () => {
    const data = Buffer.alloc(32 * MIB, 'y');
    visitor.send('POST / HTTP/1.1', 'Host: a.test', `Content-Length: ${data.length}`, '', '');
    const stream = await fixture.target.next();
    stream.highWaterBytes = 128 * 1024;
    visitor.socket.write(data);
    let taken = 0;
    while (taken < data.length) {
      await stream.until(() => stream.heldBytes >= stream.highWaterBytes || taken + stream.heldBytes === data.length);
      await new Promise((resolve) => setImmediate(resolve));
      // What was there before it said so, and one read of a visitor who is fast.
      expect(stream.heldBytes).toBeLessThan(stream.highWaterBytes + 256 * 1024);
      taken += stream.heldBytes;
      stream.release();
    }
    await stream.untilEnded();
    stream.answer(204, [], '');
    await visitor.untilText('204');
  });
});
