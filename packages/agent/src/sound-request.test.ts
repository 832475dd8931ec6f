import { encodeRequest, type ExchangeRequest } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { requestStart } from './request-head.ts';
import { type SoundRequest, SoundRequests } from './sound-request.ts';

const REQUEST: ExchangeRequest = {
  method: 'GET',
  target: '/a?b=%20&c="d"',
  scheme: 'https',
  authority: 'shop.example.com:8443',
  visitorAddress: '2001:db8::1',
  bodiless: true,
  upgrade: false,
  fields: ['Host', 'shop.example.com', 'X-Empty', '', 'x-latin', '\xe4 \xff', 'Cookie', 'a=b; c="d"'],
};

const soundRequest = (text: string): SoundRequest | undefined => new SoundRequests().read(text);
const block = (over: Partial<ExchangeRequest>): string => encodeRequest({ ...REQUEST, ...over });

describe('a request from a relay', () => {
  it.each([
    ['as relays make it', REQUEST],
    ['with no authority, as HTTP/1.0 may have it', { ...REQUEST, authority: '', fields: [] }],
    ['for the server itself', { ...REQUEST, method: 'OPTIONS', target: '*' }],
    ['for an address', { ...REQUEST, authority: '[::1]:80', visitorAddress: '' }],
    ['that upgrades', { ...REQUEST, method: 'M-SEARCH', upgrade: true, bodiless: false }],
    ['with bytes beyond ASCII in its path', { ...REQUEST, target: '/\xc3\xa4//..//%00' }],
  ])('%s is taken as it is', (_what, request) => {
    const sound = soundRequest(encodeRequest(request));
    expect(sound).toMatchObject({ ...request, fields: expect.anything() });
    expect(sound?.fields).toEqual(request.fields);
  });

  it.each([
    ['a second word in its method', block({ method: 'GET /admin HTTP/1.1' })],
    ['no method', block({ method: '' })],
    ['CONNECT', block({ method: 'CONNECT' })],
    ['TRACE', block({ method: 'TRACE' })],
    ['another host in its target', block({ target: 'http://169.254.169.254/' })],
    ['a blank in its target', block({ target: '/ HTTP/1.1' })],
    ['a fragment', block({ target: '/#x' })],
    ['a control character in its target', block({ target: '/\x7f' })],
    ['another scheme', block({ scheme: 'file' })],
    ['a user in its authority', block({ authority: 'you@example.com' })],
    ['a path in its authority', block({ authority: 'example.com/x' })],
    ['a blank behind a name', block({ fields: ['Content-Length ', '5'] })],
    ['a folded line', block({ fields: ['a', 'b', ' c', 'd'] })],
    ['a field without a name', block({ fields: ['', 'x'] })],
    ['a line without a name', block({ fields: ['a', 'b\r\nc'] })],
    ['an empty line among its fields', block({ fields: ['a', 'b\r\n\r\nc: d'] })],
    ['a bare CR in a value', block({ fields: ['a', 'b\rc'] })],
    ['a control character in a value', block({ fields: ['a', '\x01'] })],
    ['half a field', `${block({})}x`],
    ['half a line end', `${block({})}x: y\r`],
    ['a part too many', `${block({})}\0x: y\r\n`],
    ['too few parts', 'GET\0/\0http'],
    ['nothing', ''],
  ])('with %s is not taken', (_what, text) => {
    expect(soundRequest(text)).toBeUndefined();
  });

  it.each([
    ['a body', { bodiless: false }],
    ['an upgrade', { upgrade: true }],
    ['a length', { fields: ['Content-Length', '0'] }],
    ['trailers announced', { fields: ['te', 'trailers'] }],
    ["an encoding of the relay's", { fields: ['a', 'b', 'Transfer-Encoding: chunked', ''] }],
    ["a connection of the relay's", { fields: ['a', 'b', 'cOnnection', 'close'] }],
  ])('with %s is not written on as it came', (_what, over) => {
    expect(soundRequest(block({}))?.rest.isPlain).toBe(true);
    expect(soundRequest(block(over))?.rest.isPlain).toBe(false);
  });

  it('has no field that reads as another one', () => {
    const request = soundRequest(block({ fields: ['Transfer-Encoding: chunked', ''] }));
    expect(() => requestStart(request as ExchangeRequest, request?.fields ?? [])).toThrow('transfer-encoding');
  });

  it('is looked at in a time that grows with its length only', () => {
    const fields = Array.from({ length: 20_000 }, () => ['a', '']).flat();
    expect(soundRequest(block({ fields }))?.fields.length).toBe(40_000);
    expect(soundRequest(`${block({ fields })} `)).toBeUndefined();
  });
});

it('is copied whole by who changes part of it', () => {
  const over = { upgrade: true, fields: ['A', 'b'] };
  // As the origins of applications see it: an object like any other.
  const sound: ExchangeRequest | undefined = soundRequest(block(over));
  if (sound === undefined) throw new Error('refused');
  const { fields: _, ...rest } = REQUEST;
  expect({ ...sound, fields: ['C', 'd'] }).toMatchObject({ ...rest, upgrade: true, fields: ['C', 'd'] });
  sound.fields.push('more', '');
  expect(sound.fields).toEqual(['A', 'b']);
});

describe('requests of one session', () => {
  it('say the same whatever came before them', () => {
    const requests = new SoundRequests();
    const targets = ['/', '/a?b', '/%20'];
    const rests = [{}, { visitorAddress: '192.0.2.7' }, { fields: ['A', 'b'] }, { upgrade: true }, { bodiless: false }];
    const blocks = targets.flatMap((target) => rests.map((over) => block({ ...over, target })));
    const facts = (sound: SoundRequest | undefined): unknown =>
      sound && [sound.method, sound.target, sound.rest, sound.fields];
    for (const text of [...blocks, ...blocks.toReversed()])
      expect(facts(requests.read(text))).toEqual(facts(soundRequest(text)));
    for (const text of blocks) expect(requests.read(text.replace('GET', 'CONNECT'))).toBeUndefined();
  });

  it('are forgotten rather than kept without end', () => {
    const requests = new SoundRequests();
    const first = requests.read(block({}));
    expect(requests.read(block({}))?.rest).toBe(first?.rest);
    for (let i = 0; i < 300; i++) requests.read(block({ fields: ['A', String(i)] }));
    expect(requests.read(block({}))?.rest).not.toBe(first?.rest);
    for (const long of [block({ fields: ['A', 'x'.repeat(5_000)] }), block({ target: `/${'x'.repeat(5_000)}` })]) {
      requests.read(long);
      expect(requests.read(long)).not.toBe(requests.read(long));
    }
  });
});
