import {
  codeOfWire,
  encodeFrame,
  ERRORS,
  FLAG_END,
  FRAME,
  FrameReader,
  headerFault,
  PortholeError,
  readU64,
  writeHeader,
  writeU64,
} from '@porthole/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

interface Seen {
  frames: { type: number; flags: number; streamId: number; payload: string }[];
  data: Map<number, string>;
  ends: number[];
}

function read(pieces: Buffer[]): Seen & { position: number } {
  const seen: Seen = { frames: [], data: new Map(), ends: [] };
  const reader = new FrameReader({
    onFrame: (type, flags, streamId, from, start, end) =>
      seen.frames.push({ type, flags, streamId, payload: from.toString('hex', start, end) }),
    onData: (streamId, piece, last) => {
      seen.data.set(streamId, (seen.data.get(streamId) ?? '') + piece.toString('hex'));
      if (last) seen.ends.push(streamId);
    },
  });
  for (const piece of pieces) reader.feed(piece);
  return { ...seen, position: reader.position };
}

/** The wire once more, written without looking at the first: what the codec is checked against. */
function naiveFrame(type: number, flags: number, streamId: number, payload: number[]): number[] {
  const big = (value: number, bytes: number): number[] =>
    Array.from({ length: bytes }, (_, index) => Math.floor(value / 256 ** (bytes - 1 - index)) % 256);
  return [type, flags, ...big(payload.length, 2), ...big(streamId, 4), ...payload];
}

describe('the numbers of the wire', () => {
  it('never change', () => {
    expect(FRAME).toEqual({
      open: 0x01,
      head: 0x02,
      data: 0x03,
      trailers: 0x04,
      reset: 0x05,
      credit: 0x06,
      message: 0x07,
      goAway: 0x08,
      ack: 0x41,
      ping: 0x42,
      pong: 0x43,
      close: 0x44,
      challenge: 0x48,
      hello: 0x49,
      welcome: 0x4a,
      refused: 0x4b,
    });
  });

  it('of errors are unique, fit two bytes and read back', () => {
    const wires = Object.values(ERRORS).map((row) => row.wire);
    expect(new Set(wires).size).toBe(wires.length);
    expect(wires.length).toBeGreaterThan(40);
    for (const [code, row] of Object.entries(ERRORS)) expect(codeOfWire(row.wire)).toBe(code);
    expect(Math.max(...wires)).toBeLessThan(65_536);
    expect(codeOfWire(65_535)).toBe('INTERNAL');
  });
});

describe('a frame', () => {
  it('has these bytes', () => {
    expect(encodeFrame(FRAME.data, 0x01020304, Buffer.from('hi'), FLAG_END).toString('hex')).toBe(
      '030100020102' + '0304' + '6869',
    );
    expect(encodeFrame(FRAME.ping, 0, Buffer.alloc(8, 7)).toString('hex')).toBe('42000008000000000707070707070707');
  });

  it('is written as a naive second codec writes it', () => {
    fc.assert(
      fc.property(
        fc.nat(255),
        fc.nat(255),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.uint8Array({ maxLength: 300 }),
        (type, flags, streamId, payload) => {
          expect([...encodeFrame(type, streamId, Buffer.from(payload), flags)]).toEqual(
            naiveFrame(type, flags, streamId, [...payload]),
          );
        },
      ),
    );
  });

  it('carries numbers up to 2^53 - 1, and none above', () => {
    const bytes = Buffer.alloc(8);
    for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 48 + 5, Number.MAX_SAFE_INTEGER]) {
      writeU64(bytes, 0, value);
      expect(bytes.readBigUInt64BE()).toBe(BigInt(value));
      expect(readU64(bytes, 0)).toBe(value);
    }
    bytes.writeBigUInt64BE(2n ** 53n);
    expect(readU64(bytes, 0)).toBeNaN();
  });
});

