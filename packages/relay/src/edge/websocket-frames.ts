/** Follows WebSocket frames (RFC 6455 section 5.2) just closely enough to know where one ends and another may be put. */
import type { ErrorCode } from '@porthole/protocol';

const LENGTH_16 = 126;
const LENGTH_64 = 127;
const SERVICE_RESTART = 1012;

/** The stream ended because agent or worker went: whoever comes again may find the next one. */
export function mayComeBack(code: ErrorCode): boolean {
  return code === 'SESSION_LOST' || code === 'GOING_AWAY';
}

/** A close frame of a server: "service restart", come back later. */
export function restartFrame(): Buffer {
  return Buffer.from([0x88, 0x02, SERVICE_RESTART >> 8, SERVICE_RESTART & 0xff]);
}

export class WebSocketFrames {
  /** Of the frame's head: bytes seen, bytes it has (2 until the second is known). */
  #headSeen = 0;
  #headLength = 2;
  #lengthBytes = 0;
  #length = 0;
  /** Payload bytes still to come. */
  #left = 0;

  /** The bytes fed so far end with a whole frame. */
  get isAtBoundary(): boolean {
    return this.#headSeen === 0 && this.#left === 0;
  }

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, chunk.length - at);
        this.#left -= step;
        at += step;
      } else {
        this.#headByte(chunk[at] as number);
        at += 1;
      }
    }
  }

  #headByte(byte: number): void {
    this.#headSeen += 1;
    if (this.#headSeen === 2) this.#secondByte(byte);
    else if (this.#headSeen > 2 && this.#headSeen <= 2 + this.#lengthBytes) this.#length = this.#length * 256 + byte;
    if (this.#headSeen < this.#headLength) return;
    this.#left = this.#length;
    this.#headSeen = 0;
    this.#headLength = 2;
    this.#lengthBytes = 0;
    this.#length = 0;
  }

  #secondByte(byte: number): void {
    const length = byte & 0x7f;
    if (length === LENGTH_16) this.#lengthBytes = 2;
    else if (length === LENGTH_64) this.#lengthBytes = 8;
    else this.#length = length;
    const maskBytes = (byte & 0x80) === 0 ? 0 : 4;
    this.#headLength = 2 + this.#lengthBytes + maskBytes;
  }
}
