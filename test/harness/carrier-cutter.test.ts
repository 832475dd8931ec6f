import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CarrierCutter, startCarrierCutter } from './carrier-cutter.ts';
import { patternBody, patternSha256, patternSlice } from './random.ts';
import { type RawOrigin, startRawOrigin } from './raw-origin.ts';
import { staysTrue, until } from './until.ts';
import { type Wire, connectWire } from './wire.ts';

/** The relay's side is a plain listener; the agent's side a raw socket. */
async function linked(): Promise<
  { relay: RawOrigin; cutter: CarrierCutter; agentSide: Wire; relaySide: Wire } & AsyncDisposable
> {
  const relay = await startRawOrigin();
  const cutter = await startCarrierCutter({ port: relay.port });
  const agentSide = await connectWire({ host: '127.0.0.1', port: cutter.port });
  const relaySide = await relay.accept();
  await cutter.untilLinked();
  return {
    relay,
    cutter,
    agentSide,
    relaySide,
    [Symbol.asyncDispose]: async () => {
      await agentSide.close();
      await cutter.close();
      await relay.close();
    },
  };
}

describe('the carrier cutter', () => {
  it('forwards both ways, keeps half-close and counts bytes', async () => {
    await using line = await linked();
    await line.agentSide.send('up');
    line.agentSide.end();
    expect((await line.relaySide.readToEnd()).toString()).toBe('up');
    await line.relaySide.send('down!');
    line.relaySide.end();
    expect((await line.agentSide.readToEnd()).toString()).toBe('down!');
    expect(line.cutter.bytes).toEqual({ up: 2, down: 5 });
    await line.cutter.untilUnlinked();
  });

  it('carries megabytes unchanged', async () => {
    await using line = await linked();
    const size = 8 * 1024 * 1024;
    const hash = createHash('sha256');
    line.relaySide.socket.on('data', (chunk) => hash.update(chunk));
    for (const piece of patternBody(size)) await line.agentSide.send(piece);
    await line.relaySide.untilReceived(size);
    expect(hash.digest('hex')).toBe(patternSha256(size));
  });

  it('closes with FIN on both sides', async () => {
    await using line = await linked();
    expect(line.cutter.cut('close')).toBe(1);
    await line.agentSide.untilEnded();
    await line.relaySide.untilEnded();
    expect([line.agentSide.wasReset, line.relaySide.wasReset]).toEqual([false, false]);
    expect(line.cutter.links).toBe(0);
  });

  it('resets both sides', async () => {
    await using line = await linked();
    line.cutter.cut('reset');
    await line.agentSide.untilClosed();
    await line.relaySide.untilClosed();
    expect([line.agentSide.wasReset, line.relaySide.wasReset]).toEqual([true, true]);
  });

  it.each([0, 1, 7, 100_000])('cuts after exactly %i bytes', async (limit) => {
    await using line = await linked();
    const cut = line.cutter.cutAfter(limit, 'up', 'close');
    line.agentSide.socket.write(patternSlice(0, 200_000));
    await cut;
    expect(await line.relaySide.readToEnd()).toEqual(patternSlice(0, limit));
    expect(line.cutter.bytes.up).toBe(limit);
  });

  it('black-holes one way alone, with the sockets open, and delivers everything once healed', async () => {
    await using line = await linked();
    line.cutter.blackHole('up');
    await line.agentSide.send('lost?');
    await line.relaySide.send('passes');
    expect((await line.agentSide.readBytes(6)).toString()).toBe('passes');
    await staysTrue('nothing gets up', () => line.relaySide.receivedBytes === 0, 50);
    expect([line.agentSide.closed, line.relaySide.closed]).toEqual([false, false]);
    line.cutter.heal();
    expect((await line.relaySide.readBytes(5)).toString()).toBe('lost?');
  });

  it('keeps new links silent while it is a black hole', async () => {
    await using line = await linked();
    line.cutter.blackHole();
    await using late = await connectWire({ host: '127.0.0.1', port: line.cutter.port });
    await late.send('hello');
    await staysTrue('the relay hears nothing', () => line.relay.accepted === 1, 50);
    line.cutter.heal();
    const other = await line.relay.accept();
    expect((await other.readBytes(5)).toString()).toBe('hello');
  });

  it('delays what it forwards, in order, the end included', async () => {
    await using line = await linked();
    line.cutter.delay(60);
    const start = performance.now();
    await line.agentSide.send('one');
    await line.agentSide.send('two');
    line.agentSide.end();
    expect((await line.relaySide.readToEnd()).toString()).toBe('onetwo');
    expect(performance.now() - start).toBeGreaterThan(55);
  });

  it('throttles', async () => {
    await using line = await linked();
    line.cutter.throttle(1_000_000, 'up');
    const start = performance.now();
    await line.agentSide.send(patternSlice(0, 200_000));
    expect(await line.relaySide.readBytes(200_000)).toEqual(patternSlice(0, 200_000));
    expect(performance.now() - start).toBeGreaterThan(180);
  });

  it('accepts and closes at once when told to be useless', async () => {
    await using line = await linked();
    line.cutter.refuse(true);
    await using late = await connectWire({ host: '127.0.0.1', port: line.cutter.port });
    await late.untilEnded();
    expect(line.relay.accepted).toBe(1);
  });

  it('draws the same moments from the same seed', async () => {
    const run = async (): Promise<number[]> => {
      const seen: number[] = [];
      await using relay = await startRawOrigin(async ({ wire }) => {
        wire.socket.resume();
      });
      await using cutter = await startCarrierCutter({ port: relay.port });
      cutter.events.on('cut', () => seen.push(cutter.bytes.up));
      const done = cutter.cutAtRandom({ seed: 7, times: 5, bytesBetween: [100, 5000], manner: 'close' });
      while (cutter.cuts < 5) {
        await using agentSide = await connectWire({ host: '127.0.0.1', port: cutter.port });
        agentSide.socket.write(Buffer.alloc(20_000, 0x61));
        await agentSide.untilEnded();
      }
      await done;
      return seen;
    };
    const first = await run();
    expect(first).toHaveLength(5);
    expect(await run()).toEqual(first);
  });

  it('leaves no socket behind', async () => {
    const line = await linked();
    await line[Symbol.asyncDispose]();
    await until('sockets gone', () => line.agentSide.closed && line.relaySide.closed);
  });

  it('listens in vain for nobody: a relay that is away resets the agent', async () => {
    const gone = await startRawOrigin();
    const { port } = gone;
    await gone.close();
    await using cutter = new CarrierCutter({ port });
    await cutter.start();
    await using agentSide = await connectWire({ host: '127.0.0.1', port: cutter.port });
    await agentSide.untilClosed();
    expect(agentSide.wasReset).toBe(true);
  });
});
