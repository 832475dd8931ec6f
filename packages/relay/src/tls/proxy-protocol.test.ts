import { describe, expect, it } from 'vitest';
import { addressFromBytes, addressToBytes } from '@porthole/acme';
import { crc32c } from './crc32c.ts';
import {
  encodeProxyV1,
  encodeProxyV2,
  MAX_PROXY_V2_BYTES,
  ProxyHeaderReader,
  readProxyHeader,
} from './proxy-protocol.ts';

const signature = '0d0a0d0a000d0a515549540a';
const v2 = (rest: string): Buffer => Buffer.from(signature + rest, 'hex');
const fault = (kind: string) => ({ state: 'fault', fault: kind });
const a = { address: '192.0.2.1', port: 5000 };
const b = { address: '198.51.100.2', port: 443 };
const a6 = { address: '2001:db8::1', port: 5000 };
const b6 = { address: '2001:db8::ffff', port: 443 };

describe('PROXY protocol v1', () => {
  it('reads a line and says where it ends', () => {
    const bytes = Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\nGET /');
    expect(readProxyHeader(bytes)).toEqual({
      state: 'done',
      length: 44,
      header: { version: 1, local: false, source: a, destination: b, tlvs: {} },
    });
  });

  it('reads the longest lines the specification allows', () => {
    const all = Array.from({ length: 8 }, () => 'ffff').join(':');
    const line = Buffer.from(`PROXY TCP6 ${all} ${all} 65535 65535\r\n`);
    expect(line.length).toBe(104);
    expect(readProxyHeader(line)).toMatchObject({ state: 'done', length: 104 });
    const unknown = Buffer.from(`PROXY UNKNOWN ${all} ${all} 65535 65535\r\n`);
    expect(unknown.length).toBe(107);
    expect(readProxyHeader(unknown)).toEqual({
      state: 'done',
      length: 107,
      header: { version: 1, local: false, tlvs: {} },
    });
  });

  it.each([
    ['PROXY TCP4 192.0.2.1 198.51.100.2 5000 65536\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 05000 443\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 5000\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.1 198.51.100.2 5000 443 1\r\n', 'malformed'],
    ['PROXY TCP4  192.0.2.1 198.51.100.2 5000 443\r\n', 'malformed'],
    ['PROXY TCP4 192.0.2.01 198.51.100.2 5000 443\r\n', 'malformed'],
    ['PROXY TCP4 2001:db8::1 2001:db8::2 5000 443\r\n', 'malformed'],
    ['PROXY TCP6 192.0.2.1 198.51.100.2 5000 443\r\n', 'malformed'],
    ['PROXY TCP6 fe80::1%eth0 fe80::2 5000 443\r\n', 'malformed'],
    ['PROXY tcp4 192.0.2.1 198.51.100.2 5000 443\r\n', 'malformed'],
    ['PROXY UDP4 192.0.2.1 198.51.100.2 5000 443\r\n', 'malformed'],
    ['PROXY UNKNOWNX\r\n', 'malformed'],
    ['PROXY \r\n', 'malformed'],
    [`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`, 'too_large'],
    [`PROXY ${'x'.repeat(200)}`, 'too_large'],
    ['PROXYX', 'not_proxy'],
    ['GET / HTTP/1.1\r\n', 'not_proxy'],
    ['\x16\x03\x01', 'not_proxy'],
  ])('refuses %j', (text, kind) => expect(readProxyHeader(Buffer.from(text, 'latin1'))).toEqual(fault(kind)));

  it('writes what it reads, mixed families as IPv6', () => {
    expect(encodeProxyV1(a, b).toString()).toBe('PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n');
    expect(encodeProxyV1(a6, b6).toString()).toBe('PROXY TCP6 2001:db8::1 2001:db8::ffff 5000 443\r\n');
    expect(readProxyHeader(encodeProxyV1(a, b6))).toMatchObject({
      header: { source: { address: '::ffff:c000:201' }, destination: b6 },
    });
    expect(encodeProxyV1(undefined, b).toString()).toBe('PROXY UNKNOWN\r\n');
    expect(encodeProxyV1({ address: '/run/socket', port: 0 }, b).toString()).toBe('PROXY UNKNOWN\r\n');
  });
});

