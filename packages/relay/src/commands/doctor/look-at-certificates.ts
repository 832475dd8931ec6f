/** Certificates the operator brings as files. */
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { CertificatePair, RelayConfig } from '../../config/config.ts';
import { type CertificateFacts, factsOf, nameCovers } from '@porthole/acme';
import type { Machine } from './machine.ts';
import { type Finding, ok, problem } from './problems.ts';

export async function lookAtCertificates({ tls, domains }: RelayConfig, machine: Machine): Promise<Finding[]> {
  if (tls === undefined || tls.certificates.length === 0) return [];
  const findings: Finding[] = [];
  const names: string[] = [];
  for (const pair of tls.certificates) {
    try {
      const facts = await readPair(pair);
      names.push(...facts.names);
      findings.push(lookAtAge(pair, facts, machine.now()));
    } catch (error) {
      findings.push(
        problem('CERTIFICATE_UNUSABLE', `${pair.cert}: ${error instanceof Error ? error.message : String(error)}`),
      );
    }
  }
  // What is not in a file is ordered, where there is an authority.
  const wanted = tls.acme === undefined ? domains.flatMap((domain) => [domain, `x.${domain}`]) : [];
  const uncovered = wanted.filter((name) => !names.some((own) => own === name || nameCovers(own, name)));
  if (uncovered.length > 0 && names.length > 0)
    findings.push(
      problem(
        'CERTIFICATE_WRONG_NAME',
        `${names.join(', ').slice(0, 200)}: not ${uncovered.map((name) => name.replace(/^x\./, '*.')).join(', ')}`,
      ),
    );
  return findings;
}

async function readPair({ cert, key }: CertificatePair): Promise<CertificateFacts> {
  const facts = factsOf(await readFile(cert, 'utf8'));
  if (!facts.leaf.checkPrivateKey(createPrivateKey(await readFile(key))))
    throw new Error('the key is not the one of the certificate');
  return facts;
}

function lookAtAge({ cert }: CertificatePair, { notAfterMs }: CertificateFacts, nowMs: number): Finding {
  const until = new Date(notAfterMs).toISOString();
  return notAfterMs <= nowMs
    ? problem('CERTIFICATE_EXPIRED', `${cert} on ${until}`)
    : ok(`${cert} is valid until ${until}`);
}
