import { describe, expect, it } from 'vitest';
import { restartFrame, WebSocketFrames } from './websocket-frames.ts';

function frame(payload: number, masked = false): Buffer {
  const mask = masked ? 0x80 : 0;
  const head = [0x82];
  if (payload < 126) head.push(mask | payload);
  else if (payload < 65536) head.push(mask | 126, payload >> 8, payload & 0xff);
  else head.push(mask | 127, 0, 0, 0, 0, 0, payload >> 16, (payload >> 8) & 0xff, payload & 0xff);
  return Buffer.concat([Buffer.from(head), Buffer.alloc(payload + (masked ? 4 : 0), 0xff)]);
}

describe('WebSocket frames', () => {
  it('are followed to their ends, whatever their lengths and however the bytes are split', () => {
    for (const masked of [false, true]) {
      const frames = [0, 1, 125, 126, 300, 65535, 65536, 0].map((payload) => frame(payload, masked));
      const bytes = Buffer.concat(frames);
      const ends = new Set<number>();
      let end = 0;
      for (const one of frames) ends.add((end += one.length));
      const bytewise = new WebSocketFrames();
      for (let i = 0; i < bytes.length; i++) {
        bytewise.feed(bytes.subarray(i, i + 1));
        if (bytewise.isAtBoundary !== ends.has(i + 1)) expect.fail(`wrong at ${i + 1}`);
      }
      const atOnce = new WebSocketFrames();
      atOnce.feed(bytes);
      expect(atOnce.isAtBoundary).toBe(true);
      expect(ends.size).toBe(8);
    }
  });

  it('of the relay say 1012', () => {
    expect([...restartFrame()]).toEqual([0x88, 2, 0x03, 0xf4]);
  });
});
