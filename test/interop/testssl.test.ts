/**
 * What testssl.sh says of the relay's TLS: versions, ciphers, forward secrecy and the known attacks. `npm test` asks about
 * versions only; `npm run soak -- testssl` about everything.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CertificateFiles, TestAuthority, writeCertificateFiles } from '../harness/certificates.ts';
import { missing } from '../harness/debian.ts';
import { runProgram } from '../harness/program.ts';
import { type RelayUnderTest, startRelay } from '../harness/relay.ts';
import { IN_FULL, scaled } from '../harness/scale.ts';

const NAME = 'shop.tunnel.test';
const SECTIONS = scaled(['--protocols'], ['--protocols', '--standard', '--fs', '--vulnerable']);
/** Debian's package calls it by its name without the ending. */
const PROGRAM = 'testssl';
/** What it says of the openssl it uses itself, which need not have the ciphers of GOST. */
const OWN_OPENSSL = 'engine_problem';
const TIME_LIMIT_MS = 240_000;

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

describe.skipIf(missing(PROGRAM))('testssl.sh', () => {
  let files: CertificateFiles;
  let relay: RelayUnderTest;

  beforeAll(async () => {
    files = writeCertificateFiles(new TestAuthority(), ['tunnel.test', '*.tunnel.test']);
    relay = await startRelay({
      domain: 'tunnel.test',
      config: { https: '127.0.0.1:0', tls: { certificates: [{ cert: files.chainFile, key: files.keyFile }] } },
    });
  });
  afterAll(async () => {
    await relay?.close();
    files?.remove();
  });

  it(
    'finds nothing to complain about',
    async () => {
      const report = `${files.folder}/report.json`;
      const how = ['--quiet', '--color', '0', '--warnings', 'off', '--nodns', 'none', '--ip', '127.0.0.1'];
      const args = [...how, '--jsonfile', report, ...SECTIONS, `https://${NAME}:${relay.httpsPort}`];
      await runProgram({ name: PROGRAM, command: PROGRAM, args, deadlineMs: TIME_LIMIT_MS });
      const findings = JSON.parse(readFileSync(report, 'utf8')) as Finding[];
      const said = new Map(findings.map(({ id, finding }) => [id, finding]));
      expect(findings.length).toBeGreaterThan(IN_FULL ? 40 : 8);
      expect(said.get('TLS1_2')).toBe('offered');
      expect(said.get('TLS1_3')).toMatch(/^offered/);
      expect(said.get('TLS1_1')).toBe('not offered');
      expect(said.get('ALPN_HTTP2')).toBe('h2');
      const ofRelay = findings.filter(({ id }) => id !== OWN_OPENSSL);
      expect(ofRelay.filter(({ severity }) => !['OK', 'INFO', 'DEBUG'].includes(severity))).toEqual([]);
    },
    TIME_LIMIT_MS,
  );
});
