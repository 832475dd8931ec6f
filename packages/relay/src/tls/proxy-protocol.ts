/**
 * PROXY protocol, versions 1 and 2: what a load balancer in front says about the visitor, before TLS. Reads it
 * incrementally with bounds, and writes it for origins that want it. Whom to believe is decided by the door.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { addressFromBytes, addressToBytes, mappedToV6 } from '@porthole/acme';
import { crc32c } from './crc32c.ts';
import { encodeTlvs, type ProxyTlvs, readTlvs } from './proxy-protocol-tlvs.ts';

/** Most bytes of a version 1 line, its CRLF included. */
const MAX_PROXY_V1_BYTES = 107;
/** Most bytes of a version 2 header this side takes: 16 fixed and 520 of addresses and TLVs. */
export const MAX_PROXY_V2_BYTES = 536;

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const V1_START = Buffer.from('PROXY ');
const FIXED_V2_BYTES = 16;

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface ProxyHeader {
  readonly version: 1 | 2;
  /** Absent for LOCAL, UNKNOWN and what is not an internet address: use the socket's own addresses then. */
  readonly source?: Endpoint;
  readonly destination?: Endpoint;
  /** The load balancer speaks for itself (a health check). */
  readonly local: boolean;
  /** Version 2 only. */
  readonly tlvs: ProxyTlvs;
}

export type ProxyHeaderFaultKind = 'not_proxy' | 'malformed' | 'too_large' | 'bad_checksum' | 'unsupported_version';

export type ProxyHeaderResult =
  | { readonly state: 'needMore' }
  | { readonly state: 'fault'; readonly fault: ProxyHeaderFaultKind }
  /** `length`: how many of the bytes were the header. */
  | { readonly state: 'done'; readonly header: ProxyHeader; readonly length: number };

const NEED_MORE: ProxyHeaderResult = { state: 'needMore' };

/** Reads a header from the beginning of `bytes`, all that has come so far. Pure; call again with more bytes. */
export function readProxyHeader(bytes: Buffer): ProxyHeaderResult {
  if (bytes.length === 0) return NEED_MORE;
  if (startsLike(bytes, signature)) return readV2(bytes);
  if (startsLike(bytes, V1_START)) return readV1(bytes);
  return fault('not_proxy');
}

/** Collects chunks until a header is there. Keeps at most `MAX_PROXY_V2_BYTES` besides the last chunk. */
export class ProxyHeaderReader {
  #bytes: Buffer = Buffer.alloc(0);

