import { decode, encode } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { challengeRecordOf, delegationOf } from './dns-delegation.ts';
import { DnsRateLimit } from './dns-rate-limit.ts';
import { DnsResponder } from './dns-responder.ts';

const zone = 'acme.tun.example';
const values = new Map([
  ['one.acme.tun.example', ['first', 'second']],
  ['many.acme.tun.example', Array.from({ length: 10 }, (_, i) => `${i}`.padEnd(200, 'x'))],
]);
const responder = new DnsResponder({
  zone,
  nameServers: ['ns.tun.example'],
  txtValues: async (name) => values.get(name) ?? [],
});

const query = (name: string, type = 'TXT', rest: object = {}): Buffer =>
  encode({ type: 'query', id: 7, flags: 1 << 8, questions: [{ name, type }], ...rest });
const opt = (size: number, version = 0) => ({
  additionals: [{ type: 'OPT' as const, name: '.' as const, udpPayloadSize: size, ednsVersion: version }],
});

async function ask(bytes: Buffer, transport: 'udp' | 'tcp' = 'udp') {
  const answer = await responder.answer(bytes, transport);
  return answer && { ...decode(answer), size: answer.length };
}
const texts = (answers: readonly unknown[]): string[] =>
  answers.map((record) => String((record as { data: unknown[] }).data));

describe('DnsResponder', () => {
  it('answers TXT with both values, authoritatively, and echoes the case of the question', async () => {
    const bytes = query('oNe.AcMe.tUn.eXaMpLe');
    const answer = await ask(bytes);
    expect(answer).toMatchObject({
      id: 7,
      rcode: 'NOERROR',
      flag_aa: true,
      flag_tc: false,
      flag_rd: true,
      flag_ra: false,
    });
    expect(texts(answer?.answers ?? [])).toEqual(['first', 'second']);
    expect(answer?.questions[0]?.name).toBe('oNe.AcMe.tUn.eXaMpLe');
    expect(answer?.answers[0]).toMatchObject({ name: 'oNe.AcMe.tUn.eXaMpLe', ttl: 1 });
    expect(answer?.authorities).toEqual([]);
  });

  it('answers SOA and NS of the zone', async () => {
    expect((await ask(query(zone, 'SOA')))?.answers).toMatchObject([
      { type: 'SOA', data: { mname: 'ns.tun.example', minimum: 1 } },
    ]);
    expect((await ask(query(zone, 'NS')))?.answers).toMatchObject([{ type: 'NS', data: 'ns.tun.example' }]);
  });

  it.each([
    ['CAA', 'one.acme.tun.example'],
    ['A', 'one.acme.tun.example'],
    ['AAAA', zone],
    ['TXT', 'unknown.acme.tun.example'],
    ['NS', 'one.acme.tun.example'],
    ['DNSKEY', zone],
    ['TYPE_65280', zone],
  ])('says that there is no %s at %s, for a second', async (type, name) => {
    expect(await ask(query(name, type))).toMatchObject({
      rcode: 'NOERROR',
      flag_aa: true,
      answers: [],
      authorities: [{ type: 'SOA' }],
    });
  });

  it.each([
    ['another name', query('tun.example')],
    ['a name that only ends alike', query('xacme.tun.example')],
    ['the root', query('.', 'NS')],
    ['a transfer', query(zone, 'AXFR')],
    ['ANY', query(zone, 'ANY')],
    [
      'the version of the software',
      encode({ type: 'query', questions: [{ name: 'version.bind', type: 'TXT', class: 'CH' }] }),
    ],
    ['a class of old', encode({ type: 'query', questions: [{ name: zone, type: 'TXT', class: 'CH' }] })],
  ])('refuses %s', async (_what, bytes) => {
    expect(await ask(bytes)).toMatchObject({ rcode: 'REFUSED', flag_aa: false, answers: [], authorities: [] });
  });

  it('keeps to the size the asker allows, at most 1232, and sends on to TCP', async () => {
    const small = await ask(query('many.acme.tun.example'));
    expect(small).toMatchObject({ flag_tc: true, answers: [] });
    expect((await ask(query('many.acme.tun.example', 'TXT', opt(4096))))?.flag_tc).toBe(true);
    expect((await ask(query('many.acme.tun.example'), 'tcp'))?.answers).toHaveLength(10);
  });

  it('speaks EDNS when asked in it', async () => {
    expect((await ask(query('one.acme.tun.example', 'TXT', opt(4096))))?.additionals).toMatchObject([
      { type: 'OPT', udpPayloadSize: 1232 },
    ]);
    expect((await ask(query('one.acme.tun.example')))?.additionals).toEqual([]);
    expect(await ask(query('one.acme.tun.example', 'TXT', opt(4096, 1)))).toMatchObject({
      answers: [],
      additionals: [{ extendedRcode: 1 }],
    });
    const twice = query('one.acme.tun.example', 'TXT', {
      additionals: [...opt(512).additionals, ...opt(512).additionals],
    });
    expect((await ask(twice))?.rcode).toBe('FORMERR');
  });

  it('says SERVFAIL when the values cannot be looked up', async () => {
    const broken = new DnsResponder({ zone, nameServers: [], txtValues: () => Promise.reject(new Error('no store')) });
    const answer = await broken.answer(query(`x.${zone}`), 'udp');
    expect(answer && decode(answer).rcode).toBe('SERVFAIL');
  });

  it('is silent to responses, and says what is wrong with a broken query', async () => {
    expect(await ask(encode({ type: 'response', questions: [{ name: zone, type: 'TXT' }] }))).toBeUndefined();
    expect(await ask(Buffer.alloc(11))).toBeUndefined();
    expect(await ask(Buffer.alloc(2000))).toBeUndefined();
    expect((await ask(encode({ type: 'query', questions: [] })))?.rcode).toBe('FORMERR');
    expect(
      (await ask(encode({ type: 'query', flags: 2 << 11, questions: [{ name: zone, type: 'TXT' }] })))?.rcode,
    ).toBe('NOTIMP');
    const compressed = Buffer.from('000700000001000000000000c00c00100001', 'hex');
    expect((await ask(compressed))?.rcode).toBe('FORMERR');
  });

  it('answers or ignores any bytes, without an exception, and never with much more than was asked', async () => {
    let seed = 5;
    const random = (below: number): number => ((seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) >>> 8) % below;
    const real = query('one.acme.tun.example', 'TXT', opt(1232));
    let answered = 0;
    for (let round = 0; round < 5000; round++) {
      const bytes =
        round % 5 === 0 ? Buffer.from(Array.from({ length: random(100) }, () => random(256))) : Buffer.from(real);
      for (let i = random(5); i > 0 && bytes.length > 0; i--) bytes[random(bytes.length)] = random(256);
      const answer = await responder.answer(
        bytes.subarray(0, random(4) === 0 ? random(bytes.length + 1) : bytes.length),
        'udp',
      );
      if (answer === undefined) continue;
      answered++;
      expect(answer.length).toBeLessThan(200);
    }
    expect(answered).toBeGreaterThan(2000);
  });
});

