/** Just enough DER (X.690) to write certificate requests and small certificates, and to find an extension in one. */

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One value with its tag and length. */
export function tagged(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), lengthBytes(body.length), body]);
}

function lengthBytes(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest & 255);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

export const der = {
  sequence: (...items: readonly Uint8Array[]): Buffer => tagged(tags.sequence, ...items),
  set: (...items: readonly Uint8Array[]): Buffer => tagged(tags.set, ...items),
  boolean: (value: boolean): Buffer => tagged(tags.boolean, Buffer.from([value ? 0xff : 0])),
  /** A number that is not negative, from a small number or big-endian bytes. */
  integer: (value: number | Uint8Array): Buffer =>
    tagged(tags.integer, unsigned(typeof value === 'number' ? Buffer.from([value]) : value)),
  oid: (dotted: string): Buffer => tagged(tags.oid, Buffer.from(oidBytes(dotted))),
  utf8: (text: string): Buffer => tagged(tags.utf8, Buffer.from(text)),
  octets: (bytes: Uint8Array): Buffer => tagged(tags.octetString, bytes),
  /** Whole bytes, unless `unusedBits` of the last are not meant. */
  bits: (bytes: Uint8Array, unusedBits = 0): Buffer => tagged(tags.bitString, Buffer.from([unusedBits]), bytes),
  time: (date: Date): Buffer => {
    const text = `${date.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;
    // RFC 5280 section 4.1.2.5: UTCTime through 2049.
    return date.getUTCFullYear() < 2050
      ? tagged(tags.utcTime, Buffer.from(text.slice(2)))
      : tagged(tags.generalizedTime, Buffer.from(text));
  },
} as const;

function unsigned(bytes: Uint8Array): Buffer {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from++;
  const trimmed = bytes.subarray(from);
  return (trimmed[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), trimmed]) : Buffer.from(trimmed);
}

function oidBytes(dotted: string): number[] {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return [first * 40 + second, ...rest].flatMap((arc) => {
    const bytes = [arc & 127];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) bytes.unshift((left & 127) | 128);
    return bytes;
  });
}

export interface DerItem {
  readonly tag: number;
  readonly content: Buffer;
}

/** The items of a constructed value's content. Throws RangeError on anything that is not DER with definite lengths. */
export function readDer(bytes: Buffer): DerItem[] {
  const items: DerItem[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes.readUInt8(at);
    const first = bytes.readUInt8(at + 1);
    const extra = first < 0x80 ? 0 : first & 0x7f;
    if (first === 0x80 || extra > 4) throw new RangeError('DER length');
    const length = extra === 0 ? first : bytes.readUIntBE(at + 2, extra);
    const start = at + 2 + extra;
    at = start + length;
    if (at > bytes.length) throw new RangeError('DER value past the end');
    items.push({ tag, content: bytes.subarray(start, at) });
  }
  return items;
}

/** The items of the one constructed value in `bytes`. */
export function readDerSequence(bytes: Buffer): DerItem[] {
  const [item, ...rest] = readDer(bytes);
  if (item === undefined || rest.length > 0) throw new RangeError('one DER value expected');
  return readDer(item.content);
}
