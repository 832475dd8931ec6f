import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { createCertificate, createKeyPair, createSelfSigned, derToPem, keyToPem, renewalIdentifier } from './x509.ts';
import { createChallengeCertificate, createCsr } from './csr.ts';

const openssl = (args: string[], input: string): string =>
  execFileSync('openssl', args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });

describe('createCsr', () => {
  it('is what OpenSSL accepts as a signed request for names, wildcards and addresses', () => {
    const { privateKey } = createKeyPair();
    const names = [
      'a.example',
      '*.a.example',
      '192.0.2.1',
      '2001:db8::1',
      `${'x'.repeat(60)}.${'y'.repeat(60)}.${'z'.repeat(60)}.example`,
    ];
    const text = openssl(
      ['req', '-text', '-noout', '-verify'],
      derToPem('CERTIFICATE REQUEST', createCsr(privateKey, names)),
    );
    expect(text).toContain('Subject: \n');
    expect(text).toContain(
      'DNS:a.example, DNS:*.a.example, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, DNS:xxx',
    );
    expect(text).toContain('NIST CURVE: P-256');
    expect(text).toContain('Signature Algorithm: ecdsa-with-SHA256');
  });

  it('carries 100 names', () => {
    const names = Array.from({ length: 100 }, (_, i) => `host-${i}.example`);
    const text = openssl(
      ['req', '-text', '-noout', '-verify'],
      derToPem('CERTIFICATE REQUEST', createCsr(createKeyPair().privateKey, names)),
    );
    for (const name of names) expect(text).toContain(`DNS:${name}`);
  });
});

describe('createChallengeCertificate', () => {
  it('has one name and the digest as a critical extension', () => {
    const { keyPem, certificatePem } = createChallengeCertificate('a.example', 'token.thumb', Date.now());
    const certificate = new X509Certificate(certificatePem);
    expect(certificate.subjectAltName).toBe('DNS:a.example');
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(keyPem))).toBe(true);
    expect(() => createSecureContext({ key: keyPem, cert: certificatePem })).not.toThrow();
    const digest = createHash('sha256').update('token.thumb').digest('hex');
    // SEQUENCE { OID 1.3.6.1.5.5.7.1.31, TRUE, OCTET STRING { OCTET STRING digest } }
    expect(certificate.raw.toString('hex')).toContain(`303106082b0601050507011f0101ff04220420${digest}`);
  });

  it('names an address as an address', () => {
    expect(
      new X509Certificate(createChallengeCertificate('192.0.2.1', 'x', Date.now()).certificatePem).subjectAltName,
    ).toBe('IP Address:192.0.2.1');
  });
});

describe('certificates', () => {
  it('chain from an authority of our own to a leaf that OpenSSL and Node verify', () => {
    const root = createKeyPair();
    const leaf = createKeyPair();
    const span = { notBefore: new Date(Date.now() - 1000), notAfter: new Date('2055-01-01T00:00:00Z') };
    const rootCertificate = new X509Certificate(
      createCertificate({
        subject: 'Root',
        publicKey: root.publicKey,
        issuer: { name: 'Root', key: root.privateKey },
        isAuthority: true,
        ...span,
      }),
    );
    const leafCertificate = new X509Certificate(
      createCertificate({
        subject: 'leaf',
        publicKey: leaf.publicKey,
        issuer: { name: 'Root', key: root.privateKey },
        names: ['a.example'],
        usages: ['serverAuth'],
        ...span,
      }),
    );
    expect(rootCertificate.ca).toBe(true);
    expect(leafCertificate.ca).toBe(false);
    expect(leafCertificate.checkIssued(rootCertificate)).toBe(true);
    expect(leafCertificate.verify(rootCertificate.publicKey)).toBe(true);
    expect(leafCertificate.checkHost('a.example')).toBe('a.example');
    expect(leafCertificate.validToDate.getUTCFullYear()).toBe(2055);
    expect(leafCertificate.checkPrivateKey(createPrivateKey(keyToPem(leaf.privateKey)))).toBe(true);
  });

  it('are named for renewal as in the example of RFC 9773', () => {
    const example = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----`;
    expect(renewalIdentifier(new X509Certificate(example))).toBe('aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE');
  });

  it('may be self-signed for any number of names', () => {
    const certificate = new X509Certificate(
      createSelfSigned(createKeyPair(), ['localhost', '127.0.0.1'], Date.now(), 1000),
    );
    expect(certificate.subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1');
  });
});
