/**
 * The wire between an agent and a relay, in one file: sizes, numbers, layouts. `docs/protocol.md` is the normative text.
 *
 * The conversation. The agent asks the relay's public port for `Upgrade: porthole` (or a WebSocket); after the 101
 * both ends speak frames only.
 *
 *   relay  CHALLENGE                      versions, nonce
 *   agent  HELLO                          a new session with a token, or a lane of an old one with a proof
 *   relay  WELCOME | REFUSED              how far the lane got | why not
 *   then   tracked frames in order, with ACK, PING and PONG in between, until CLOSE or the carrier dies
 *
 * A frame is an 8-byte header and a payload, all numbers big-endian:
 *
 *   u8 type | u8 flags | u16 length of the payload | u32 stream id (0: the session itself)
 *
 * Tracked frames (bit 0x40 of the type clear) are counted: their bytes, headers included, are the positions of the
 * lane, which ACK and resume speak of. Untracked ones are not, and are simply lost with a carrier.
 * A type with bit 0x80 set that a release does not know is skipped; any other unknown type ends the session.
 *
 * Version history: 1 first release.
 */

export const PROTOCOL_VERSION = 1;

/** Value of the `Upgrade` field and path of the request that starts a carrier. */
export const UPGRADE_TOKEN = 'porthole';
export const CARRIER_PATH = '/.well-known/porthole';
/** WebSocket subprotocol of the carrier that is used when the plain upgrade is refused. */
export const WEBSOCKET_PROTOCOL = 'porthole.1';

export const HEADER_BYTES = 8;
/** Largest payload a header can announce. */
export const MAX_PAYLOAD_BYTES = 65_535;
/** A stream's turn while others wait: with its header it fills one TLS record (16,384 bytes). */
export const DATA_PAYLOAD_BYTES = 16_376;
/** A stream's turn while nobody waits, and with a header the frame of a bulk transfer. */
export const LONE_PAYLOAD_BYTES = 4 * DATA_PAYLOAD_BYTES;
/** Credit that a new stream has in both directions before any CREDIT frame. */
export const INITIAL_WINDOW_BYTES = 262_144;
/** Payload limit of MESSAGE and handshake frames. */
export const MAX_MESSAGE_BYTES = 16_384;
/** Payload limit of RESET, CLOSE and GOAWAY: a number or two and a short text. */
export const MAX_REASON_BYTES = 1_024;
/** Bytes in front of the head block in an OPEN payload: u8 kind, u32 tunnel id. */
export const OPEN_PREFIX_BYTES = 5;
/** Longest head block that fits a frame. */
export const MAX_BLOCK_BYTES = MAX_PAYLOAD_BYTES - OPEN_PREFIX_BYTES;

export const FRAME = {
  /** u8 kind, u32 tunnel id, head block. Starts a stream. Flag END: nothing follows from the opener. */
  open: 0x01,
  /** Head block of an answer; interim answers (1xx) may come before the final one. Flag END: no body. */
  head: 0x02,
  /** Body or raw bytes, within the receiver's credit. Flag END: the last ones. */
  data: 0x03,
  /** Trailer fields; the end of this direction. */
  trailers: 0x04,
  /** u16 error number, UTF-8 text. Ends both directions of the stream. */
  reset: 0x05,
  /** u64: the offset up to which the other end may send on this stream. Absolute, so a repeated one is harmless. */
  credit: 0x06,
  /** JSON control message (`messages.ts`), stream 0. */
  message: 0x07,
  /** u16 error number, u32 milliseconds left, UTF-8 text; stream 0. The sender takes no new streams soon: move. */
  goAway: 0x08,

  /** u64: tracked bytes of this lane processed so far. */
  ack: 0x41,
  /** u64 chosen by the sender. */
  ping: 0x42,
  /** The u64 of the ping it answers. */
  pong: 0x43,
  /** u16 error number, UTF-8 text. The session is over; nothing is to be resumed. */
  close: 0x44,
  /** Handshake, JSON (`handshake.ts`). */
  challenge: 0x48,
  hello: 0x49,
  welcome: 0x4a,
  refused: 0x4b,
} as const;

export const UNTRACKED_BIT = 0x40;
export const SKIPPABLE_BIT = 0x80;

/** The only flag of version 1; undefined flags must be zero. */
export const FLAG_END = 0x01;

