import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type CertificateFiles as TestFiles,
  TestAuthority,
  writeCertificateFiles,
} from '../../../../test/harness/certificates.ts';
import { CertificateFiles } from './certificate-files.ts';
import type { ServedCertificate } from './certificate-index.ts';

const authority = new TestAuthority();
let files: TestFiles;
let loaded: ServedCertificate[];
let problems: string[];
let watched: CertificateFiles;

beforeEach(() => {
  files = writeCertificateFiles(authority, ['a.example', '*.a.example', '2001:db8::1']);
  loaded = [];
  problems = [];
  watched = new CertificateFiles({
    pairs: [{ certificateFile: files.chainFile, keyFile: files.keyFile }],
    onLoaded: (certificate) => loaded.push(certificate),
    onProblem: (_pair, { code, detail }) => problems.push(`${code} ${detail}`),
  });
});
afterEach(() => {
  watched.close();
  files.remove();
});

describe('CertificateFiles', () => {
  it('loads at the start, with the names of the certificate and before ordered ones', async () => {
    await watched.start();
    expect(loaded).toMatchObject([
      {
        names: ['a.example', '*.a.example', '2001:db8::1'],
        priority: 1,
        keyPem: files.keyPem,
        chainPem: files.chainPem,
      },
    ]);
    await watched.check();
    expect(loaded).toHaveLength(1);
  });

  it('loads again when both files have changed, also by renaming', async () => {
    await watched.start();
    const next = authority.issue(['b.example']);
    writeFileSync(`${files.keyFile}.new`, next.keyPem);
    writeFileSync(`${files.chainFile}.new`, next.chainPem);
    renameSync(`${files.keyFile}.new`, files.keyFile);
    await watched.check();
    expect(problems).toEqual([
      expect.stringMatching(/^CERTIFICATE_INVALID .*the key is not the one of the certificate/),
    ]);
    await watched.check();
    expect(problems).toHaveLength(1);
    renameSync(`${files.chainFile}.new`, files.chainFile);
    await Promise.all([watched.check(), watched.check()]);
    expect(loaded.map(({ names }) => names)).toEqual([expect.anything(), ['b.example']]);
    expect(loaded[1]?.id).toBe(loaded[0]?.id);
  });

  it('keeps the old one while a file is gone, and says so once', async () => {
    await watched.start();
    rmSync(files.keyFile);
    await watched.check();
    await watched.check();
    expect(problems).toEqual([expect.stringMatching(/^FILE_UNREADABLE .*key\.pem: ENOENT/)]);
    writeFileSync(files.keyFile, files.keyPem);
    await watched.check();
    expect(loaded).toHaveLength(2);
  });

  it.each([
    ['no PEM', 'chain', 'hello', 'CERTIFICATE_INVALID'],
    [
      'a damaged certificate',
      'chain',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      'CERTIFICATE_INVALID',
    ],
    ['no key', 'key', 'hello', 'CERTIFICATE_INVALID'],
    ['another key', 'key', authority.issue(['x.example']).keyPem, 'CERTIFICATE_INVALID'],
    ['an expired certificate', 'both', { notAfter: new Date(Date.now() - 1000) }, 'CERTIFICATE_INVALID'],
    ['a certificate without names', 'both', { names: [] }, 'CERTIFICATE_INVALID'],
    ['half a megabyte', 'chain', 'x'.repeat(512 * 1024), 'CERTIFICATE_INVALID'],
  ])('refuses to start with %s', async (_what, which, change, code) => {
    if (which === 'chain') writeFileSync(files.chainFile, change as string);
    if (which === 'key') writeFileSync(files.keyFile, change as string);
    if (which === 'both') {
      const { names = ['a.example'], ...options } = change as { names?: string[]; notAfter?: Date };
      const issued = authority.issue(names, options);
      writeFileSync(files.chainFile, issued.chainPem);
      writeFileSync(files.keyFile, issued.keyPem);
    }
    await expect(watched.start()).rejects.toMatchObject({ code });
    expect(loaded).toEqual([]);
  });

  it('refuses a chain whose certificates do not follow each other', async () => {
    writeFileSync(files.chainFile, files.certificatePem + new TestAuthority('Another').certificatePem);
    await expect(watched.start()).rejects.toMatchObject({
      code: 'CERTIFICATE_INVALID',
      detail: expect.stringContaining('not issued by the one that follows'),
    });
  });
});
