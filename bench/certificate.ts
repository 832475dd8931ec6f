/** The certificate of the rows over TLS: made for the run, of an authority that nobody else trusts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestAuthority } from '../test/harness/certificates.ts';

export interface CertificateFiles {
  readonly chainFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

/** For the relay's own host and for tunnels. ECDSA with P-256, as authorities give it out today. */
export function makeCertificate(folder: string): CertificateFiles {
  const authority = new TestAuthority();
  const { chainPem, keyPem } = authority.issue(['localhost', '*.localhost']);
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  return {
    chainFile: file('chain.pem', chainPem),
    keyFile: file('key.pem', keyPem),
    caFile: file('ca.pem', authority.certificatePem),
  };
}