describe('DnsRateLimit', () => {
  it('lets a burst through, then says TCP or nothing by turns, and recovers', () => {
    let now = 0;
    const limit = new DnsRateLimit({ perSecond: 10, burst: 3, now: () => now });
    expect(Array.from({ length: 7 }, () => limit.decide('192.0.2.1'))).toEqual([
      'answer',
      'answer',
      'answer',
      'truncate',
      'drop',
      'truncate',
      'drop',
    ]);
    expect(limit.decide('192.0.2.77')).toBe('truncate');
    expect(limit.decide('::ffff:192.0.2.7')).toBe('drop');
    expect(limit.decide('192.0.3.1')).toBe('answer');
    now = 100;
    expect(limit.decide('192.0.2.1')).toBe('answer');
    expect(limit.decide('192.0.2.1')).not.toBe('answer');
  });

  it('counts IPv6 by /56 and remembers a bounded number of networks', () => {
    const limit = new DnsRateLimit({ burst: 1, maxNetworks: 100, now: () => 0 });
    expect(limit.decide('2001:db8:0:1::1')).toBe('answer');
    expect(limit.decide('2001:db8:0:2::1')).not.toBe('answer');
    for (let i = 0; i < 1000; i++) limit.decide(`10.${i >> 8}.${i & 255}.1`);
    expect(limit.networks).toBe(100);
  });
});

describe('delegation', () => {
  it('is one NS record where the zone is the challenge name, and one CNAME elsewhere', () => {
    expect(delegationOf('_acme-challenge.tun.example', 'tun.example', 'ns.tun.example')).toEqual({
      name: '_acme-challenge.tun.example',
      type: 'NS',
      value: 'ns.tun.example',
    });
    const other = delegationOf('acme.tun.example', 'tun.example', 'ns.tun.example');
    expect(other).toMatchObject({
      name: '_acme-challenge.tun.example',
      type: 'CNAME',
      value: challengeRecordOf('acme.tun.example', 'tun.example'),
    });
    expect(other.value).toMatch(/^[0-9a-f]{32}\.acme\.tun\.example$/);
    expect(challengeRecordOf(zone, 'a.example')).not.toBe(challengeRecordOf(zone, 'b.example'));
  });
});
