/** What the first bytes on a local socket between two workers say: what the connection is for. Length, then JSON. */
import { encodeHandshake, HandshakeReader, PortholeError } from '@porthole/protocol';
import type { Carrier } from '@porthole/protocol/node';
import type { HeardHello } from '../routing/carrier-handover.ts';

/** Streams for leases of the worker that is called. */
interface StreamsHeader {
  readonly kind: 'streams';
}

/** The rest of the connection is an agent's carrier, already without TLS or WebSocket around it. */
export interface CarrierHeader {
  readonly kind: 'carrier';
  readonly carrier: Carrier['kind'];
  readonly remoteAddress: string;
  /** Base64url, when the agent's end of the carrier is TLS. */
  readonly keyingMaterial?: string;
  readonly nonce: string;
  /** The frame as it came, base64url. */
  readonly hello: string;
}

export type PeerHeader = StreamsHeader | CarrierHeader;

const LENGTH_BYTES = 4;
const MAX_BYTES = 65_536;

export function encodePeerHeader(header: PeerHeader): Buffer {
  const text = Buffer.from(JSON.stringify(header), 'utf8');
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text]);
}

export function carrierHeader(carrier: Carrier, { hello, nonce }: HeardHello): CarrierHeader {
  const keyingMaterial = carrier.keyingMaterial()?.toString('base64url');
  return {
    kind: 'carrier',
    carrier: carrier.kind,
    remoteAddress: carrier.remoteAddress,
    nonce,
    hello: encodeHandshake({ type: 'hello', value: hello }).toString('base64url'),
    ...(keyingMaterial === undefined ? {} : { keyingMaterial }),
  };
}

/** Throws PROTOCOL_ERROR. */
export function heardHello(header: CarrierHeader): HeardHello {
  const read = new HandshakeReader().feed(Buffer.from(header.hello, 'base64url'));
  if (read?.message.type !== 'hello' || read.message.value.mode !== 'resume')
    throw new PortholeError('PROTOCOL_ERROR', 'no resume in a passed carrier');
  return { hello: read.message.value, nonce: header.nonce };
}

/** Collects the header; bytes behind it are handed back. */
export class PeerHeaderReader {
  #bytes: Buffer = Buffer.alloc(0);

  /** Undefined: more bytes are needed. Throws PROTOCOL_ERROR when it is none. */
  feed(chunk: Buffer): { readonly header: PeerHeader; readonly rest: Buffer } | undefined {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes.length < LENGTH_BYTES) return undefined;
    const end = LENGTH_BYTES + this.#bytes.readUInt32BE(0);
    if (end > MAX_BYTES) throw new PortholeError('PROTOCOL_ERROR', 'a header of a local socket is too long');
    if (this.#bytes.length < end) return undefined;
    return { header: parseHeader(this.#bytes.toString('utf8', LENGTH_BYTES, end)), rest: this.#bytes.subarray(end) };
  }
}

/** Whoever can call has the relay's own user; still, nothing but the two shapes is let through. */
function parseHeader(text: string): PeerHeader {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PortholeError('PROTOCOL_ERROR', 'a header of a local socket is not JSON', { cause });
  }
  if (isRecord(value) && value['kind'] === 'streams') return { kind: 'streams' };
  if (isRecord(value) && value['kind'] === 'carrier') {
    const { carrier, remoteAddress, keyingMaterial, nonce, hello } = value;
    const isSound = typeof remoteAddress === 'string' && typeof nonce === 'string' && typeof hello === 'string';
    if (isSound && (carrier === 'upgrade' || carrier === 'websocket')) {
      const base = { kind: 'carrier', carrier, remoteAddress, nonce, hello } as const;
      return typeof keyingMaterial === 'string' ? { ...base, keyingMaterial } : base;
    }
  }
  throw new PortholeError('PROTOCOL_ERROR', 'a header of a local socket is malformed');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
