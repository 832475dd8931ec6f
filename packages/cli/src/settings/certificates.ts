/** Files of certificates to trust, read so that one without any is told at once and not in the first handshake. */
import { X509Certificate } from 'node:crypto';
import { PortholeError } from '@porthole/agent';
import { readNeeded } from './files.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const BEGIN = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/g;
const BLOCK = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----\s[A-Za-z0-9+/=\s]+-----END \1-----/g;

/** The certificates (PEM) and nothing else of the file. Throws FILE_UNREADABLE, and CERTIFICATE_INVALID naming the file. */
export function readCertificates(path: string): string {
  const text = readNeeded(path, MAX_BYTES);
  const begun = text.match(BEGIN)?.length ?? 0;
  if (begun === 0) throw new PortholeError('CERTIFICATE_INVALID', `${path} holds no certificate (PEM)`);
  const blocks = text.match(BLOCK) ?? [];
  if (blocks.length < begun || !blocks.every(isCertificate))
    throw new PortholeError('CERTIFICATE_INVALID', `${path} holds a certificate that is damaged`);
  return `${blocks.join('\n')}\n`;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
