/** The type-length-value part of PROXY protocol v2 (sections 2.2.1 to 2.2.7 of its specification). */

interface ProxySsl {
  /** The visitor came over TLS; the other two say whether and when it showed a certificate. */
  readonly tls: boolean;
  readonly certificateInConnection: boolean;
  readonly certificateInSession: boolean;
  /** The certificate it showed was verified. */
  readonly verified: boolean;
  readonly version?: string;
  readonly commonName?: string;
  readonly cipher?: string;
}

export interface ProxyTlvs {
  readonly alpn?: string;
  /** The host name the visitor asked for (SNI). */
  readonly authority?: string;
  /** At most 128 bytes. */
  readonly uniqueId?: Buffer;
  readonly ssl?: ProxySsl;
}

const types = { alpn: 0x01, authority: 0x02, crc32c: 0x03, uniqueId: 0x05, ssl: 0x20 } as const;
const SSL_TYPES = { version: 0x21, commonName: 0x22, cipher: 0x23 } as const;
const MAX_UNIQUE_ID_BYTES = 128;

export interface TlvReading {
  readonly values: ProxyTlvs;
  /** Where the four bytes of the checksum are. */
  readonly crcOffset?: number;
}

/** Reads from `offset` to the end of the header; undefined when that is not a sequence of TLVs. Unknown types are skipped. */
export function readTlvs(header: Buffer, offset: number): TlvReading | undefined {
  let values: ProxyTlvs = {};
  let crcOffset: number | undefined;
  for (const [type, start, end] of walk(header, offset)) {
    if (end > header.length) return undefined;
    const value = header.subarray(start, end);
    if (type === types.alpn) values = { ...values, alpn: value.toString('latin1') };
    else if (type === types.authority) values = { ...values, authority: value.toString('utf8') };
    else if (type === types.uniqueId) {
      if (value.length > MAX_UNIQUE_ID_BYTES) return undefined;
      values = { ...values, uniqueId: Buffer.from(value) };
    } else if (type === types.crc32c) {
      if (value.length !== 4 || crcOffset !== undefined) return undefined;
      crcOffset = start;
    } else if (type === types.ssl) {
      const ssl = readSsl(value);
      if (ssl === undefined) return undefined;
      values = { ...values, ssl };
    }
  }
  return crcOffset === undefined ? { values } : { values, crcOffset };
}

/** Yields type, start and end of each TLV; an end past the buffer marks a broken one and is the last. */
function* walk(bytes: Buffer, from: number): Generator<[type: number, start: number, end: number]> {
  let at = from;
  while (at < bytes.length) {
    if (at + 3 > bytes.length) {
      yield [0, at, bytes.length + 1];
      return;
    }
    const start = at + 3;
    at = start + bytes.readUInt16BE(at + 1);
    yield [bytes[start - 3] ?? 0, start, at];
    if (at > bytes.length) return;
  }
}

function readSsl(value: Buffer): ProxySsl | undefined {
  if (value.length < 5) return undefined;
  const flags = value[0] ?? 0;
  let ssl: ProxySsl = {
    tls: (flags & 1) !== 0,
    certificateInConnection: (flags & 2) !== 0,
    certificateInSession: (flags & 4) !== 0,
    verified: (flags & 6) !== 0 && value.readUInt32BE(1) === 0,
  };
  for (const [type, start, end] of walk(value, 5)) {
    if (end > value.length) return undefined;
    const text = value.toString('utf8', start, end);
    if (type === SSL_TYPES.version) ssl = { ...ssl, version: text };
    else if (type === SSL_TYPES.commonName) ssl = { ...ssl, commonName: text };
    else if (type === SSL_TYPES.cipher) ssl = { ...ssl, cipher: text };
  }
  return ssl;
}

export function encodeTlvs(tlvs: ProxyTlvs): Buffer {
  const parts: Buffer[] = [];
  if (tlvs.alpn !== undefined) parts.push(tlv(types.alpn, Buffer.from(tlvs.alpn, 'latin1')));
  if (tlvs.authority !== undefined) parts.push(tlv(types.authority, Buffer.from(tlvs.authority)));
  if (tlvs.uniqueId !== undefined) parts.push(tlv(types.uniqueId, tlvs.uniqueId));
  if (tlvs.ssl !== undefined) parts.push(tlv(types.ssl, encodeSsl(tlvs.ssl)));
  return Buffer.concat(parts);
}

function encodeSsl(ssl: ProxySsl): Buffer {
  const flags = (ssl.tls ? 1 : 0) | (ssl.certificateInConnection ? 2 : 0) | (ssl.certificateInSession ? 4 : 0);
  const parts: Buffer[] = [Buffer.from([flags, 0, 0, 0, ssl.verified ? 0 : 1])];
  if (ssl.version !== undefined) parts.push(tlv(SSL_TYPES.version, Buffer.from(ssl.version)));
  if (ssl.commonName !== undefined) parts.push(tlv(SSL_TYPES.commonName, Buffer.from(ssl.commonName)));
  if (ssl.cipher !== undefined) parts.push(tlv(SSL_TYPES.cipher, Buffer.from(ssl.cipher)));
  return Buffer.concat(parts);
}

function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 255]), value]);
}