/** Least and most payload bytes of each known type, checked before anything is allocated. */
const PAYLOAD_LIMITS: ReadonlyMap<number, readonly [number, number]> = new Map([
  [FRAME.open, [OPEN_PREFIX_BYTES, MAX_PAYLOAD_BYTES]],
  [FRAME.head, [1, MAX_PAYLOAD_BYTES]],
  [FRAME.data, [0, MAX_PAYLOAD_BYTES]],
  [FRAME.trailers, [0, MAX_PAYLOAD_BYTES]],
  [FRAME.reset, [2, MAX_REASON_BYTES]],
  [FRAME.credit, [8, 8]],
  [FRAME.message, [2, MAX_MESSAGE_BYTES]],
  [FRAME.goAway, [6, MAX_REASON_BYTES]],
  [FRAME.ack, [8, 8]],
  [FRAME.ping, [8, 8]],
  [FRAME.pong, [8, 8]],
  [FRAME.close, [2, MAX_REASON_BYTES]],
  [FRAME.challenge, [2, MAX_MESSAGE_BYTES]],
  [FRAME.hello, [2, MAX_MESSAGE_BYTES]],
  [FRAME.welcome, [2, MAX_MESSAGE_BYTES]],
  [FRAME.refused, [2, MAX_MESSAGE_BYTES]],
]);

// By type, which is one byte: this is looked up for every frame.
const LEAST_BYTES = Uint16Array.from({ length: 256 }, (_, type) => PAYLOAD_LIMITS.get(type)?.[0] ?? 0);
const MOST_BYTES = Uint16Array.from({ length: 256 }, (_, type) => PAYLOAD_LIMITS.get(type)?.[1] ?? 0);
const MAY_END: ReadonlySet<number> = new Set([FRAME.open, FRAME.head, FRAME.data]);
const FLAGS_ALLOWED = Uint8Array.from({ length: 256 }, (_, type) => (MAY_END.has(type) ? FLAG_END : 0));

/** What is wrong with a header, or undefined. Unknown skippable types are in order. */
export function headerFault(type: number, flags: number, length: number): string | undefined {
  const most = MOST_BYTES[type] as number;
  if (most === 0) return (type & SKIPPABLE_BIT) !== 0 ? undefined : `unknown frame type ${type}`;
  if (length < (LEAST_BYTES[type] as number) || length > most) return `frame type ${type} with ${length} bytes`;
  if ((flags & ~(FLAGS_ALLOWED[type] as number)) !== 0) return `frame type ${type} with flags ${flags}`;
  return undefined;
}

export function isTracked(type: number): boolean {
  return (type & UNTRACKED_BIT) === 0;
}

/** Writes a header at `offset` and returns the offset behind it. */
export function writeHeader(
  into: Buffer,
  offset: number,
  type: number,
  flags: number,
  length: number,
  streamId: number,
): number {
  into[offset] = type;
  into[offset + 1] = flags;
  into[offset + 2] = length >>> 8;
  into[offset + 3] = length & 0xff;
  into[offset + 4] = streamId >>> 24;
  into[offset + 5] = (streamId >>> 16) & 0xff;
  into[offset + 6] = (streamId >>> 8) & 0xff;
  into[offset + 7] = streamId & 0xff;
  return offset + HEADER_BYTES;
}

const TWO_32 = 2 ** 32;

/** Writes a u64 that is a safe integer and returns the offset behind it. */
export function writeU64(into: Buffer, offset: number, value: number): number {
  into.writeUInt32BE(Math.floor(value / TWO_32), offset);
  into.writeUInt32BE(value % TWO_32, offset + 4);
  return offset + 8;
}

/** Reads a u64; one above 2^53 - 1 comes back as NaN, which no comparison accepts. */
export function readU64(from: Buffer, offset: number): number {
  const value = from.readUInt32BE(offset) * TWO_32 + from.readUInt32BE(offset + 4);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** A whole frame in a buffer of its own, for what is rare (handshake, close). */
export function encodeFrame(type: number, streamId: number, payload: Buffer, flags = 0): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  writeHeader(frame, 0, type, flags, payload.length, streamId);
  payload.copy(frame, HEADER_BYTES);
  return frame;
}

/** Payload of RESET and CLOSE; the text is cut to fit. */
export function encodeReason(wireNumber: number, text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8').subarray(0, MAX_REASON_BYTES - 2);
  const payload = Buffer.allocUnsafe(2 + bytes.length);
  payload.writeUInt16BE(wireNumber, 0);
  bytes.copy(payload, 2);
  return payload;
}

export function decodeReason(payload: Buffer): { wireNumber: number; text: string } {
  return { wireNumber: payload.readUInt16BE(0), text: payload.toString('utf8', 2) };
}
