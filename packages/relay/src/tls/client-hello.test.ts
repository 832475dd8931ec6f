import { Duplex } from 'node:stream';
import { connect, type ConnectionOptions } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { type ClientHelloResult, ClientHelloReader, fatalAlert, MAX_CLIENT_HELLO_BYTES } from './client-hello.ts';

const u8 = (value: number): Buffer => Buffer.from([value]);
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
const vec8 = (...parts: Uint8Array[]): Buffer => Buffer.concat([u8(Buffer.concat(parts).length), ...parts]);
const vec16 = (...parts: Uint8Array[]): Buffer => Buffer.concat([u16(Buffer.concat(parts).length), ...parts]);
const extension = (type: number, data: Uint8Array): Buffer => Buffer.concat([u16(type), vec16(data)]);
const sni = (name: string | Buffer): Buffer => extension(0, vec16(u8(0), vec16(Buffer.from(name as string, 'latin1'))));
const alpn = (...names: string[]): Buffer =>
  extension(16, vec16(...names.map((name) => vec8(Buffer.from(name, 'latin1')))));

function message(extensions: Buffer | undefined, suites: Buffer = u16(0x1301)): Buffer {
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 7),
    vec8(Buffer.alloc(32, 9)),
    vec16(suites),
    vec8(u8(0)),
    ...(extensions ? [vec16(extensions)] : []),
  ]);
  return Buffer.concat([u8(1), u8(body.length >> 16), u16(body.length & 0xffff), body]);
}

/** The message in records of at most `size` bytes. */
function records(handshake: Buffer, size = 16_384): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < handshake.length; at += size)
    parts.push(u8(22), u16(0x0301), vec16(handshake.subarray(at, at + size)));
  return Buffer.concat(parts);
}

function read(...chunks: Uint8Array[]): ClientHelloResult {
  const reader = new ClientHelloReader();
  let result: ClientHelloResult = { state: 'needMore' };
  for (const chunk of chunks) result = reader.push(chunk);
  return result;
}

const hello = (...extensions: Buffer[]): Buffer => records(message(Buffer.concat(extensions)));
const fault = (kind: string) => ({ state: 'fault', fault: kind });
const done = (serverName: string | undefined, protocols: string[] = [], acmeChallenge = false) => ({
  state: 'done',
  hello: { ...(serverName === undefined ? {} : { serverName }), alpn: protocols, acmeChallenge },
});

/** What Node's own TLS sends first, without a network. */
async function nodeHello(options: ConnectionOptions): Promise<Buffer> {
  return await new Promise((resolve) => {
    const wire = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer) => resolve(chunk),
    });
    connect({ socket: wire, ...options }).on('error', () => undefined);
  });
}

