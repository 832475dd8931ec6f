import {
  IN_FLIGHT_FLOOR_BYTES,
  IN_FLIGHT_LIMIT_BYTES,
  INITIAL_WINDOW_BYTES,
  InFlightCap,
  MAX_WINDOW_BYTES,
  ReceiveWindow,
  ReplayBuffer,
} from '@porthole/protocol';
import { describe, expect, it } from 'vitest';

/** A line with a rate and a round trip that always has enough to send: what the cap does on it. */
function runLine(options: { bytesPerMs: number; rttMs: number; forMs: number; cap?: InFlightCap }): {
  cap: InFlightCap;
  deliveredPerMs: number;
  maxInFlight: number;
} {
  const cap = options.cap ?? new InFlightCap();
  const acks: { at: number; position: number }[] = [];
  let sent = 0;
  let acked = 0;
  let lineFreeAt = 0;
  let maxInFlight = 0;
  for (let now = 1; now <= options.forMs; now += 1) {
    while (acks.length > 0 && (acks[0] as { at: number }).at <= now) {
      acked = (acks.shift() as { position: number }).position;
      cap.onAck(acked, now);
    }
    while (sent - acked < cap.capBytes) {
      sent += 16_384;
      cap.onSent(sent, true, now);
      lineFreeAt = Math.max(lineFreeAt, now) + 16_384 / options.bytesPerMs;
      acks.push({ at: lineFreeAt + options.rttMs, position: sent });
    }
    maxInFlight = Math.max(maxInFlight, sent - acked);
  }
  return { cap, deliveredPerMs: acked / options.forMs, maxInFlight };
}

describe('the in-flight cap', () => {
  it('fills a line of 20 Mbit/s and 60 ms without queueing more than about half a round trip', () => {
    const { cap, deliveredPerMs } = runLine({ bytesPerMs: 2_500, rttMs: 60, forMs: 20_000 });
    expect(deliveredPerMs).toBeGreaterThan(2_500 * 0.95);
    expect(cap.capBytes).toBeLessThan(2_500 * 60 * 2.2);
  });

  it('grows to fill 1 Gbit/s at 100 ms', () => {
    const { cap, deliveredPerMs } = runLine({ bytesPerMs: 125_000, rttMs: 100, forMs: 15_000 });
    expect(deliveredPerMs).toBeGreaterThan(125_000 * 0.8);
    expect(cap.capBytes).toBeLessThanOrEqual(IN_FLIGHT_LIMIT_BYTES);
  });

  it('keeps to its floor and its limit', () => {
    expect(runLine({ bytesPerMs: 10, rttMs: 1, forMs: 3_000 }).cap.capBytes).toBe(IN_FLIGHT_FLOOR_BYTES);
    expect(runLine({ bytesPerMs: 5_000_000, rttMs: 200, forMs: 5_000 }).cap.capBytes).toBe(IN_FLIGHT_LIMIT_BYTES);
  });

  it('measures the shortest round trip again now and then, without losing the rate', () => {
    const { cap, deliveredPerMs } = runLine({ bytesPerMs: 2_500, rttMs: 60, forMs: 90_000 });
    expect(deliveredPerMs).toBeGreaterThan(2_500 * 0.9);
    expect(cap.minRttMs).toBeLessThan(90);
  });
});