describe('a frame reader', () => {
  const wire = Buffer.concat([
    encodeFrame(FRAME.ping, 0, Buffer.alloc(8, 1)),
    encodeFrame(FRAME.open, 1, Buffer.from('\x01\0\0\0\x07GET'), FLAG_END),
    encodeFrame(FRAME.data, 1, Buffer.from('first')),
    encodeFrame(0xc5, 9, Buffer.from('a frame of a later release')),
    encodeFrame(FRAME.data, 1, Buffer.alloc(0)),
    encodeFrame(FRAME.data, 1, Buffer.from('second'), FLAG_END),
    encodeFrame(FRAME.trailers, 3, Buffer.alloc(0)),
    encodeFrame(FRAME.data, 5, Buffer.alloc(0), FLAG_END),
    encodeFrame(FRAME.credit, 3, Buffer.alloc(8, 2)),
  ]);
  const whole = read([wire]);

  it('reads the same however the bytes are cut', () => {
    expect(whole.frames.length).toBe(5);
    expect(Buffer.from(whole.data.get(1) ?? '', 'hex').toString()).toBe('firstsecond');
    expect(whole.ends).toEqual([1, 5]);
    for (let at = 0; at <= wire.length; at += 1) expect(read([wire.subarray(0, at), wire.subarray(at)])).toEqual(whole);
    expect(read([...wire].map((byte) => Buffer.from([byte])))).toEqual(whole);
  });

  it('counts tracked bytes only', () => {
    const untracked = 16 + 8 + 'a frame of a later release'.length;
    expect(whole.position).toBe(wire.length - untracked);
  });

  it('stands, after any cut, where the bytes to come start: at a frame, or inside a DATA payload', () => {
    const tracked = Buffer.concat([
      encodeFrame(FRAME.open, 1, Buffer.from('\x01\0\0\0\x07GET')),
      encodeFrame(FRAME.data, 1, Buffer.from('some bytes'), FLAG_END),
      encodeFrame(FRAME.reset, 3, Buffer.from([0, 1])),
    ]);
    const expected = read([tracked]);
    for (let at = 0; at <= tracked.length; at += 1) {
      const seen: Seen = { frames: [], data: new Map(), ends: [] };
      const reader = new FrameReader({
        onFrame: (type, flags, streamId, from, start, end) =>
          seen.frames.push({ type, flags, streamId, payload: from.toString('hex', start, end) }),
        onData: (streamId, piece, last) => {
          seen.data.set(streamId, (seen.data.get(streamId) ?? '') + piece.toString('hex'));
          if (last) seen.ends.push(streamId);
        },
      });
      reader.feed(tracked.subarray(0, at));
      reader.forgetPartial();
      expect(reader.position).toBeLessThanOrEqual(at);
      reader.feed(tracked.subarray(reader.position));
      expect({ ...seen, position: reader.position }).toEqual(expected);
    }
  });

  it('refuses headers that break the rules, before it allocates anything', () => {
    const header = (type: number, flags: number, length: number): Buffer => {
      const bytes = Buffer.alloc(8);
      writeHeader(bytes, 0, type, flags, length, 1);
      return bytes;
    };
    const bad: [number, number, number][] = [
      [0x00, 0, 0],
      [0x3f, 0, 0],
      [0x45, 0, 0],
      [FRAME.data, 2, 1],
      [FRAME.credit, 0, 7],
      [FRAME.credit, 0, 9],
      [FRAME.ack, 1, 8],
      [FRAME.message, 0, 16_385],
      [FRAME.message, 0, 1],
      [FRAME.reset, 0, 1],
      [FRAME.reset, 0, 1_025],
      [FRAME.open, 0, 4],
      [FRAME.head, 0, 0],
      [FRAME.hello, 0, 16_385],
      [FRAME.close, 0, 0],
      [FRAME.trailers, 1, 3],
    ];
    for (const [type, flags, length] of bad) {
      expect(headerFault(type, flags, length), `${type} ${flags} ${length}`).toBeTypeOf('string');
      expect(() => read([header(type, flags, length)])).toThrow(PortholeError);
    }
  });
});
