import { X509Certificate } from 'node:crypto';
import { connect, createServer } from 'node:tls';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { FakeStore } from '../../../../test/contracts/store.contract-fake.ts';
import { Listener } from '../../../../test/harness/listener.ts';
import type { ChallengeTask } from '@porthole/acme';
import { Challenges } from './challenges.ts';

let now = 0;
const task = (value: string, token = 'tok_en-1', type: 'dns' | 'ip' = 'dns'): ChallengeTask => ({
  identifier: { type, value },
  wildcard: false,
  token,
  keyAuthorization: `${token}.thumb`,
});
const pair = (): [Challenges, Challenges] => {
  const store = new FakeStore();
  now = 1000;
  return [new Challenges({ store, now: () => now }), new Challenges({ store, now: () => now })];
};

describe('Challenges', () => {
  it('answers http-01 in another process than presented it, until it is withdrawn', async () => {
    const [one, two] = pair();
    await one.httpSolver().present(task('a.example'));
    expect(await two.httpAnswer('/.well-known/acme-challenge/tok_en-1')).toBe('tok_en-1.thumb');
    await one.httpSolver().withdraw(task('a.example'));
    expect(await two.httpAnswer('/.well-known/acme-challenge/tok_en-1')).toBeUndefined();
  });

  it.each([
    '/',
    '/.well-known/acme-challenge/',
    '/.well-known/acme-challenge/other',
    '/.well-known/acme-challenge/tok_en-1/',
    '/.well-known/acme-challenge/tok_en-1?x',
    '/.well-known/acme-challenge/../x',
    `/.well-known/acme-challenge/${'x'.repeat(300)}`,
    '/x/.well-known/acme-challenge/tok_en-1',
  ])('answers nothing at %s', async (path) => {
    const [one] = pair();
    await one.httpSolver().present(task('a.example'));
    expect(await one.httpAnswer(path)).toBeUndefined();
  });

  it('takes tokens of any length that an authority may give', async () => {
    const [one] = pair();
    const token = 'x'.repeat(256);
    await one.httpSolver().present(task('a.example', token));
    expect(await one.httpAnswer(`/.well-known/acme-challenge/${token}`)).toBe(`${token}.thumb`);
  });

  it('gives the two newest values of a record, however many were left behind', async () => {
    const [one, two] = pair();
    const solver = one.dnsSolver((name) => `${name}.zone`);
    for (const token of ['left', 'first', 'second']) await solver.present(task('a.example', token));
    const values = await two.txtValues('a.example.zone');
    expect(values).toHaveLength(2);
    expect(values.every((value) => /^[\w-]{43}$/.test(value))).toBe(true);
    await solver.withdraw(task('a.example', 'second'));
    expect((await two.txtValues('A.example.zone'))[0]).toBe(values[1]);
    expect(await two.txtValues('b.example.zone')).toEqual([]);
  });

  it('says what it can solve', () => {
    const [one] = pair();
    const dns = one.dnsSolver((name) => (name === 'a.example' ? 'record' : undefined));
    expect(dns.solves({ type: 'dns', value: 'a.example' }, true)).toBe(true);
    expect(dns.solves({ type: 'dns', value: 'b.example' }, false)).toBe(false);
    expect(dns.solves({ type: 'ip', value: '192.0.2.1' }, false)).toBe(false);
    expect(one.httpSolver().solves({ type: 'dns', value: 'a.example' }, true)).toBe(false);
    expect(one.tlsAlpnSolver().solves({ type: 'ip', value: '192.0.2.1' }, false)).toBe(true);
  });

  it('makes the certificate for tls-alpn-01, for addresses by their reverse name', async () => {
    const [one, two] = pair();
    now = Date.now();
    await one.tlsAlpnSolver().present(task('a.example'));
    await one.tlsAlpnSolver().present(task('192.0.2.1', 't', 'ip'));
    await one.tlsAlpnSolver().present(task('2001:db8::1', 't', 'ip'));
    expect(await two.alpnContext('b.example')).toBeUndefined();
    for (const [serverName, alternative] of [
      ['a.example', 'DNS:a.example'],
      ['1.2.0.192.in-addr.arpa', 'IP Address:192.0.2.1'],
      [`1.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`, 'IP Address:2001:DB8:0:0:0:0:0:1'],
    ] as const) {
      const secureContext = await two.alpnContext(serverName);
      expect(secureContext).toBeDefined();
      const listener = await new Listener(
        createServer({ ALPNProtocols: ['acme-tls/1'], SNICallback: (_name, done) => done(null, secureContext) }),
      ).listen();
      const socket = connect({
        port: listener.port,
        host: '127.0.0.1',
        servername: serverName,
        ALPNProtocols: ['acme-tls/1'],
        rejectUnauthorized: false,
      });
      await once(socket, 'secureConnect');
      expect(socket.alpnProtocol).toBe('acme-tls/1');
      expect(new X509Certificate(socket.getPeerCertificate().raw).subjectAltName).toBe(alternative);
      socket.destroy();
      await listener.close();
    }
  });

  it('forgets what a killed process left behind', async () => {
    const [one] = pair();
    await one.httpSolver().present(task('a.example'));
    await one.dnsSolver(() => 'record').present(task('a.example'));
    expect(await one.sweep()).toBe(0);
    now += 3_600_001;
    expect(await one.httpAnswer('/.well-known/acme-challenge/tok_en-1')).toBeUndefined();
    expect(await one.txtValues('record')).toEqual([]);
    expect(await one.sweep()).toBe(2);
  });
});
