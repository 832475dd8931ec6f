/**
 * How often one network may ask over UDP, where the sender's address proves nothing. Past the limit every second
 * question gets "ask over TCP", so that whoever really is there still gets through; the rest gets silence.
 */
import { addressToBytes } from '@porthole/acme';

export interface DnsRateLimitOptions {
  /** Answers per second and network (/24 or /56) in the long run. Default 20. */
  readonly perSecond?: number;
  /** At once. Default 50. */
  readonly burst?: number;
  /** Networks remembered; the longest unheard one is forgotten. Default 10,000. */
  readonly maxNetworks?: number;
  readonly now?: () => number;
}

interface Bucket {
  tokens: number;
  atMs: number;
  refusals: number;
}

export class DnsRateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #maxNetworks: number;
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: DnsRateLimitOptions = {}) {
    this.#perMs = (options.perSecond ?? 20) / 1000;
    this.#burst = options.burst ?? 50;
    this.#maxNetworks = options.maxNetworks ?? 10_000;
    this.#now = options.now ?? Date.now;
  }

  /** For metrics. */
  get networks(): number {
    return this.#buckets.size;
  }

  decide(address: string): 'answer' | 'truncate' | 'drop' {
    const bucket = this.#bucketOf(networkOf(address));
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return 'answer';
    }
    bucket.refusals += 1;
    return bucket.refusals % 2 === 1 ? 'truncate' : 'drop';
  }

  #bucketOf(network: string): Bucket {
    const now = this.#now();
    const known = this.#buckets.get(network);
    const bucket = known ?? { tokens: this.#burst, atMs: now, refusals: 0 };
    bucket.tokens = Math.min(this.#burst, bucket.tokens + Math.max(0, now - bucket.atMs) * this.#perMs);
    bucket.atMs = now;
    // Moved to the end, so that the first is the one longest unheard.
    this.#buckets.delete(network);
    this.#buckets.set(network, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > this.#maxNetworks && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}

function networkOf(address: string): string {
  const bytes = addressToBytes(address);
  if (bytes === undefined) return address;
  const isMapped = bytes.length === 16 && bytes.readUInt32BE(8) === 0xffff && bytes.readBigUInt64BE(0) === 0n;
  if (bytes.length === 4 || isMapped) return bytes.subarray(-4, -1).toString('hex');
  return bytes.subarray(0, 7).toString('hex');
}