describe('PROXY protocol v2', () => {
  it('reads literal bytes', () => {
    expect(readProxyHeader(v2('21 11 000c c0000201 c6336402 1388 01bb'.replaceAll(' ', '')))).toEqual({
      state: 'done',
      length: 28,
      header: { version: 2, local: false, source: a, destination: b, tlvs: {} },
    });
    expect(readProxyHeader(v2('20000000'))).toEqual({
      state: 'done',
      length: 16,
      header: { version: 2, local: true, tlvs: {} },
    });
    expect(readProxyHeader(v2('2111000c0102030405060708aaaabbbb'))).toMatchObject({
      header: { source: { address: '1.2.3.4', port: 0xaaaa } },
    });
  });

  it('takes LOCAL with any payload, UNSPEC and UNIX as no address', () => {
    expect(readProxyHeader(v2('20110003ffffff'))).toEqual({
      state: 'done',
      length: 19,
      header: { version: 2, local: true, tlvs: {} },
    });
    expect(readProxyHeader(v2('21000000'))).toEqual({
      state: 'done',
      length: 16,
      header: { version: 2, local: false, tlvs: {} },
    });
    expect(readProxyHeader(v2(`213100d8${'00'.repeat(216)}`))).toEqual({
      state: 'done',
      length: 232,
      header: { version: 2, local: false, tlvs: {} },
    });
  });

  it('keeps every TLV it writes, with a checksum that is checked', () => {
    const tlvs = {
      alpn: 'h2',
      authority: 'shop.example',
      uniqueId: Buffer.from([1, 2, 3]),
      ssl: {
        tls: true,
        certificateInConnection: true,
        certificateInSession: false,
        verified: true,
        version: 'TLSv1.3',
        commonName: 'visitor',
        cipher: 'TLS_AES_128_GCM_SHA256',
      },
    };
    for (const [from, to] of [
      [a, b],
      [a6, b6],
    ] as const) {
      const bytes = encodeProxyV2(from, to, { tlvs, checksum: true });
      expect(readProxyHeader(bytes)).toEqual({
        state: 'done',
        length: bytes.length,
        header: { version: 2, local: false, source: from, destination: to, tlvs },
      });
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8(damaged.readUInt8(20) ^ 1, 20);
      expect(readProxyHeader(damaged)).toEqual(fault('bad_checksum'));
    }
  });

  it('says LOCAL when it does not know the visitor', () => {
    expect(readProxyHeader(encodeProxyV2(undefined, b))).toMatchObject({ header: { local: true } });
  });

  it.each([
    ['another version', '3100', 'needMore'],
    ['another version, whole', '31000000', 'unsupported_version'],
    ['another command', '22000000', 'malformed'],
    ['another family', '21410000', 'malformed'],
    ['another transport', '21130000', 'malformed'],
    ['addresses cut short', '2111000bc0000201c6336402138801', 'malformed'],
    ['a length over the limit', '21110209', 'too_large'],
    ['half a TLV head', '2111000ec0000201c6336402138801bb0100', 'malformed'],
    ['a TLV past the end', '2111000fc0000201c6336402138801bb010001', 'malformed'],
    ['a checksum of two bytes', '21110011c0000201c6336402138801bb0300020000', 'malformed'],
    ['an SSL TLV of one byte', '21110010c0000201c6336402138801bb20000101', 'malformed'],
  ])('does not take %s', (_what, rest, kind) => {
    expect(readProxyHeader(v2(rest))).toEqual(kind === 'needMore' ? { state: 'needMore' } : fault(kind));
  });

  it('does not write more than the other side takes', () => {
    expect(() => encodeProxyV2(a, b, { tlvs: { authority: 'x'.repeat(600) } })).toThrow(RangeError);
  });
});

describe('ProxyHeaderReader', () => {
  it('reads the same at every split, and keeps what follows', () => {
    for (const header of [encodeProxyV1(a6, b6), encodeProxyV2(a, b, { tlvs: { alpn: 'h2' }, checksum: true })]) {
      const bytes = Buffer.concat([header, Buffer.from('rest')]);
      for (let at = 1; at < bytes.length; at++) {
        const reader = new ProxyHeaderReader();
        const first = reader.push(bytes.subarray(0, at));
        expect(first.state).toBe(at < header.length ? 'needMore' : 'done');
        expect(reader.push(bytes.subarray(at))).toMatchObject({ state: 'done', length: header.length });
        expect(reader.bytes().subarray(header.length).toString()).toBe('rest');
      }
    }
  });

  it('answers garbage without an exception and asks for no more than its limit', () => {
    let seed = 99;
    const random = (): number => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) >>> 16;
    for (let round = 0; round < 5000; round++) {
      const bytes = Buffer.concat([
        round % 2 ? Buffer.from(signature, 'hex') : Buffer.from('PROXY '),
        Buffer.from(Array.from({ length: 600 }, () => random() & 255)),
      ]);
      if (round % 2) bytes[12] = 0x20 | (random() & 1);
      if (round % 4 === 1) bytes.writeUInt16BE(random() % 520, 14);
      expect(bytes.length).toBeGreaterThan(MAX_PROXY_V2_BYTES);
      expect(readProxyHeader(bytes).state).not.toBe('needMore');
    }
  });
});

describe('the parts', () => {
  it('has the checksum of RFC 3720 appendix B.4', () => {
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  });

  it.each(['1.2.3.4', '::', '::1', '2001:db8::1', '1:2:3:4:5:6:7:8', 'fe80::1:0:0:2'])(
    'turns %s into bytes and back',
    (text) => {
      const bytes = addressToBytes(text);
      expect(bytes && addressFromBytes(bytes)).toBe(text);
    },
  );
  it('reads mapped and zoned addresses', () => {
    expect(addressToBytes('::ffff:1.2.3.4')?.toString('hex')).toBe('00000000000000000000ffff01020304');
    expect(addressToBytes('fe80::1%eth0')?.toString('hex')).toBe('fe800000000000000000000000000001');
    expect(addressToBytes('nonsense')).toBeUndefined();
  });
});