  push(chunk: Uint8Array): ProxyHeaderResult {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    return readProxyHeader(this.#bytes);
  }

  /** Everything received; what follows the header is `bytes().subarray(length)`. */
  bytes(): Buffer {
    return this.#bytes;
  }
}

function startsLike(bytes: Buffer, start: Buffer): boolean {
  const count = Math.min(bytes.length, start.length);
  return bytes.compare(start, 0, count, 0, count) === 0;
}

function readV1(bytes: Buffer): ProxyHeaderResult {
  const end = bytes.subarray(0, MAX_PROXY_V1_BYTES).indexOf('\r\n');
  if (end < 0) return bytes.length >= MAX_PROXY_V1_BYTES ? fault('too_large') : NEED_MORE;
  const line = bytes.toString('latin1', 0, end);
  const length = end + 2;
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN '))
    return done({ version: 1, local: false, tlvs: {} }, length);
  const [, family, from = '', to = '', fromPort = '', toPort = '', ...rest] = line.split(' ');
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIPv6 : undefined;
  if (isAddress === undefined || rest.length > 0 || !isAddress(from) || !isAddress(to)) return fault('malformed');
  const source = { address: from.toLowerCase(), port: readPort(fromPort) };
  const destination = { address: to.toLowerCase(), port: readPort(toPort) };
  if (Number.isNaN(source.port) || Number.isNaN(destination.port)) return fault('malformed');
  return done({ version: 1, local: false, source, destination, tlvs: {} }, length);
}

function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

function readPort(text: string): number {
  const port = /^(0|[1-9]\d{0,4})$/.test(text) ? Number(text) : Number.NaN;
  return port <= 65_535 ? port : Number.NaN;
}

function readV2(bytes: Buffer): ProxyHeaderResult {
  if (bytes.length < FIXED_V2_BYTES) return NEED_MORE;
  const versionAndCommand = bytes[12] ?? 0;
  if (versionAndCommand >> 4 !== 2) return fault('unsupported_version');
  const command = versionAndCommand & 15;
  if (command > 1) return fault('malformed');
  const length = FIXED_V2_BYTES + bytes.readUInt16BE(14);
  if (length > MAX_PROXY_V2_BYTES) return fault('too_large');
  if (bytes.length < length) return NEED_MORE;
  return readV2Body(bytes.subarray(0, length), command === 0);
}

function readV2Body(header: Buffer, local: boolean): ProxyHeaderResult {
  const family = (header[13] ?? 0) >> 4;
  const transport = (header[13] ?? 0) & 15;
  if (family > 3 || transport > 2) return fault('malformed');
  const addressBytes = [0, 12, 36, 216][family] ?? 0;
  if (header.length < FIXED_V2_BYTES + addressBytes)
    return local ? done({ version: 2, local, tlvs: {} }, header.length) : fault('malformed');
  const tlvs = readTlvs(header, FIXED_V2_BYTES + addressBytes);
  // A LOCAL header's payload means nothing (section 2.2), so nothing in it can be wrong.
  if (local) return done({ version: 2, local, tlvs: {} }, header.length);
  if (tlvs === undefined) return fault('malformed');
  if (tlvs.crcOffset !== undefined && !checksumFits(header, tlvs.crcOffset)) return fault('bad_checksum');
  if (family !== 1 && family !== 2) return done({ version: 2, local, tlvs: tlvs.values }, header.length);
  const size = family === 1 ? 4 : 16;
  const ports = FIXED_V2_BYTES + 2 * size;
  const endpoint = (index: 0 | 1): Endpoint => ({
    address: addressFromBytes(header.subarray(FIXED_V2_BYTES + index * size, FIXED_V2_BYTES + (index + 1) * size)),
    port: header.readUInt16BE(ports + 2 * index),
  });
  return done({ version: 2, local, source: endpoint(0), destination: endpoint(1), tlvs: tlvs.values }, header.length);
}

function checksumFits(header: Buffer, offset: number): boolean {
  const zeroed = Buffer.from(header);
  zeroed.fill(0, offset, offset + 4);
  return crc32c(zeroed) === header.readUInt32BE(offset);
}

/** Writes a version 1 line; `UNKNOWN` when an endpoint is missing. Mixed families are written as IPv6. */
export function encodeProxyV1(source: Endpoint | undefined, destination: Endpoint | undefined): Buffer {
  const pair = sameFamily(source, destination);
  if (pair === undefined || source === undefined || destination === undefined) return Buffer.from('PROXY UNKNOWN\r\n');
  const family = pair.source.length === 4 ? 'TCP4' : 'TCP6';
  const [from, to] = [addressFromBytes(pair.source), addressFromBytes(pair.destination)];
  return Buffer.from(`PROXY ${family} ${from} ${to} ${source.port} ${destination.port}\r\n`, 'latin1');
}

export interface ProxyV2Options {
  readonly tlvs?: ProxyTlvs;
  /** Adds a CRC-32C of the header. Default false. */
  readonly checksum?: boolean;
}

/** Writes a version 2 header for a TCP visitor; LOCAL when an endpoint is missing. Throws RangeError past `MAX_PROXY_V2_BYTES`. */
export function encodeProxyV2(
  source: Endpoint | undefined,
  destination: Endpoint | undefined,
  options: ProxyV2Options = {},
): Buffer {
  const pair = sameFamily(source, destination);
  if (pair === undefined || source === undefined || destination === undefined)
    return Buffer.concat([signature, Buffer.from([0x20, 0, 0, 0])]);
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  const crcTlv = options.checksum === true ? Buffer.from([0x03, 0, 4, 0, 0, 0, 0]) : Buffer.alloc(0);
  const body = Buffer.concat([pair.source, pair.destination, ports, encodeTlvs(options.tlvs ?? {}), crcTlv]);
  const head = Buffer.from([0x21, pair.source.length === 4 ? 0x11 : 0x21, body.length >> 8, body.length & 255]);
  const header = Buffer.concat([signature, head, body]);
  if (header.length > MAX_PROXY_V2_BYTES) throw new RangeError(`a PROXY header of ${header.length} bytes`);
  if (options.checksum === true) header.writeUInt32BE(crc32c(header), header.length - 4);
  return header;
}

function sameFamily(
  source: Endpoint | undefined,
  destination: Endpoint | undefined,
): { source: Buffer; destination: Buffer } | undefined {
  const from = source && addressToBytes(source.address);
  const to = destination && addressToBytes(destination.address);
  if (from === undefined || to === undefined) return undefined;
  if (from.length === to.length) return { source: from, destination: to };
  return { source: mappedToV6(from), destination: mappedToV6(to) };
}

function done(header: ProxyHeader, length: number): ProxyHeaderResult {
  return { state: 'done', header, length };
}

function fault(kind: ProxyHeaderFaultKind): ProxyHeaderResult {
  return { state: 'fault', fault: kind };
}
