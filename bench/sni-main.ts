/** What the relay does to choose a certificate: `node sni-main.ts <certificates>` prints the p99 in milliseconds. */
import { createKeyPair } from '@porthole/acme';
import { CertificateIndex } from '../packages/relay/src/tls/certificate-index.ts';
import { ServingCertificates } from '../packages/relay/src/tls/serving-certificates.ts';
import { TestAuthority } from '../test/harness/certificates.ts';
import { percentile } from './rounds.ts';

const count = Number(process.argv[2]);
const LOOK_UPS = 20_000;

const authority = new TestAuthority();
const pair = createKeyPair();
const index = new CertificateIndex({ maxContexts: count });
for (let i = 0; i < count; i += 1) {
  const names = [`host-${i}.example`];
  const { keyPem, chainPem } = authority.issue(names, { pair });
  index.set({ id: `${i}`, names, keyPem, chainPem, notAfterMs: 1 });
}
const certificates = new ServingCertificates({ index });

/** What the door and its `SNICallback` do for each handshake. */
function choose(name: string): void {
  if (certificates.find(name) === undefined) throw new Error(`no certificate for ${name}`);
  if (certificates.choose(name) === undefined) throw new Error(`no context for ${name}`);
}

// As after a while: every name has been asked for once.
for (let i = 0; i < count; i += 1) choose(`host-${i}.example`);
const times = Array.from({ length: LOOK_UPS }, (_, i) => {
  const name = `host-${(i * 7919) % count}.example`;
  const before = performance.now();
  choose(name);
  return performance.now() - before;
});
console.log(`p99 ${percentile(times, 0.99).toFixed(6)} ms`);