describe('ClientHelloReader', () => {
  it('reads a hello written down byte by byte', () => {
    const literal = Buffer.from(
      '16030100450100004103030707070707070707070707070707070707070707070707070707070707070707' +
        '00' +
        '0002' +
        '1301' +
        '0100' +
        '0016' +
        '00000007' +
        '0005' +
        '00' +
        '0002' +
        '4162' +
        '00100007' +
        '0005' +
        '02' +
        '6832' +
        '01' +
        '78',
      'hex',
    );
    expect(literal.length).toBe(5 + 4 + 65);
    expect(read(literal)).toEqual(done('ab', ['h2', 'x']));
  });

  it('reads the same at every split, and byte by byte', () => {
    const bytes = records(message(Buffer.concat([sni('Shop.Example.'), alpn('h2', 'http/1.1')])), 40);
    for (let at = 1; at < bytes.length; at++) {
      expect(read(bytes.subarray(0, at))).toEqual({ state: 'needMore' });
      expect(read(bytes.subarray(0, at), bytes.subarray(at))).toEqual(done('shop.example', ['h2', 'http/1.1']));
    }
    expect(read(...[...bytes].map((byte) => u8(byte)))).toEqual(done('shop.example', ['h2', 'http/1.1']));
  });

  it('joins records of any size, one byte included, and keeps every byte for the TLS server', () => {
    const handshake = message(Buffer.concat([sni('a.b'), extension(21, Buffer.alloc(3000))]));
    for (const size of [1, 2, 3, 4, 5, 10, 100, 512, 16_384]) {
      const bytes = Buffer.concat([records(handshake, size), Buffer.from('early data')]);
      const reader = new ClientHelloReader();
      expect(reader.push(bytes)).toEqual(done('a.b'));
      expect(reader.bytes().equals(bytes)).toBe(true);
    }
  });

  it('keeps what comes after the hello, without reading it', () => {
    const reader = new ClientHelloReader();
    reader.push(hello(sni('a.b')));
    expect(reader.push(Buffer.from('more'))).toEqual(done('a.b'));
    expect(reader.bytes().subarray(-4).toString()).toBe('more');
  });

  it('knows a certificate authority by ALPN acme-tls/1 alone', () => {
    expect(read(hello(sni('a.b'), alpn('acme-tls/1')))).toEqual(done('a.b', ['acme-tls/1'], true));
    expect(read(hello(sni('a.b'), alpn('acme-tls/1', 'h2')))).toEqual(done('a.b', ['acme-tls/1', 'h2'], false));
  });

  it('passes over GREASE and encrypted hellos', () => {
    const grease = [
      extension(0x0a0a, Buffer.alloc(0)),
      extension(0xfafa, u8(0)),
      extension(0xfe0d, Buffer.alloc(200, 1)),
    ];
    expect(read(hello(...grease, sni('a.b'), alpn('\x1a\x1a', 'h2')))).toEqual(done('a.b', ['h2']));
  });

  it('takes a hello with no name, no extensions or an address as one without a name', () => {
    expect(read(hello(alpn('h2')))).toEqual(done(undefined, ['h2']));
    expect(read(records(message(undefined)))).toEqual(done(undefined));
    expect(read(records(message(Buffer.alloc(0))))).toEqual(done(undefined));
    for (const address of ['127.0.0.1', '::1', '[::1]', '1.2.3.4.'])
      expect(read(hello(sni(address)))).toEqual(done(undefined));
  });

  it.each(['a b', 'a..b', '.', '-a', 'a\0.b', 'b\xfccher.example', `${'a'.repeat(64)}.b`, '*.b'])(
    'refuses the name %j',
    (name) => {
      expect(read(hello(sni(name)))).toEqual(fault('bad_server_name'));
    },
  );

  it.each([
    ['plain HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'not_tls'],
    ['SSLv2', Buffer.from('802e0103010015', 'hex'), 'not_tls'],
    ['an alert first', fatalAlert('decode_error'), 'not_tls'],
    ['application data', Buffer.from('1703030001', 'hex'), 'not_tls'],
    ['another major version', Buffer.from('160400', 'hex'), 'not_tls'],
    ['an empty record', Buffer.from('1603010000', 'hex'), 'empty_record'],
    ['a record over 16 KiB', Buffer.from('1603014001', 'hex'), 'record_too_large'],
    ['a server hello', Buffer.from('16030100040200', 'hex'), 'not_client_hello'],
    ['a length over the limit', Buffer.from('160301000401ffffff', 'hex'), 'too_large'],
    ['an empty hello', records(Buffer.from('01000000', 'hex')), 'malformed'],
    ['no cipher suites', records(message(undefined, Buffer.alloc(0))), 'malformed'],
    ['half a cipher suite', records(message(undefined, Buffer.alloc(3))), 'malformed'],
    ['the name twice in two extensions', hello(sni('a.b'), sni('a.b')), 'duplicate_extension'],
    ['an unknown extension twice', hello(extension(99, u8(0)), extension(99, u8(0))), 'duplicate_extension'],
    ['two names in one extension', hello(extension(0, vec16(u8(0), vec16(u8(97)), u8(0), vec16(u8(98))))), 'malformed'],
    ['another type of name', hello(extension(0, vec16(u8(1), vec16(u8(97))))), 'malformed'],
    ['an empty name', hello(extension(0, vec16(u8(0), vec16()))), 'malformed'],
    ['an empty list of names', hello(extension(0, vec16())), 'malformed'],
    ['an empty name extension', hello(extension(0, Buffer.alloc(0))), 'malformed'],
    ['an empty list of protocols', hello(extension(16, vec16())), 'malformed'],
    ['an empty protocol', hello(extension(16, vec16(vec8()))), 'malformed'],
    [
      'bytes after the list of protocols',
      hello(extension(16, Buffer.concat([vec16(vec8(u8(97))), u8(0)]))),
      'malformed',
    ],
    ['an extension past the end', hello(Buffer.from('000000ff', 'hex')), 'malformed'],
  ])('refuses %s', (_what, bytes, kind) => {
    expect(read(bytes)).toEqual(fault(kind));
    expect(read(...[...bytes].map((byte) => u8(byte)))).toEqual(fault(kind));
  });

  it('refuses plain HTTP at its first byte and stays refusing', () => {
    const reader = new ClientHelloReader();
    expect(reader.push(Buffer.from('G'))).toEqual(fault('not_tls'));
    expect(reader.push(hello(sni('a.b')))).toEqual(fault('not_tls'));
  });

  it('never keeps more than the limit for a hello that does not end', () => {
    const endless = records(Buffer.concat([Buffer.from('0100f000', 'hex'), Buffer.alloc(0xf000)]), 1);
    const reader = new ClientHelloReader();
    let result: ClientHelloResult = { state: 'needMore' };
    for (let at = 0; result.state === 'needMore'; at += 100) result = reader.push(endless.subarray(at, at + 100));
    expect(result).toEqual(fault('too_large'));
    expect(reader.bytes().length).toBeLessThanOrEqual(MAX_CLIENT_HELLO_BYTES + 100);
  });

  it('copies a hello that comes byte by byte twice more when it is four times as long', () => {
    /** How often what has come was moved to larger memory. */
    const moves = (padding: number): number => {
      const bytes = records(message(Buffer.concat([extension(21, Buffer.alloc(padding)), sni('a.b')])), 1000);
      const reader = new ClientHelloReader();
      const memories = new Set<ArrayBufferLike>();
      let result: ClientHelloResult = { state: 'needMore' };
      for (const byte of bytes) {
        result = reader.push(u8(byte));
        memories.add(reader.bytes().buffer);
      }
      expect(result).toEqual(done('a.b'));
      return memories.size;
    };
    expect(moves(50_000)).toBe(moves(12_500) + 2);
  });

  it('reads what Node sends', async () => {
    expect(read(await nodeHello({ servername: 'Node.Example', ALPNProtocols: ['h2', 'http/1.1'] }))).toEqual(
      done('node.example', ['h2', 'http/1.1']),
    );
    expect(read(await nodeHello({ servername: 'old.example', maxVersion: 'TLSv1.2' }))).toEqual(done('old.example'));
    expect(read(await nodeHello({ ALPNProtocols: ['acme-tls/1'], servername: 'a.b' }))).toEqual(
      done('a.b', ['acme-tls/1'], true),
    );
    expect(read(await nodeHello({}))).toEqual(done(undefined));
  });

  it('survives garbage and damaged hellos: an answer each time, never an exception', async () => {
    const real = await nodeHello({ servername: 'fuzz.example', ALPNProtocols: ['h2'] });
    const seed = { state: 12_345 };
    const random = (below: number): number => {
      seed.state = (Math.imul(seed.state, 1_103_515_245) + 12_345) >>> 0;
      return (seed.state >>> 8) % below;
    };
    const states = new Set<string>();
    for (let tried = 0; tried < 5_000; tried++) {
      const bytes =
        random(4) === 0 ? Buffer.from(Array.from({ length: random(200) }, () => random(256))) : Buffer.from(real);
      for (let i = random(6); i > 0 && bytes.length > 0; i--) bytes[random(bytes.length)] = random(256);
      const cut = random(bytes.length + 1);
      const result = read(bytes.subarray(0, cut), bytes.subarray(cut));
      states.add(result.state === 'fault' ? result.fault : result.state);
    }
    expect(states.has('done') && states.has('malformed') && states.has('not_tls')).toBe(true);
  });
});
