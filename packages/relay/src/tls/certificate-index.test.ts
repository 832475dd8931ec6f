import { once } from 'node:events';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { TestAuthority } from '../../../../test/harness/certificates.ts';
import { Listener } from '../../../../test/harness/listener.ts';
import { CertificateIndex, type ServedCertificate } from './certificate-index.ts';
import { createKeyPair } from '@porthole/acme';

const authority = new TestAuthority();
const pair = createKeyPair();

function certificate(id: string, names: readonly string[], rest: Partial<ServedCertificate> = {}): ServedCertificate {
  const { keyPem, chainPem } = authority.issue(names, { pair });
  return { id, names, keyPem, chainPem, notAfterMs: 1000, ...rest };
}

describe('CertificateIndex', () => {
  it('chooses the exact name, else the wildcard, else nothing', () => {
    const index = new CertificateIndex();
    index.set(certificate('wild', ['tun.example', '*.tun.example']));
    index.set(certificate('own', ['a.tun.example']));
    expect(index.find('a.tun.example')?.id).toBe('own');
    expect(index.find('b.tun.example')?.id).toBe('wild');
    expect(index.find('tun.example')?.id).toBe('wild');
    expect(index.find('a.b.tun.example')).toBeUndefined();
    expect(index.find('example')).toBeUndefined();
    expect(index.find('*.tun.example')?.id).toBe('wild');
    expect(index.choose('elsewhere.example')).toBeUndefined();
    expect(index.choose('b.tun.example')).toBe(index.choose('c.tun.example'));
  });

  it("prefers the operator's own, then the longest lasting, and falls back when one goes", () => {
    const index = new CertificateIndex();
    index.set(certificate('old', ['a.example'], { notAfterMs: 1 }));
    index.set(certificate('new', ['a.example'], { notAfterMs: 3 }));
    index.set(certificate('file:/x', ['a.example'], { notAfterMs: 2, priority: 1 }));
    const order: (string | undefined)[] = [];
    for (let i = 0; i < 4; i++) {
      const found = index.find('a.example')?.id;
      order.push(found);
      index.remove(found ?? '');
    }
    expect(order).toEqual(['file:/x', 'new', 'old', undefined]);
    expect(index.size).toBe(0);
  });

  it('forgets the names that a new certificate of the same id no longer has', () => {
    const index = new CertificateIndex();
    index.set(certificate('one', ['a.example', 'b.example']));
    index.set(certificate('one', ['b.example']));
    expect(index.find('a.example')).toBeUndefined();
    expect(index.size).toBe(1);
  });

  it('keeps a bounded number of contexts', () => {
    const index = new CertificateIndex({ maxContexts: 3 });
    for (let i = 0; i < 5; i++) index.set(certificate(`${i}`, [`host-${i}.example`]));
    const first = index.choose('host-0.example');
    for (const i of [1, 2, 0, 3]) index.choose(`host-${i}.example`);
    expect(index.contexts).toBe(3);
    expect(index.choose('host-0.example')).toBe(first);
    expect(index.size).toBe(5);
  });

  // How long a choice takes is a row of the bench.
  it('chooses among 5,000 certificates by name, each context made once', () => {
    const { keyPem, chainPem } = authority.issue(['many.example'], { pair });
    const index = new CertificateIndex();
    for (let i = 0; i < 5_000; i++)
      index.set({ id: `${i}`, names: [`host-${i}.example`], keyPem, chainPem, notAfterMs: 1 });
    const names = Array.from({ length: 500 }, (_, i) => `host-${i * 10}.example`);
    const first = names.map((name) => index.choose(name));
    expect(new Set(first).size).toBe(names.length);
    expect(names.map((name) => index.choose(name))).toEqual(first);
    expect(index.contexts).toBe(names.length);
    expect(index.choose('host-5000.example')).toBeUndefined();
  });

  it('swaps a certificate under a server without touching its connections', async () => {
    const index = new CertificateIndex();
    index.set(certificate('one', ['a.example']));
    const fallback = authority.issue(['fallback.example'], { pair });
    index.setDefault(fallback.keyPem, fallback.chainPem);
    const server = createServer({
      SNICallback: (name, done) => done(null, index.choose(name) ?? index.defaultContext),
      secureContext: undefined,
      key: fallback.keyPem,
      cert: fallback.chainPem,
    } as Parameters<typeof createServer>[0]);
    server.on('secureConnection', (socket) => socket.pipe(socket));
    const listener = await new Listener(server).listen();
    const visit = async (servername: string): Promise<TLSSocket> => {
      const socket = connect({
        port: listener.port,
        host: '127.0.0.1',
        servername,
        ca: authority.certificatePem,
        checkServerIdentity: () => undefined,
      });
      await once(socket, 'secureConnect');
      return socket;
    };
    const first = await visit('a.example');
    const serialBefore = first.getPeerCertificate().serialNumber;
    index.set(certificate('one', ['a.example']));
    const second = await visit('a.example');
    expect(second.getPeerCertificate().serialNumber).not.toBe(serialBefore);
    first.write('still here');
    expect(String((await once(first, 'data'))[0])).toBe('still here');
    const unknown = await visit('nobody.example');
    expect(unknown.getPeerCertificate().subjectaltname).toBe('DNS:fallback.example');
    for (const socket of [first, second, unknown]) socket.destroy();
    await listener.close();
  });
});
