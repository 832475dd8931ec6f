/**
 * What a stream looks like to both ends of a session. The same shape is the seam between the relay's doors and
 * whatever takes a visitor (an agent, another node, a fake), so that the forwarder never learns which it is.
 */
import type { ErrorCode } from './errors.ts';

/** What a stream carries. The numbers are on the wire. */
export const STREAM_KIND = { exchange: 1, raw: 2 } as const;
export type StreamKind = (typeof STREAM_KIND)[keyof typeof STREAM_KIND];

/**
 * What arrives on a stream. Calls come in order: head (interim ones first), data, trailers, end; or a reset at any
 * time, after which nothing comes. Nothing is called from within `open`, `write` or any other call into the stream.
 */
export interface StreamSink {
  /** A head block: latin1 text, parts separated by NUL (see `head.ts`). */
  onHead(block: string): void;
  /**
   * Body bytes. The view is the sink's to keep; once it has done with it, it may say so (`release`), so that the memory
   * is used again. Every byte must be given back by `Stream.consumed` once it has been
   * written on: that is what lets the other end send more.
   */
  onData(chunk: Buffer): void;
  onTrailers(block: string): void;
  /** The other end has sent everything; this end may go on sending. */
  onEnd(): void;
  onReset(code: ErrorCode, detail: string): void;
  /** After `write` said false: there is room again. */
  onWritable(): void;
}

/** For a stream that was refused, and of which nothing comes any more. */
export const NO_SINK: StreamSink = {
  onHead() {},
  onData() {},
  onTrailers() {},
  onEnd() {},
  onReset() {},
  onWritable() {},
};

export interface Stream {
  sendHead(block: string): void;
  /**
   * Takes ownership of `chunk` (it is kept until the other end has it, and released then; do not write to its memory
   * again, nor keep it elsewhere).
   * False means: stop producing until `onWritable`. The bytes were taken all the same.
   */
  write(chunk: Buffer): boolean;
  sendTrailers(block: string): void;
  /** No more from this end. Idempotent. The stream is gone once both ends have ended. */
  end(): void;
  /** Ends both directions now; what was not sent yet is dropped. Idempotent; a no-op on a finished stream. */
  reset(code: ErrorCode, detail?: string): void;
  /** Says that `bytes` of the data received have been written on, so that the other end may send as many more. */
  consumed(bytes: number): void;
}
