/** Sends pieces of an open file (with text between them) into a stream, at the pace at which the stream takes them. */
import type { FileHandle } from 'node:fs/promises';
import type { Stream } from '@porthole/agent';
import type { ByteRange } from './ranges.ts';

/** What a body is made of, in order. */
export type BodyPart = string | ByteRange;

/** Bytes read at once. At most two such pieces are held for each visitor. */
const PIECE_BYTES = 256 * 1024;

/** How the sender learns that there is room again, or that nobody listens any more. */
export class Flow {
  #over = false;
  #wake: (() => void) | undefined;

  get over(): boolean {
    return this.#over;
  }

  /** Resolves when the stream takes bytes again, or is over. */
  room(): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  writable(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  finish(): void {
    this.#over = true;
    this.writable();
  }
}

/** True when all was sent; false when the visitor left. Throws when the file gives less than it promised. */
export async function sendParts(
  handle: FileHandle,
  parts: readonly BodyPart[],
  stream: Stream,
  flow: Flow,
): Promise<boolean> {
  for (const part of parts) {
    const sent =
      typeof part === 'string'
        ? await send(Buffer.from(part, 'utf8'), stream, flow)
        : await sendRange(handle, part, stream, flow);
    if (!sent) return false;
  }
  return true;
}

/** The next piece is read while the last one is on its way, so that disk and network work at the same time. */
async function sendRange(handle: FileHandle, range: ByteRange, stream: Stream, flow: Flow): Promise<boolean> {
  let position = range.first;
  let next = readPiece(handle, position, range.last);
  for (;;) {
    const piece = await next;
    position += piece.length;
    const more = position <= range.last;
    if (more) {
      next = readPiece(handle, position, range.last);
      // Awaited in the next round; if the visitor leaves before that, its failure must not go unheard.
      next.catch(() => {});
    }
    if (!(await send(piece, stream, flow))) {
      // The handle is closed by the caller: not while a read is under way.
      if (more) await next.catch(() => {});
      return false;
    }
    if (!more) return true;
  }
}

async function send(piece: Buffer, stream: Stream, flow: Flow): Promise<boolean> {
  if (flow.over) return false;
  if (!stream.write(piece)) await flow.room();
  return !flow.over;
}

/** A fresh buffer each time: the stream keeps it until the other end has the bytes. */
async function readPiece(handle: FileHandle, position: number, last: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, last - position + 1));
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
  if (bytesRead === 0) throw new Error('the file became shorter while it was being sent');
  return bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
}