describe('a receive window', () => {
  it('does not take what a kernel swallows for reading: a reader who stops after a megabyte cost the first window', () => {
    const window = new ReceiveWindow({ leftBytes: 1_000_000_000, open: 0 });
    for (let bytes = 0; bytes < 1_000_000; bytes += 16_384) {
      window.receive(16_384);
      window.consume(16_384, 100, 1);
    }
    expect(window.windowBytes).toBe(INITIAL_WINDOW_BYTES);
  });

  it('is past 16 MiB after 64 MiB of a reader who keeps up', () => {
    const window = new ReceiveWindow({ leftBytes: 1_000_000_000, open: 0 });
    for (let bytes = 0; bytes < 64 * 1_048_576; bytes += 16_384) {
      window.receive(16_384);
      window.consume(16_384, 100, 1);
    }
    expect(window.windowBytes).toBeGreaterThanOrEqual(16 * 1_048_576);
  });

  it('grants at a quarter consumed, as an absolute offset, and does not grow for a slow reader', () => {
    const window = new ReceiveWindow({ leftBytes: 1_000_000_000, open: 0 });
    expect(window.granted).toBe(INITIAL_WINDOW_BYTES);
    let now = 1_000;
    let grants = 0;
    for (let index = 0; index < 400; index += 1) {
      expect(window.receive(4_096)).toBe(true);
      now += 100;
      if (window.consume(4_096, 10, now)) grants += 1;
    }
    expect(grants).toBe(400 / 16);
    expect(window.windowBytes).toBe(INITIAL_WINDOW_BYTES);
    expect(window.granted).toBe(400 * 4_096 + INITIAL_WINDOW_BYTES);
  });

  it('does not grow for a stream that has a small share of the line, of many that are read at once', () => {
    const window = new ReceiveWindow({ leftBytes: 1_000_000_000, open: 0 });
    // A quarter of a window in one and a half round trips of 100 ms.
    for (let now = 0; now < 10_000; now += 150) {
      window.receive(INITIAL_WINDOW_BYTES / 4);
      window.consume(INITIAL_WINDOW_BYTES / 4, 100, now);
    }
    expect(window.windowBytes).toBe(INITIAL_WINDOW_BYTES);
  });

  it('is made smaller when there are hundreds and it is not read fast, what was granted being used up first', () => {
    const budget = { leftBytes: 0, open: 0 };
    const windows = Array.from({ length: 256 }, () => new ReceiveWindow(budget));
    const window = windows[0] as ReceiveWindow;
    const grants = [window.granted];
    for (let now = 0; now < 20_000; now += 100) {
      expect(window.receive(16_384)).toBe(true);
      if (window.consume(16_384, 100, now)) grants.push(window.granted);
    }
    expect(window.windowBytes).toBe(65_536);
    expect(grants.toSorted((a, b) => a - b)).toEqual(grants);
    // Alone again, and read fast: as large as ever.
    for (const other of windows.slice(1)) other.close();
    for (let bytes = 0; bytes < 4 * INITIAL_WINDOW_BYTES; bytes += 16_384) {
      window.receive(16_384);
      window.consume(16_384, 100, 20_000);
    }
    expect(window.windowBytes).toBe(INITIAL_WINDOW_BYTES);
    window.close();
    expect(budget).toEqual({ leftBytes: 0, open: 0 });
  });

  it('grows for a fast reader, up to the limit and the budget', () => {
    const budget = { leftBytes: 10 * INITIAL_WINDOW_BYTES, open: 0 };
    const window = new ReceiveWindow(budget);
    let now = 1_000;
    for (let index = 0; index < 5_000; index += 1) {
      window.receive(65_536);
      now += 1;
      window.consume(65_536, 100, now);
    }
    expect(window.windowBytes).toBe(11 * INITIAL_WINDOW_BYTES);
    expect(budget.leftBytes).toBe(0);
    window.close();
    expect(budget.leftBytes).toBe(10 * INITIAL_WINDOW_BYTES);
    expect(MAX_WINDOW_BYTES).toBe(32 * 1_048_576);
  });

  it('tells a sender that goes too far, and never counts more as consumed than came', () => {
    const window = new ReceiveWindow({ leftBytes: 0, open: 0 });
    expect(window.receive(INITIAL_WINDOW_BYTES)).toBe(true);
    expect(window.receive(1)).toBe(false);
    window.consume(10_000_000, 10, 1);
    expect(window.granted).toBeLessThanOrEqual(2 * INITIAL_WINDOW_BYTES + 1);
    expect(window.heldBytes).toBe(0);
  });
});

describe('a replay buffer', () => {
  it('gives back exactly what was not acknowledged, from any position', () => {
    const replay = new ReplayBuffer();
    const sent = Buffer.from(Array.from({ length: 5_000 }, (_, index) => index % 251));
    for (let at = 0; at < sent.length; at += 7) replay.push(sent.subarray(at, at + 7));
    for (const acked of [0, 1, 7, 8, 1_000, 1_000, 4_321]) {
      expect(replay.ack(acked)).toBe(true);
      for (const from of [acked, acked + 1, acked + 500, 5_000]) {
        expect(Buffer.concat(replay.from(from) ?? []).equals(sent.subarray(from))).toBe(true);
      }
    }
    expect(replay.from(4_320)).toBeUndefined();
    expect(replay.from(5_001)).toBeUndefined();
    expect(replay.ack(5_001)).toBe(false);
    expect(replay.ack(3)).toBe(true);
    expect(replay.acked).toBe(4_321);
    expect(replay.ack(5_000)).toBe(true);
    expect(replay.unackedBytes).toBe(0);
  });
});
