import { encodeRequest, type ExchangeRequest } from '@porthole/protocol';
import { describe, expect, it } from 'vitest';
import { hostRewriting } from './host-rewriting.ts';
import { RequestStarts, requestStart } from './request-head.ts';
import { SoundRequests } from './sound-request.ts';
import { parseTarget } from './target.ts';

const request = (over: Partial<ExchangeRequest>): ExchangeRequest => ({
  method: 'GET',
  target: '/',
  scheme: 'https',
  authority: 'shop.example.com',
  visitorAddress: '192.0.2.1',
  bodiless: true,
  upgrade: false,
  fields: ['Host', 'shop.example.com', 'Origin', 'https://shop.example.com', 'Cookie', 'a=b'],
  ...over,
});

describe.each([
  ['preserved', undefined],
  ['rewritten', hostRewriting('rewrite', parseTarget('3000'))],
])('heads for an origin, the Host %s', (_mode, rewriting) => {
  it('are what they would be alone, whatever was asked before', () => {
    const requests = new SoundRequests();
    const starts = new RequestStarts(rewriting);
    const asked = [
      request({}),
      request({}),
      request({ target: '/a?b' }),
      request({ method: 'POST', bodiless: false }),
      request({ fields: ['Host', 'other.example.com'], authority: 'other.example.com' }),
      request({ fields: [...request({}).fields, 'Upgrade', 'chat'], upgrade: true }),
      request({ method: 'DELETE', fields: [...request({}).fields, 'Content-Length', '0'] }),
      request({ target: '/a?b' }),
    ];
    for (const each of [...asked, ...asked.toReversed()]) {
      const sound = requests.read(encodeRequest(each));
      if (sound === undefined) throw new Error('refused');
      expect(starts.of(sound)).toEqual(requestStart(each, rewriting?.requestFields(each) ?? each.fields));
    }
  });
});
