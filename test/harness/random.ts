/** Seeded randomness, so that a failing schedule can be run again, and bodies of any size that cost little to make. */
import { createHash } from 'node:crypto';

export interface Random {
  /** From 0 up to but not including 1. */
  next(): number;
  /** Whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  bytes(length: number): Buffer;
}

/** mulberry32: small and good enough for schedules. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    next,
    between: (low, high) => low + Math.floor(next() * (high - low + 1)),
    bytes: (length) => {
      const out = Buffer.allocUnsafe(length);
      for (let i = 0; i < length; i++) out[i] = Math.floor(next() * 256);
      return out;
    },
  };
}

const BLOCK = 64 * 1024;
const block = seededRandom(20_26).bytes(BLOCK);

/** The bytes of the test body from `offset`: pseudo-random, every block stamped with its number so that no two are equal. */
export function patternSlice(offset: number, length: number): Buffer {
  const out = Buffer.allocUnsafe(length);
  let done = 0;
  while (done < length) {
    const at = offset + done;
    const inBlock = at % BLOCK;
    const take = Math.min(BLOCK - inBlock, length - done);
    block.copy(out, done, inBlock, inBlock + take);
    stamp(out, done, inBlock, take, Math.floor(at / BLOCK));
    done += take;
  }
  return out;
}

/** The test body of `size` bytes in pieces of at most `pieceBytes`. */
export function* patternBody(size: number, pieceBytes = BLOCK): Generator<Buffer> {
  for (let at = 0; at < size; at += pieceBytes) yield patternSlice(at, Math.min(pieceBytes, size - at));
}

const digests = new Map<number, string>();

/** sha256 (hex) of the test body of `size` bytes. */
export function patternSha256(size: number): string {
  const known = digests.get(size);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  for (const piece of patternBody(size, 1024 * 1024)) hash.update(piece);
  const digest = hash.digest('hex');
  digests.set(size, digest);
  return digest;
}

function stamp(out: Buffer, at: number, inBlock: number, take: number, number: number): void {
  for (let i = inBlock; i < Math.min(8, inBlock + take); i++) {
    out[at + i - inBlock] = Math.floor(number / 2 ** (8 * (7 - i))) & 0xff;
  }
}
